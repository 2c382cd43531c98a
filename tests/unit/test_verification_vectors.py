"""Every preset against a request its sender signed: accepted as it is, refused once anything about it is wrong."""

import pytest

from flows.core import presets
from flows.core.verification import PUBLIC_KEY
from ingress.verification import Rejected, Verified
from tests.kit.vectors import FOLDER, PRESETS, URL, KeyPair, vector, with_body, with_header

ASKED_FOR = {
    "standard_webhooks", "svix", "stripe", "github", "gitlab", "shopify", "slack", "twilio", "sendgrid", "paddle", "generic_hmac", "square", "hubspot",
    "discord", "zoom", "meta", "linear", "intercom", "woocommerce", "typeform", "xero", "webflow", "vercel", "mailgun", "docusign", "dropbox",
    "airtable", "buildkite", "cal_com", "chargebee", "circleci", "clerk", "figma", "gitea", "gocardless", "help_scout", "jira", "launchdarkly",
    "lemon_squeezy", "line", "mollie", "mux", "nylas", "openai", "pandadoc", "paystack", "razorpay", "resend", "sanity", "telegram", "trello", "twitch",
    "workos", "zendesk",
}  # fmt: skip
STAMPED = tuple(preset for preset in PRESETS if presets.load(preset).verification.timestamp is not None)
IN_BODY = tuple(preset for preset in PRESETS if presets.load(preset).verification.signature.path is not None)
IN_HEADERS = tuple(preset for preset in PRESETS if presets.load(preset).verification.signature.header is not None)


def other_secret(preset: str) -> str:
    """Return a well-formed secret that is not the vector's."""
    verification = presets.load(preset).verification
    if verification.algorithm in PUBLIC_KEY:
        return KeyPair.new(verification.algorithm).pem
    return verification.secret.prefix + "A" * 32 if verification.secret.encoding == "base64" else "another:secret"


def test_the_presets_asked_for_are_there_and_each_has_its_vector() -> None:
    assert set(PRESETS) >= ASKED_FOR
    assert {path.stem for path in FOLDER.iterdir()} == set(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_the_sender_signed_is_accepted(preset: str) -> None:
    given = vector(preset)
    assert given.verdict() == given.expected


@pytest.mark.parametrize("preset", PRESETS)
def test_another_secret_is_refused(preset: str) -> None:
    assert vector(preset).verdict(secrets=[other_secret(preset)]) == Rejected("signature_mismatch")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_secret_being_rotated_holds_wherever_it_stands_among_the_live_ones(preset: str) -> None:
    given, other = vector(preset), other_secret(preset)
    assert given.verdict(secrets=[given.secret, other, other]) == given.expected
    assert given.verdict(secrets=[other, other, given.secret]) == given.expected._replace(secret_id="s3")


@pytest.mark.parametrize("preset", STAMPED)
def test_the_window_is_closed_on_both_sides(preset: str) -> None:
    given = vector(preset)
    stamp = presets.load(preset).verification.timestamp
    assert stamp is not None
    assert given.expected.timestamp_ms is not None
    edge = stamp.window_seconds * 1000
    signed_at = given.expected.timestamp_ms
    assert given.verdict(now_ms=signed_at + edge) == given.expected
    assert given.verdict(now_ms=signed_at + edge + 1) == Rejected("timestamp_old")
    assert given.verdict(now_ms=signed_at - edge) == given.expected
    assert given.verdict(now_ms=signed_at - edge - 1) == Rejected("timestamp_future")


@pytest.mark.parametrize("preset", PRESETS)
def test_without_its_signature_a_request_is_refused(preset: str) -> None:
    given = vector(preset)
    bare = given.request._replace(headers=[], url=URL, body=given.request.body if preset not in IN_BODY else b"{}")
    assert given.verdict(bare) == Rejected("signature_missing")


@pytest.mark.parametrize("preset", IN_HEADERS)
def test_a_signature_that_is_none_is_malformed(preset: str) -> None:
    given = vector(preset)
    location = presets.load(preset).verification.signature
    name = f"{location.header}2" if location.numbered else str(location.header)
    for junk in (b"", b"\xff\xfe", b"v1", b"v1,", b"v1=", b"sha256=", b"=,=,=", b" ", b"\xc3\xa9" * 20):
        verdict = given.verdict(with_header(given.request, name, junk))
        assert isinstance(verdict, Rejected)
        assert verdict.reason in {"signature_missing", "signature_malformed", "timestamp_missing", "signature_mismatch"}


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if presets.load(preset).verification.covers_body])
def test_another_body_is_refused(preset: str) -> None:
    given = vector(preset)
    for body in (given.request.body + b"&a=1", given.request.body[:-1], b"", b"\x00\xff" * 50):
        assert isinstance(given.verdict(with_body(given.request, body)), Rejected)


@pytest.mark.parametrize("preset", ["gitlab", "postmark", "mailgun", "chargebee", "figma", "telegram"])
def test_what_does_not_cover_the_body_says_so(preset: str) -> None:
    assert not presets.load(preset).verification.covers_body


def test_hubspot_signs_the_method_and_the_decoded_url() -> None:
    given = vector("hubspot")
    assert given.verdict(given.request._replace(url=given.request.url.replace("%3A", ":").replace("%2F", "%2f"))) == given.expected
    assert given.verdict(given.request._replace(url=given.request.url.replace("%26", "&"))) == Rejected("signature_mismatch")
    assert given.verdict(given.request._replace(url=given.request.url.replace("%3A", "%253A"))) == Rejected("signature_mismatch")
    assert given.verdict(given.request._replace(method="PUT")) == Rejected("signature_mismatch")


@pytest.mark.parametrize("preset", ["square", "trello"])
def test_the_url_is_signed(preset: str) -> None:
    given = vector(preset)
    assert given.verdict(given.request._replace(url=given.request.url + "?a=1")) == Rejected("signature_mismatch")


def test_a_good_signature_of_one_sender_is_none_of_another() -> None:
    accepted = [
        (preset, other)
        for preset in PRESETS
        for other in PRESETS
        if preset != other and isinstance(vector(preset).verdict(vector(other).request, now_ms=vector(other).now_ms), Verified)
    ]
    assert not accepted
