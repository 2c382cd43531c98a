"""The headers of a delivery: a library verifies them, and nothing a producer wrote into a record can break them."""

import base64
import json
import time

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from flows.core.outbound import delivery
from flows.core.record import Header, Record

NOW_MS = 1_800_000_000_123
BODY = b'{"a": 1}'
EVENT: tuple[Header, ...] = (
    ("ce_id", b"0190-a"),
    ("ce_source", b"/webhooks/orders"),
    ("ce_type", b"order.paid"),
    ("ce_time", b"2026-11-25T10:00:00.000Z"),
    ("ce_specversion", b"1.0"),
    ("content-type", b"application/json; charset=utf-8"),
    ("x-sender-id", b"7"),
)


def headers(*found: Header, body: bytes = BODY, secrets: tuple[str, ...] = (), now_ms: int = NOW_MS, webhook_id: str = "0190-a") -> dict[str, str]:
    record = Record("xyra.events", 0, 0, 0, None, body, found)
    given_headers = delivery.headers(record, webhook_id, body, [delivery.key_of(secret) for secret in secrets], now_ms, "Xyra-Integration/0")
    assert len({name for name, _ in given_headers}) == len(given_headers)
    return dict(given_headers)


def test_the_event_is_described_and_nothing_of_ours_is_told() -> None:
    assert headers(*EVENT) == {
        "user-agent": "Xyra-Integration/0",
        "content-type": "application/json; charset=utf-8",
        "webhook-id": "0190-a",
        "webhook-timestamp": "1800000000",
        "webhook-signature": "",
        "ce-specversion": "1.0",
        "ce-id": "0190-a",
        "ce-source": "/webhooks/orders",
        "ce-type": "order.paid",
        "ce-time": "2026-11-25T10:00:00.000Z",
    }


def test_the_standard_webhooks_library_verifies_with_each_live_secret() -> None:
    secrets = tuple(delivery.new_secret() for _ in range(3))
    for attempt_ms in (0, 60_000):
        found = headers(*EVENT, secrets=secrets, now_ms=time.time_ns() // 1_000_000 - attempt_ms)
        assert found["webhook-signature"].count("v1,") == 3
        for secret in secrets:
            assert standardwebhooks.Webhook(secret).verify(BODY, found) == json.loads(BODY)
        for secret, body in ((delivery.new_secret(), BODY), (secrets[0], BODY + b" ")):
            with pytest.raises(standardwebhooks.WebhookVerificationError):
                standardwebhooks.Webhook(secret).verify(body, found)


def test_the_standards_own_vector() -> None:
    """The example of the specification's libraries."""
    key = delivery.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = delivery.signature([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_body_that_is_no_text_is_signed_as_it_is() -> None:
    assert headers(*EVENT, body=b"\xff\x00", secrets=(delivery.new_secret(),))["webhook-signature"].startswith("v1,")


def test_secrets_are_new_each_time_and_of_the_standards_form() -> None:
    made = {delivery.new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(delivery.key_of(secret)) for secret in made} == {32}


@pytest.mark.parametrize(
    "secret",
    [
        *("", "whsec_", "secret", base64.b64encode(bytes(32)).decode(), "WHSEC_" + base64.b64encode(bytes(32)).decode()),
        *("whsec_" + base64.b64encode(bytes(n)).decode() for n in (1, 23, 65, 1000)),
        *("whsec_" + base64.b64encode(b"\xff" * 32).decode().replace("/", "_"), "whsec_" + "A" * 43, "whsec_" + "ä" * 44, "whsec_AAAA AAAA" * 6),
    ],
)
def test_what_is_no_secret_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 bytes in base64") as refused:
        delivery.key_of(secret)
    assert str(refused.value) == "a delivery secret is `whsec_` and 24 to 64 bytes in base64"


@pytest.mark.parametrize("size", [24, 25, 32, 64])
def test_secrets_of_allowed_sizes_are_taken(size: int) -> None:
    assert delivery.key_of("whsec_" + base64.b64encode(bytes(size)).decode()) == bytes(size)


def test_an_id_that_cannot_stand_in_a_header_is_hashed_to_one_that_can() -> None:
    assert delivery.message_id("0190a8c2-7c1e-7000-8000-000000000000") == "0190a8c2-7c1e-7000-8000-000000000000"
    strange = ["", "a.b", "a b", "ü", "a\r\nx: y", "a" * 129, "\ud800", "msg_\n"]
    hashed = [delivery.message_id(text) for text in strange]
    assert len({*hashed}) == len(strange)
    assert all(text.startswith("msg_") and len(text) == 36 for text in hashed)
    assert hashed == [delivery.message_id(text) for text in strange]


def test_attributes_are_escaped_as_the_binding_has_it() -> None:
    found = headers(*EVENT, ("ce_subject", 'Euro € 😀 100% "x"'.encode()), ("ce_traceparent", b"00-1-2-01"))
    assert found["ce-subject"] == "Euro%20%E2%82%AC%20%F0%9F%98%80%20100%25%20%22x%22"
    assert found["ce-traceparent"] == "00-1-2-01"


def test_what_is_no_attribute_is_left_out() -> None:
    strange = [("ce_", b"1"), ("ce_A", b"1"), ("ce_a-b", b"1"), ("ce_a\r\nx", b"1"), ("ce_bad", b"\xff"), ("ce_empty", b""), ("ce_long", b"x" * 1025)]
    assert headers(*EVENT, *strange, ("ce_datacontenttype", b"text/plain")) == headers(*EVENT)


def test_an_event_that_lacks_an_attribute_is_not_said_to_be_one() -> None:
    for missing in ("ce_id", "ce_source", "ce_type"):
        assert not [name for name in headers(*(header for header in EVENT if header[0] != missing)) if name.startswith("ce-")]


def test_the_last_of_equal_headers_wins() -> None:
    assert headers(*EVENT, ("ce_type", b"other"))["ce-type"] == "other"


def test_attributes_are_bounded() -> None:
    many = [(f"ce_a{n}", b"x") for n in range(1000)]
    assert len(headers(*many, *EVENT)) < 50


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ((), "application/octet-stream"),
        ((("content-type", b"text/plain\r\nx: y"),), "application/octet-stream"),
        ((("content-type", b"\xff"),), "application/octet-stream"),
        ((("content-type", b"a" * 257),), "application/octet-stream"),
        ((("ce_datacontenttype", b"text/xml"),), "text/xml"),
        ((("ce_datacontenttype", b"text/xml"), ("content-type", b"text/plain")), "text/plain"),
    ],
)
def test_the_content_type_is_the_events_or_unknown(found: tuple[Header, ...], shown: str) -> None:
    assert headers(*found)["content-type"] == shown


@given(st.lists(st.tuples(st.sampled_from(["ce_id", "ce_source", "ce_type", "ce_x", "content-type"]) | st.text(max_size=8), st.binary(max_size=12))))
def test_no_record_breaks_a_header(found: list[Header]) -> None:
    for name, value in headers(*EVENT, *found).items():
        assert name.isascii()
        assert name == name.lower()
        assert all("!" <= char <= "~" or (char == " " and name == "content-type") for char in value)
