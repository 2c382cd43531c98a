"""What the test route sends is what the sender would have sent."""

from dataclasses import replace

import orjson
import pytest

from flows.core import presets
from flows.core.verification import Verification
from ingress.verification import Rejected, Secret, Signed, Unsigned, Verified, compile_scheme
from tests.kit.vectors import PRESETS, URL, request_of, uses_public_key, vector

NOW = 1_800_000_000_123
SIGNABLE = [preset for preset in PRESETS if not uses_public_key(preset)]


@pytest.mark.parametrize("preset", SIGNABLE)
def test_a_signed_sample_is_accepted(preset: str) -> None:
    loaded = presets.load(preset)
    scheme, secret = compile_scheme(loaded.verification), Secret("s1", vector(preset).secret)
    signed = scheme.sign(loaded.sample.body.encode(), secret, NOW, event_id="evt_new", event_type=loaded.sample.event_type, url=URL)
    assert isinstance(signed, Signed)
    verdict = scheme.verify(request_of(signed), [secret], NOW)
    assert isinstance(verdict, Verified)
    assert verdict.event_type == loaded.sample.event_type
    expected_id = None if not loaded.verification.id else orjson.loads(signed.body)["signature"]["token"] if preset == "mailgun" else "evt_new"
    assert verdict.sender_id == expected_id
    assert isinstance(scheme.verify(request_of(signed), [replace(secret, value=OTHER.get(preset, "other:secret"))], NOW), Rejected)


OTHER = {
    preset: presets.load(preset).verification.secret.prefix + "AAAA" for preset in PRESETS if presets.load(preset).verification.secret.encoding == "base64"
}


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if uses_public_key(preset)])
def test_with_a_public_key_nothing_can_be_signed(preset: str) -> None:
    given = vector(preset)
    assert given.scheme.sign(b"{}", Secret("s1", given.secret), NOW, url=URL) == Unsigned("public_key_only")


def test_a_body_without_room_for_what_the_scheme_puts_there() -> None:
    scheme = compile_scheme(presets.load("mailgun").verification)
    assert scheme.sign(b"not json", Secret("s1", "key"), NOW, url=URL) == Unsigned("body_unfit")
    assert scheme.sign(b"[1]", Secret("s1", "key"), NOW, url=URL) == Unsigned("body_unfit")


def test_a_secret_that_is_none() -> None:
    assert compile_scheme(presets.load("svix").verification).sign(b"{}", Secret("s1", "é"), NOW, url=URL) == Unsigned("secret_malformed")


def test_a_body_stays_as_it_is_where_nothing_is_put_into_it() -> None:
    signed = compile_scheme(Verification()).sign(b'{ "a" : 1 }', Secret("s1", "key"), NOW, url=URL)
    assert isinstance(signed, Signed)
    assert signed.body == b'{ "a" : 1 }'
    signed = compile_scheme(Verification()).sign(b"\xff", Secret("s1", "key"), NOW, event_id="1", event_type="t", url=URL)
    assert isinstance(signed, Signed)
    assert signed.body == b"\xff"


def test_values_go_where_the_scheme_reads_them() -> None:
    table = {
        "content": "{method} {url} {timestamp} {nonce} {body_sha256}",
        "signature": {"header": "X-Sig", "encoding": "base64"},
        "timestamp": {"query": "ts", "unit": "ms"},
        "fields": {"nonce": {"header": "X-Nonce"}},
        "id": {"path": "/meta/id"},
        "event_type": {"path": "/items/0"},
    }
    scheme = compile_scheme(Verification.model_validate(table))
    signed = scheme.sign(b'{"items":["x"]}', Secret("s1", "key"), NOW, event_id="e1", event_type="made", url=URL + "?a=1", method="PUT")
    assert isinstance(signed, Signed)
    assert signed.url == f"{URL}?a=1&ts={NOW}"
    assert orjson.loads(signed.body) == {"items": ["made"], "meta": {"id": "e1"}}
    assert scheme.verify(request_of(signed, "PUT"), [Secret("s1", "key")], NOW) == Verified("s1", "e1", "made", NOW)
    assert scheme.verify(request_of(signed, "POST"), [Secret("s1", "key")], NOW) == Rejected("signature_mismatch")


def test_a_missing_or_doubled_field_is_refused() -> None:
    scheme = compile_scheme(Verification.model_validate({"content": "{nonce}{body}", "fields": {"nonce": {"header": "X-Nonce"}}}))
    signed = scheme.sign(b"{}", Secret("s1", "key"), NOW, url=URL)
    assert isinstance(signed, Signed)
    request = request_of(signed)
    without = request._replace(headers=[pair for pair in request.headers if pair[0] != b"x-nonce"])
    assert scheme.verify(without, [Secret("s1", "key")], NOW) == Rejected("field_missing")
    doubled = request._replace(headers=[*request.headers, (b"x-nonce", b"2")])
    assert scheme.verify(doubled, [Secret("s1", "key")], NOW) == Rejected("field_malformed")
