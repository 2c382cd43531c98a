"""What careless verifiers let through or fall over, each case one in which ours is right.

How long a comparison takes is not measured here. That it tells nothing is seen in the code: `Hmac.matches` computes one digest per secret and content and
compares it, by `hmac.compare_digest` and at full length, with every signature given, whatever matched before; other lengths never reach the comparison, and
a given signature's length is no secret. What ends a verification earlier costs the same hash over the body (`decoy_verify`), known endpoint or not.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from flows.core.verification import Verification
from ingress.verification import Rejected, Request, Secret, Verified, check_secret, compile_scheme, decoy_verify
from tests.kit.vectors import URL, KeyPair, public_pem, vector, with_body, with_header

NOW = 1_800_000_000_000
BODY = b'{"type":"a.b"}'


def post(body: bytes = BODY, *headers: tuple[str, bytes]) -> Request:
    return Request("POST", URL, [(name.lower().encode(), value) for name, value in headers], body)


def verdict(table: Mapping[str, object], request: Request, *secrets: str) -> Verified | Rejected:
    scheme = compile_scheme(Verification.model_validate(table))
    return scheme.verify(request, [Secret(f"s{n}", secret) for n, secret in enumerate(secrets or ("abc",), start=1)], NOW)


def digest(secret: str, content: bytes, name: str = "sha256") -> bytes:
    return hmac.digest(secret.encode(), content, name)


@pytest.mark.parametrize(
    "header",
    [b"v1", b"v1,a,b", b"v1,\xff\xfe\xfd", "v1,é".encode(), b"v1,!!!!", b"v1,====", b"v1,YQ", b"", b" ", b",", b"v2,YWJj", b"v1,\x00", b"v1," + b"A" * 9000],
)
def test_a_malformed_signature_is_refused_and_nothing_is_raised(header: bytes) -> None:
    given = vector("standard_webhooks")
    assert isinstance(given.verdict(with_header(given.request, "webhook-signature", header)), Rejected)


@pytest.mark.parametrize("preset", ["standard_webhooks", "stripe"])
@pytest.mark.parametrize(
    "body", [b"\xff\xfe\x00", b"not json", b"", b"[" * 100_000, b'{"a":' * 100_000, b"\xef\xbb\xbf{}", b'{"id":NaN}', b'{"id":"\xed\xa0\x80"}']
)
def test_a_signed_body_may_be_any_bytes(preset: str, body: bytes) -> None:
    given = vector(preset)
    headers = dict(given.request.headers)
    key, stamp = given.secret.encode(), b"1767614400"
    if preset == "standard_webhooks":
        key = base64.b64decode(given.secret.removeprefix("whsec_"))
        content = headers[b"webhook-id"] + b"." + headers[b"webhook-timestamp"] + b"." + body
        changed = with_header(given.request, "webhook-signature", b"v1," + base64.b64encode(hmac.digest(key, content, "sha256")))
    else:
        changed = with_header(given.request, "stripe-signature", b"t=" + stamp + b",v1=" + hmac.digest(key, stamp + b"." + body, "sha256").hex().encode())
    assert isinstance(given.verdict(with_body(changed, body)), Verified)


@pytest.mark.parametrize("stamp", [b"%d.7", b"+%d", b" %d", b"%d ", b"%de0", b"0%d", b"-%d", b"%d\n", b"0x%x", b"%d_0"])
def test_a_time_is_plain_digits(stamp: bytes) -> None:
    """Signed as it stands, so that only its spelling is wrong."""
    written = stamp % (NOW // 1000)
    content = written + b"." + BODY
    table = {"content": "{timestamp}.{body}", "timestamp": {"header": "X-Time"}}
    request = post(BODY, ("X-Time", written), ("X-Signature", b"sha256=" + digest("abc", content).hex().encode()))
    assert verdict(table, request) == Rejected("timestamp_malformed")


@pytest.mark.parametrize("written", ["１８００００００００".encode(), b"1_800_000_000", b"1" * 17, b"", b"NaN", b"Infinity", b"\xff"])  # noqa: RUF001  full-width digits
def test_a_time_in_other_clothes_is_refused(written: bytes) -> None:
    content = written + b"." + BODY
    table = {"content": "{timestamp}.{body}", "timestamp": {"header": "X-Time"}}
    request = post(BODY, ("X-Time", written), ("X-Signature", b"sha256=" + digest("abc", content).hex().encode()))
    assert verdict(table, request) == Rejected("timestamp_malformed")


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        (b"2027-01-15T08:00:00Z", NOW), (b"2027-01-15T08:00:00.634234626Z", NOW + 634), (b"2027-01-15T10:30:00+02:30", NOW),
        (b"2027-01-15T08:00:00", None), (b"2027-01-15 08:00:00Z", None), (b"2027-01-15T08:00:00z", None), (b"2027-01-15T08:00Z", None),
        (b"2027-02-30T08:00:00Z", None), (b"2027-01-15T25:00:00Z", None), (b"2027-01-15T08:00:00+99:00", None), (b"20270115T080000Z", None),
        (b"2027-01-15T08:00:00.Z", None), (b"2027-01-15T08:00:00.0000000001Z", None), (b"1800000000", None), (b"", None), (b"\xff", None),
        ("２０２７-01-15T08:00:00Z".encode(), None),  # noqa: RUF001  full-width digits
    ],
)  # fmt: skip
def test_a_date_has_one_spelling_for_each_of_its_parts(written: bytes, ms: int | None) -> None:
    table = {"content": "{timestamp}.{body}", "timestamp": {"header": "X-Time", "unit": "rfc3339"}}
    request = post(BODY, ("X-Time", written), ("X-Signature", b"sha256=" + digest("abc", written + b"." + BODY).hex().encode()))
    found = verdict(table, request)
    assert (found.timestamp_ms if isinstance(found, Verified) else found) == (Rejected("timestamp_malformed") if ms is None else ms)


def test_a_time_given_twice_is_refused() -> None:
    given = vector("slack")
    assert given.verdict(with_header(given.request, "x-slack-request-timestamp", b"1531420618", b"1531420618")) == Rejected("timestamp_malformed")
    stripe = vector("stripe")
    doubled = dict(stripe.request.headers)[b"stripe-signature"] + b",t=1767614401"
    assert stripe.verdict(with_header(stripe.request, "stripe-signature", doubled)) == Rejected("timestamp_malformed")


def test_an_id_given_twice_is_refused_where_it_is_signed() -> None:
    given = vector("svix")
    assert given.verdict(with_header(given.request, "svix-id", b"msg_p5jXN8AQM9LWM0D4loKWxJek", b"x")) == Rejected("id_malformed")
    assert given.verdict(with_header(given.request, "svix-id")) == Rejected("id_missing")


def test_a_time_in_the_future_is_refused_like_an_old_one() -> None:
    given = vector("stripe")
    day_ahead = given.now_ms - 86_400_000
    assert given.verdict(now_ms=day_ahead) == Rejected("timestamp_future")


def test_sixteen_signatures_are_looked_at() -> None:
    good, junk = b"v1=" + digest("abc", BODY).hex().encode(), b"v1=" + b"0" * 64
    table = {"signature": {"header": "X-Signatures", "separator": ",", "element": "v1"}}
    assert isinstance(verdict(table, post(BODY, ("X-Signatures", b",".join([junk] * 15 + [good])))), Verified)
    assert verdict(table, post(BODY, ("X-Signatures", b",".join([junk] * 16 + [good])))) == Rejected("signature_mismatch")
    assert verdict(table, post(BODY, *[("X-Signatures", junk)] * 16, ("X-Signatures", good))) == Rejected("signature_mismatch")


def test_eight_kibibytes_of_header_are_looked_at() -> None:
    good = b"v1=" + digest("abc", BODY).hex().encode()
    table = {"signature": {"header": "X-Signatures", "separator": ",", "element": "v1"}}
    assert isinstance(verdict(table, post(BODY, ("X-Signatures", b"x" * (8192 - len(good) - 1) + b"," + good))), Verified)
    assert verdict(table, post(BODY, ("X-Signatures", b"x" * (8192 - len(good)) + b"," + good))) == Rejected("signature_malformed")
    assert verdict(table, post(BODY, ("X-Signatures", b"x" * 8192), ("X-Signatures", good))) == Rejected("signature_missing")
    assert isinstance(verdict(table, post(BODY, ("X-Signatures", good + b"," + b"x" * 20_000))), Verified)


def test_repeated_signature_lines_are_each_tried() -> None:
    given = vector("github")
    good = dict(given.request.headers)[b"x-hub-signature-256"]
    assert given.verdict(with_header(given.request, "x-hub-signature-256", b"sha256=" + b"0" * 64, good)) == given.expected
    assert given.verdict(with_header(given.request, "x-hub-signature-256", good + b"," + good)) == Rejected("signature_malformed")


@pytest.mark.parametrize(
    "spelling",
    [
        lambda hexed: hexed.upper(), lambda hexed: b" " + hexed, lambda hexed: hexed + b" ", lambda hexed: hexed[:2] + b" " + hexed[2:],
        lambda hexed: hexed + b"00", lambda hexed: hexed[2:], lambda hexed: b"0x" + hexed, lambda hexed: hexed[:0], lambda hexed: hexed + b"\x00",
    ],
)  # fmt: skip
def test_hex_has_one_spelling(spelling: object) -> None:
    assert callable(spelling)
    assert verdict({}, post(BODY, ("X-Signature", b"sha256=" + spelling(digest("abc", BODY).hex().encode())))) == Rejected("signature_malformed")


def test_upper_case_hex_is_accepted_where_the_scheme_says_so() -> None:
    table = {"signature": {"header": "X-Signature", "encoding": "hex-upper"}}
    assert isinstance(verdict(table, post(BODY, ("X-Signature", digest("abc", BODY).hex().upper().encode()))), Verified)
    assert verdict(table, post(BODY, ("X-Signature", digest("abc", BODY).hex().encode()))) == Rejected("signature_malformed")


def test_base64_has_one_spelling() -> None:
    table = {"signature": {"header": "X-Signature", "encoding": "base64"}}
    good = base64.b64encode(digest("abc", BODY))
    last = bytes([good[-2] + 1])  # the unused low bits of the last character
    assert isinstance(verdict(table, post(BODY, ("X-Signature", good))), Verified)
    for other in (good[:-1], good + b"=", good + b"\n", good[:-2] + last + b"=", b" " + good, good[:4] + b"\n" + good[4:], good.replace(b"=", b"")):
        assert verdict(table, post(BODY, ("X-Signature", other))) == Rejected("signature_malformed")


def test_base64url_may_be_padded_or_not() -> None:
    table = {"signature": {"header": "X-Signature", "encoding": "base64url"}, "algorithm": "hmac-sha512"}
    body = next(bytes([n]) for n in range(256) if {0x2B, 0x2F} <= set(base64.b64encode(digest("abc", bytes([n]), "sha512"))))
    good = base64.urlsafe_b64encode(digest("abc", body, "sha512"))
    assert isinstance(verdict(table, post(body, ("X-Signature", good))), Verified)
    assert isinstance(verdict(table, post(body, ("X-Signature", good.rstrip(b"=")))), Verified)
    assert verdict(table, post(body, ("X-Signature", base64.b64encode(digest("abc", body, "sha512"))))) == Rejected("signature_malformed")


def test_a_weaker_scheme_is_refused_unless_the_definition_allows_it() -> None:
    weak = post(BODY, ("X-Signature", b"sha1=" + digest("abc", BODY, "sha1").hex().encode()))
    assert verdict({}, weak) == Rejected("signature_malformed")
    assert isinstance(verdict({"accept_sha1": True}, weak), Verified)
    strong = post(BODY, ("X-Signature", b"sha256=" + digest("abc", BODY).hex().encode()))
    assert isinstance(verdict({"accept_sha1": True}, strong), Verified)
    crossed = post(BODY, ("X-Signature", b"sha1=" + digest("abc", BODY).hex().encode()))
    assert verdict({"accept_sha1": True}, crossed) == Rejected("signature_malformed")


def test_the_test_scheme_of_stripe_is_not_looked_at() -> None:
    given = vector("stripe")
    header = dict(given.request.headers)[b"stripe-signature"]
    signature = header.partition(b"v1=")[2].partition(b",")[0]
    assert given.verdict(with_header(given.request, "stripe-signature", b"t=1767614400,v0=" + signature)) == Rejected("signature_missing")


def test_a_hash_of_a_hash_is_no_bearer_token() -> None:
    given = vector("gitlab")
    for token in (b"", b"s3cr3t-t0ke", b"s3cr3t-t0kenn", b"S3cr3t-t0ken", hashlib.sha256(b"s3cr3t-t0ken").hexdigest().encode()):
        assert isinstance(given.verdict(with_header(given.request, "x-gitlab-token", token)), Rejected)


@pytest.mark.parametrize("pss", [False, True])
def test_rsa_signatures(pss: bool) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pad = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32) if pss else padding.PKCS1v15()
    signed = base64.b64encode(private.sign(BODY, pad, hashes.SHA256()))
    table = {"algorithm": "rsa-pss-sha256" if pss else "rsa-pkcs1-sha256", "signature": {"header": "X-Signature", "encoding": "base64"}}
    other = {**table, "algorithm": "rsa-pkcs1-sha256" if pss else "rsa-pss-sha256"}
    assert isinstance(verdict(table, post(BODY, ("X-Signature", signed)), public_pem(private)), Verified)
    assert verdict(other, post(BODY, ("X-Signature", signed)), public_pem(private)) == Rejected("signature_mismatch")
    assert verdict(table, post(BODY + b" ", ("X-Signature", signed)), public_pem(private)) == Rejected("signature_mismatch")


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256"])
def test_keys_may_be_pem(algorithm: str) -> None:
    pair = KeyPair.new(algorithm)
    table = {"algorithm": algorithm, "signature": {"header": "X-Signature"}}
    request = post(BODY, ("X-Signature", pair.sign(BODY).hex().encode()))
    assert isinstance(verdict(table, request, KeyPair.new(algorithm).pem, pair.pem), Verified)
    assert verdict(table, request, KeyPair.new(algorithm).pem) == Rejected("signature_mismatch")


def test_twilio_json_is_covered_by_the_hash_in_the_url() -> None:
    body, other = b'{"a":1}', b'{"a":2}'
    url = f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = base64.b64encode(digest("12345", url.encode(), "sha1"))
    given = replace(vector("twilio"), request=Request("POST", url, [(b"x-twilio-signature", signature)], body))
    assert isinstance(given.verdict(), Verified)
    assert given.verdict(given.request._replace(body=other)) == Rejected("body_hash_mismatch")
    bare = base64.b64encode(digest("12345", URL.encode(), "sha1"))  # what signs the URL alone
    assert given.verdict(Request("POST", URL, [(b"x-twilio-signature", bare)], body)) == Rejected("signature_mismatch")


@pytest.mark.parametrize("signed", ["https://example.com/hook?a=1", "https://example.com:443/hook?a=1"])
@pytest.mark.parametrize("seen", ["https://example.com/hook?a=1", "https://example.com:443/hook?a=1"])
def test_twilio_signs_with_or_without_the_port(signed: str, seen: str) -> None:
    given = vector("twilio")
    signature = base64.b64encode(digest("12345", signed.encode(), "sha1"))
    assert isinstance(given.verdict(Request("POST", seen, [(b"x-twilio-signature", signature)], b"")), Verified)


@pytest.mark.parametrize(
    "url", ["", "https://[", "https://a:b/", "https://exa\tmple.com/", "\ud800", "https://\udcff/?\udcff=1", "//", "HTTP://h", "https://u@h:1/"]
)
def test_no_url_is_too_odd(url: str) -> None:
    for preset in ("twilio", "square", "hubspot"):
        given = vector(preset)
        assert isinstance(given.verdict(given.request._replace(url=url)), Rejected)


@pytest.mark.parametrize("body", [b"a&" * 1000, b"%41" * 100_000])
def test_a_form_of_any_length_is_not_read(body: bytes) -> None:
    given = vector("twilio")
    assert given.verdict(with_body(given.request, body)) == Rejected("form_too_long")


def test_without_live_secrets_nothing_holds() -> None:
    given = vector("github")
    assert given.verdict(secrets=[]) == Rejected("secret_missing")
    assert vector("svix").verdict(secrets=["whsec_!"]) == Rejected("secret_malformed")
    svix = vector("svix")
    assert svix.verdict(secrets=["whsec_!", svix.secret]) == svix.expected._replace(secret_id="s2")


@pytest.mark.parametrize(
    ("table", "secret"),
    [
        ({"preset": "svix"}, "whsec_not base64"), ({"preset": "svix"}, "whsec_=="), ({"preset": "svix"}, "whsec_é"), ({"preset": "discord"}, "zz"),
        ({"preset": "discord"}, "00" * 31), ({"preset": "sendgrid"}, "AAAA"), ({"preset": "sendgrid"}, "-----BEGIN PUBLIC KEY-----\nAA"),
        ({"preset": "postmark"}, "no colon"), ({"algorithm": "ed25519"}, "text"), ({"secret": {"encoding": "hex"}}, "0"), ({}, "\ud800"),
        ({"algorithm": "rsa-pkcs1-sha256"}, public_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024))),  # noqa: S505  too short, on purpose
        ({"algorithm": "rsa-pkcs1-sha256"}, KeyPair.new("ecdsa-p256").pem), ({"algorithm": "ecdsa-p256"}, KeyPair.new("ed25519").pem),
    ],
)  # fmt: skip
def test_a_bad_secret_is_told_when_it_is_declared(table: dict[str, object], secret: str) -> None:
    wrong = check_secret(Verification.model_validate(table), secret)
    assert wrong is not None
    assert (wrong.pointer, wrong.code) == ("/secret", "secret_malformed")
    assert secret not in wrong.detail


@pytest.mark.parametrize("secret", ["whsec_" + "A" * 32, "A" * 32, "whsec_YQ", "whsec_YQ=="])
def test_a_base64_secret_may_go_without_prefix_and_padding(secret: str) -> None:
    assert check_secret(Verification.model_validate({"preset": "standard_webhooks"}), secret) is None


def test_ids_and_types_are_short_plain_text_or_not_there() -> None:
    table = {"id": [{"header": "X-Id"}, {"path": "/id"}], "event_type": {"path": "/kind"}}
    for found, sender_id in ((b"abc", "abc"), ("é".encode(), "é"), (b"\xff", "7"), (b"", "7"), (b"a\nb", "7"), (b"x" * 513, "7")):
        body = orjson.dumps({"id": 7, "kind": True})
        request = post(body, ("X-Id", found), ("X-Signature", b"sha256=" + digest("abc", body).hex().encode()))
        assert verdict(table, request) == Verified("s1", sender_id, None, None)


def test_a_decoy_is_silent() -> None:
    decoy_verify(post(b"\xff" * 10_000))


def test_a_secret_does_not_print() -> None:
    assert "hunter2" not in repr(Secret("s1", "hunter2"))
