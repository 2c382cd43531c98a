"""Senders' own libraries as oracles: what they sign we accept, what we sign they accept, and a changed body neither does.

Where a library is known to accept too much, or to fall over, the test shows it and holds us to the stricter answer.
"""

import base64
import binascii
import json
import time
from datetime import UTC, datetime
from urllib.parse import urlencode

import gocardless_pro.webhooks
import pytest
import standardwebhooks
import stripe
import svix
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from mollie.utils.webhooks.signature_validator import InvalidSignatureException, SignatureValidator
from razorpay.errors import SignatureVerificationError
from razorpay.utility import Utility
from sendgrid.helpers.eventwebhook import EventWebhook
from slack_sdk.signature import Clock, SignatureVerifier
from twilio.request_validator import RequestValidator
from workos import WorkOSClient

from flows.core import presets
from ingress.verification import Rejected, Request, Secret, Signed, Verified, compile_scheme
from tests.kit.vectors import URL, KeyPair

TEXTS = st.text(max_size=200)
DOCUMENTS = st.dictionaries(st.text(max_size=4), st.integers() | TEXTS, max_size=3).map(lambda document: json.dumps(document, ensure_ascii=False))
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
KEYS = st.binary(min_size=24, max_size=64).map(lambda raw: "whsec_" + base64.b64encode(raw).decode())
FORMS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=20), max_size=6)


def signed_by_us(preset: str, body: str, secret: str, now_ms: int, url: str = URL) -> tuple[dict[str, str], bytes]:
    scheme = compile_scheme(presets.load(preset).verification)
    signed = scheme.sign(body.encode(), Secret("s1", secret), now_ms, event_id="msg_1" if "{id}" in scheme.verification.content else None, url=url)
    assert isinstance(signed, Signed)
    return dict(signed.headers), signed.body


def verdict(preset: str, headers: dict[str, str], body: bytes, secret: str, now_ms: int, url: str = URL) -> Verified | Rejected:
    request = Request("POST", url, [(name.lower().encode(), value.encode()) for name, value in headers.items()], body)
    return compile_scheme(presets.load(preset).verification).verify(request, [Secret("s1", secret)], now_ms)


LIBRARIES: dict[str, tuple[type[standardwebhooks.Webhook | svix.Webhook], type[Exception], str]] = {
    "standard_webhooks": (standardwebhooks.Webhook, standardwebhooks.WebhookVerificationError, "webhook"),
    "openai": (standardwebhooks.Webhook, standardwebhooks.WebhookVerificationError, "webhook"),
    "svix": (svix.Webhook, svix.WebhookVerificationError, "svix"),
    "clerk": (svix.Webhook, svix.WebhookVerificationError, "svix"),
    "resend": (svix.Webhook, svix.WebhookVerificationError, "svix"),
}


@pytest.mark.parametrize("preset", LIBRARIES)
@settings(max_examples=50)
@given(body=DOCUMENTS, secret=KEYS)
def test_standard_webhooks_and_svix(preset: str, body: str, secret: str) -> None:
    library, error, family = LIBRARIES[preset]
    now = int(time.time())  # the libraries take the time themselves
    ours, sent = signed_by_us(preset, body, secret, now * 1000)
    library(secret).verify(sent, ours)  # raises when it does not hold
    with pytest.raises(error):
        library(secret).verify(sent + b" ", ours)
    theirs = {
        f"{family}-id": "msg_2",
        f"{family}-timestamp": str(now),
        f"{family}-signature": library(secret).sign("msg_2", datetime.fromtimestamp(now, tz=UTC), body),
    }
    assert isinstance(verdict(preset, theirs, body.encode(), secret, now * 1000), Verified)
    assert isinstance(verdict(preset, theirs, body.encode() + b" ", secret, now * 1000), Rejected)


@pytest.mark.parametrize(("signature", "raised"), [("v1", ValueError), ("v1,a,b", ValueError), ("v1,é", ValueError), ("v1,a", binascii.Error)])
def test_what_makes_the_standard_webhooks_library_fall_over_is_refused_by_us(signature: str, raised: type[Exception]) -> None:
    secret, now = "whsec_" + "A" * 32, int(time.time())
    headers = {"webhook-id": "1", "webhook-timestamp": str(now), "webhook-signature": signature}
    with pytest.raises(raised):
        standardwebhooks.Webhook(secret).verify(b"{}", headers)
    assert isinstance(verdict("standard_webhooks", headers, b"{}", secret, now * 1000), Rejected)


@pytest.mark.parametrize("spelling", ["{}.7", "+{}", " {}", "{}e0", "0{}"])
def test_times_the_standard_webhooks_library_takes_are_refused_by_us(spelling: str) -> None:
    secret, now = "whsec_" + "A" * 32, int(time.time())
    headers, body = signed_by_us("standard_webhooks", "{}", secret, now * 1000)
    headers["webhook-timestamp"] = spelling.format(now)
    assert standardwebhooks.Webhook(secret).verify(body, headers) == {}
    assert verdict("standard_webhooks", headers, body, secret, now * 1000) == Rejected("timestamp_malformed")


@settings(max_examples=50)
@given(body=TEXTS, secret=SECRETS, now=st.integers(1, 2**33))
def test_stripe(body: str, secret: str, now: int) -> None:
    ours, sent = signed_by_us("stripe", body, secret, now * 1000)
    assert stripe.WebhookSignature.verify_header(sent, ours["Stripe-Signature"], secret)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(sent + b" ", ours["Stripe-Signature"], secret)
    theirs = {"Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, secret, now)}
    assert isinstance(verdict("stripe", theirs, body.encode(), secret, now * 1000), Verified)
    assert isinstance(verdict("stripe", theirs, body.encode() + b" ", secret, now * 1000), Rejected)


def test_a_day_ahead_is_fine_for_the_stripe_library_and_refused_by_us() -> None:
    now = int(time.time())
    headers, body = signed_by_us("stripe", "{}", "whsec_x", (now + 86_400) * 1000)
    assert stripe.WebhookSignature.verify_header(body, headers["Stripe-Signature"], "whsec_x", tolerance=300)
    assert verdict("stripe", headers, body, "whsec_x", now * 1000) == Rejected("timestamp_future")


@pytest.mark.parametrize(("body", "signature", "raised"), [(b"\xff", "t=1,v1=aa", UnicodeDecodeError), (b"{}", "t=1,v1=é", TypeError)])
def test_what_makes_the_stripe_library_fall_over_is_refused_by_us(body: bytes, signature: str, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        stripe.WebhookSignature.verify_header(body, signature, "whsec_x")
    assert isinstance(verdict("stripe", {"Stripe-Signature": signature}, body, "whsec_x", 1000), Rejected)


class At(Clock):
    """Slack's clock, standing still."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> float:
        return float(self._now)


@settings(max_examples=50)
@given(body=TEXTS, secret=SECRETS, now=st.integers(1, 2**33), ahead=st.integers(-400, 400))
def test_slack(body: str, secret: str, now: int, ahead: int) -> None:
    library = SignatureVerifier(secret, clock=At(now + ahead))
    ours, sent = signed_by_us("slack", body, secret, now * 1000)
    stamp, signature = ours["X-Slack-Request-Timestamp"], ours["X-Slack-Signature"]
    assert library.is_valid(sent, stamp, signature) == isinstance(verdict("slack", ours, sent, secret, (now + ahead) * 1000), Verified)
    assert not library.is_valid(sent + b" ", stamp, signature)
    theirs = {"X-Slack-Request-Timestamp": str(now), "X-Slack-Signature": str(library.generate_signature(timestamp=str(now), body=body))}
    assert isinstance(verdict("slack", theirs, body.encode(), secret, now * 1000), Verified)
    assert isinstance(verdict("slack", theirs, body.encode() + b" ", secret, now * 1000), Rejected)


@settings(max_examples=50)
@given(form=FORMS, secret=SECRETS, port=st.sampled_from(["", ":443"]))
def test_twilio_forms(form: dict[str, str], secret: str, port: str) -> None:
    seen, signed_at, body = URL, URL.replace(".com/", f".com{port}/") + "?a=1", urlencode(form)
    library = RequestValidator(secret)
    ours, sent = signed_by_us("twilio", body, secret, 0, signed_at)
    assert library.validate(signed_at, form, ours["X-Twilio-Signature"])
    theirs = {"X-Twilio-Signature": library.compute_signature(signed_at, form)}
    assert isinstance(verdict("twilio", theirs, sent, secret, 0, f"{seen}?a=1"), Verified)
    assert isinstance(verdict("twilio", theirs, sent + b"&x=1", secret, 0, f"{seen}?a=1"), Rejected)


@settings(max_examples=50)
@given(body=TEXTS, secret=SECRETS)
def test_twilio_json(body: str, secret: str) -> None:
    library = RequestValidator(secret)
    url = f"{URL}?bodySHA256={library.compute_hash(body)}"
    ours, sent = signed_by_us("twilio", body, secret, 0, url)
    assert library.validate(url, body, ours["X-Twilio-Signature"])
    theirs = {"X-Twilio-Signature": library.compute_signature(url, {})}
    assert isinstance(verdict("twilio", theirs, sent, secret, 0, url), Verified)
    assert isinstance(verdict("twilio", theirs, sent + b" ", secret, 0, url), Rejected)


@settings(max_examples=50)
@given(body=TEXTS, now=st.integers(1, 2**33))
def test_sendgrid(body: str, now: int) -> None:
    """Its library only verifies: both are handed what a key pair of ours signed."""
    raw = PAIR.private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    public, signature = base64.b64encode(raw).decode(), base64.b64encode(PAIR.sign(f"{now}{body}".encode())).decode()
    name = "X-Twilio-Email-Event-Webhook-"
    headers = {f"{name}Signature": signature, f"{name}Timestamp": str(now)}
    for sent in (body, body + " "):
        accepted = EventWebhook(public).verify_signature(sent, signature, str(now))
        assert accepted == (sent == body)
        assert isinstance(verdict("sendgrid", headers, sent.encode(), public, now * 1000), Verified) == accepted


def by_gocardless(body: str, signature: str, secret: str) -> bool:
    try:
        gocardless_pro.webhooks.parse(body, secret, signature)
    except gocardless_pro.errors.InvalidSignatureError:
        return False
    return True


def by_mollie(body: str, signature: str, secret: str) -> bool:
    try:
        return SignatureValidator(secret).validate_payload(body, signature)
    except InvalidSignatureException:
        return False


def by_razorpay(body: str, signature: str, secret: str) -> bool:
    try:
        return bool(Utility().verify_webhook_signature(body, signature, secret))
    except SignatureVerificationError:
        return False


def by_workos(body: str, signature: str, secret: str) -> bool:
    try:
        WORKOS.webhooks.verify_header(event_body=body.encode(), event_signature=signature, secret=secret)
    except ValueError:
        return False
    return True


WORKOS = WorkOSClient(api_key="none", client_id="none")
VERIFIERS = {"gocardless": by_gocardless, "mollie": by_mollie, "razorpay": by_razorpay, "workos": by_workos}


@pytest.mark.parametrize("preset", VERIFIERS)
@settings(max_examples=50)
@given(body=DOCUMENTS.map(lambda document: f'{{"events":[],"data":{document}}}'), secret=SECRETS)
def test_vendors_that_only_verify(preset: str, body: str, secret: str) -> None:
    """What we sign their libraries accept, and a changed body, another secret or a changed signature they and we refuse."""
    now_ms, header = time.time_ns() // 1_000_000, str(presets.load(preset).verification.signature.header)
    headers, sent = signed_by_us(preset, body, secret, now_ms)
    other = signed_by_us(preset, body, secret + "x", now_ms)[0][header]
    for text, signature in ((body, headers[header]), (body + " ", headers[header]), (body, other)):
        good = (text, signature) == (body, headers[header])
        assert VERIFIERS[preset](text, signature, secret) == good
        assert isinstance(verdict(preset, {header: signature}, text.encode(), secret, now_ms), Verified) == good
    assert sent == body.encode()


PAIR = KeyPair.new("ecdsa-p256")
