"""Nothing but what was signed is accepted, and nothing at all makes the engine raise."""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core import presets
from flows.core.verification import Verification
from ingress.verification import Rejected, Request, Secret, Signed, Verified, check_secret, compile_scheme, decoy_verify
from ingress.verification.reading import encode
from tests.kit.vectors import PRESETS, URL, KeyPair, Vector, content_of, request_of, uses_public_key, vector, with_body, with_header

COVERED = tuple(preset for preset in PRESETS if presets.load(preset).verification.covers_body)


def flips(raw: bytes) -> Iterator[bytes]:
    """Give every text that differs in one bit."""
    for place in range(len(raw)):
        for bit in range(8):
            yield raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :]


def needed_headers(given: Vector) -> list[tuple[str, bytes]]:
    """Return the header lines without which the request is refused, Stripe's test signature cut off."""
    lines = [(name.decode(), value.partition(b",v0=")[0]) for name, value in given.request.headers]
    return [(name, value) for name, value in lines if isinstance(given.verdict(with_header(given.request, name)), Rejected)]


def same_form(one: bytes, other: bytes) -> bool:
    return sorted(parse_qsl(one.decode("latin-1"), keep_blank_values=True)) == sorted(parse_qsl(other.decode("latin-1"), keep_blank_values=True))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_truncation_and_bit_flip_of_what_proves_it_is_refused(preset: str) -> None:
    given = vector(preset)
    headers = needed_headers(given)
    assert headers or given.scheme.verification.signature.header is None
    for name, value in headers:
        assert isinstance(given.verdict(with_header(given.request, name, value)), Verified)
        for changed in (*flips(value), *(value[:end] for end in range(len(value))), *(value[start:] for start in range(1, len(value)))):
            assert isinstance(given.verdict(with_header(given.request, name, changed)), Rejected), changed


@pytest.mark.parametrize("preset", COVERED)
def test_every_truncation_and_bit_flip_of_the_body_is_refused(preset: str) -> None:
    given = vector(preset)
    body = given.request.body
    for changed in (*flips(body), *(body[:end] for end in range(len(body))), *(body[start:] for start in range(1, len(body)))):
        if preset == "twilio" and same_form(changed, body):
            continue  # %2B and %2b are one form, and the form is what is signed
        assert isinstance(given.verdict(with_body(given.request, changed)), Rejected), changed


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if presets.load(preset).verification.signature.query is not None])
def test_every_truncation_and_bit_flip_of_a_signature_in_the_url_is_refused(preset: str) -> None:
    given = vector(preset)
    url, signature = given.request.url.rsplit("=", 1)
    for changed in (*flips(signature.encode()), *(signature.encode()[:end] for end in range(len(signature)))):
        if changed.isascii():
            assert isinstance(given.verdict(given.request._replace(url=f"{url}={changed.decode()}")), Rejected), changed


def test_every_bit_flip_of_figmas_passcode_is_refused() -> None:
    given = vector("figma")
    body = given.request.body
    start = body.index(b"figma-passcode")
    for changed in flips(body[start : start + len(b"figma-passcode")]):
        assert isinstance(given.verdict(with_body(given.request, body[:start] + changed + body[start + len(changed) :])), Rejected), changed


def test_every_bit_flip_of_mailguns_signature_time_and_token_is_refused() -> None:
    given = vector("mailgun")
    body = given.request.body
    start, end = body.index(b'"signature":{'), body.index(b"}", body.index(b'"signature":{'))
    for changed in flips(body[start:end]):
        assert isinstance(given.verdict(with_body(given.request, body[:start] + changed + body[end:])), Rejected), changed


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if "{url}" in presets.load(preset).verification.content])
def test_every_bit_flip_of_a_signed_url_is_refused(preset: str) -> None:
    given = vector(preset)
    url = given.request.url.encode()
    escapes = preset == "hubspot"  # %2F and %2f are decoded to the same before they are signed
    for changed in flips(url):
        if not changed.isascii() or (escapes and changed.upper() == url.upper()):
            continue
        assert isinstance(given.verdict(given.request._replace(url=changed.decode())), Rejected), changed


def signed(preset: str, body: bytes) -> Vector:
    """Return the preset's vector with another body, signed anew."""
    old = vector(preset)
    if not uses_public_key(preset):
        made = old.scheme.sign(body, Secret("s1", old.secret), old.now_ms, event_id="evt_1", url=old.request.url, method=old.request.method)
        assert isinstance(made, Signed)
        return replace(old, request=request_of(made))
    location = old.scheme.verification.signature
    new = replace(old, secret=PAIRS[preset].pem, request=with_body(old.request, body))
    written = encode(PAIRS[preset].sign(content_of(new)), location.encoding)
    element = f"{location.element}{location.assign}".encode() if location.element else b""
    return replace(new, request=with_header(new.request, str(location.header), element + written))


PAIRS = {preset: KeyPair.new(vector(preset).scheme.verification.algorithm) for preset in PRESETS if uses_public_key(preset)}
BODIES = st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
).map(orjson.dumps)


@pytest.mark.parametrize("preset", [preset for preset in COVERED if preset != "linear"])
@settings(max_examples=25)
@given(body=BODIES, other=BODIES)
def test_a_signature_holds_for_its_body_alone(preset: str, body: bytes, other: bytes) -> None:
    """Linear's body must hold its time; the others take any."""
    given = signed(preset, body)
    assert isinstance(given.verdict(), Verified)
    changed = with_body(given.request, other)
    if content_of(replace(given, request=changed)) != content_of(given):  # Twilio runs names and values together: `a=b` and `ab=` are one
        assert isinstance(given.verdict(changed), Rejected)
    else:
        assert other == given.request.body or preset == "twilio"


NAMES = sorted({name for preset in PRESETS for name, _ in vector(preset).request.headers} | {b"x-docusign-signature-16", b"content-type"})
VALUES = (
    st.binary(max_size=80)
    | st.sampled_from([value for preset in PRESETS for _, value in vector(preset).request.headers])
    | st.from_regex(rb"(v1|v0|t|ts|h1|sha256|sha1|v1a)[=,][0-9a-fA-F]{0,64}([ ,;](v1|h1|t)[=,][0-9]{0,20}){0,3}", fullmatch=True)
)
REQUESTS = st.builds(
    Request,
    method=st.sampled_from(["POST", "GET", "HEAD", "PUT", ""]) | st.text(max_size=5),
    url=st.sampled_from([vector(preset).request.url for preset in PRESETS]) | st.text(max_size=60) | st.text(max_size=30).map(lambda text: URL + "?" + text),
    headers=st.lists(st.tuples(st.sampled_from(NAMES) | st.binary(max_size=10), VALUES), max_size=10),
    body=BODIES | st.sampled_from([vector(preset).request.body for preset in PRESETS]),
)


@settings(max_examples=200)
@given(request=REQUESTS, secret=st.text(max_size=40))
def test_no_request_makes_the_engine_raise(request: Request, secret: str) -> None:
    decoy_verify(request)
    for preset in PRESETS:
        held = vector(preset)
        live = [Secret("s1", held.secret), Secret("s2", secret)]
        verdict = held.scheme.verify(request, live, held.now_ms)
        assert isinstance(verdict, Verified | Rejected)
        held.scheme.challenge(request, live, verdict)
        held.scheme.challenge(request, live, held.expected)  # as if it had been signed
        held.scheme.sign(request.body, live[1], held.now_ms, event_id=secret, event_type=secret, url=request.url, method=request.method)


@settings(max_examples=200)
@given(secret=st.text() | st.sampled_from(["-----BEGIN PUBLIC KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]))
def test_any_text_is_a_secret_or_told_to_be_none(secret: str) -> None:
    for preset in PRESETS:
        wrong = check_secret(vector(preset).scheme.verification, secret)
        assert wrong is None or wrong.code == "secret_malformed"


@settings(max_examples=100)
@given(stamp=st.integers(0, 10**17), shift=st.integers(-400_000, 400_000))
def test_a_time_holds_within_its_window_and_nowhere_else(stamp: int, shift: int) -> None:
    scheme = compile_scheme(Verification.model_validate({"content": "{timestamp}{body}", "timestamp": {"header": "X-Time", "unit": "ms"}}))
    secret = Secret("s1", "key")
    made = scheme.sign(b"{}", secret, stamp, url=URL)
    assert isinstance(made, Signed)
    verdict = scheme.verify(request_of(made), [secret], stamp + shift)
    assert isinstance(verdict, Verified) == (abs(shift) <= 300_000 and 0 < stamp < 10**16)
