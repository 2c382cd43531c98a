import orjson
import pytest

from flows.core import ids
from flows.core.clock import rfc3339
from flows.core.resources import WebhookFields
from ingress.envelope import CREDENTIALS, MOST_KEY, Identity, Places, http_header, identify

BODY = b'{"id": "evt_1", "n": 7, "user": {"id": "u"}, "yes": true, "half": 0.5}'


def found(definition: dict[str, object], scheme_id: str | None = "scheme", headers: dict[bytes, bytes] | None = None, body: bytes = BODY) -> Identity:
    return identify(Places.of(WebhookFields.model_validate(definition)), scheme_id, headers or {}, body)


@pytest.mark.parametrize(
    ("definition", "sender_id", "key"),
    [
        ({}, "scheme", "scheme"),
        ({"dedupe": False}, None, ids.content_id(BODY)),
        ({"dedupe": {"path": "/id"}}, "evt_1", "evt_1"),
        ({"dedupe": {"path": "/n"}}, "7", "7"),
        ({"dedupe": {"path": "/yes"}}, None, ids.content_id(BODY)),
        ({"dedupe": {"path": "/half"}}, None, ids.content_id(BODY)),
        ({"dedupe": {"path": "/nowhere"}}, None, ids.content_id(BODY)),
        ({"dedupe": {"header": "X-Id"}}, "h", "h"),
        ({"dedupe": {"window_seconds": 60}}, "scheme", "scheme"),
        ({"ordering_key": "/user/id"}, "scheme", "u"),
        ({"ordering_key": {"header": "x-id"}}, "scheme", "h"),
        ({"ordering_key": "/nowhere"}, "scheme", "scheme"),
        ({"ordering_key": "/user/id", "dedupe": {"path": "/id"}}, "evt_1", "u"),
    ],
)
def test_the_key_is_the_ordering_key_else_the_senders_id_else_a_hash(definition: dict[str, object], sender_id: str | None, key: str) -> None:
    assert found(definition, headers={b"x-id": b"h"}) == Identity(sender_id, key.encode())


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 5000, b"no json"])
def test_a_body_that_is_no_json_has_its_hash(body: bytes) -> None:
    assert found({"dedupe": {"path": "/id"}}, body=body) == Identity(None, ids.content_id(body).encode())


def test_a_long_key_is_hashed() -> None:
    long = "x" * (MOST_KEY + 1)
    assert found({}, long) == Identity(long, ids.content_id(long.encode()).encode())


def test_what_is_kept_of_a_request_holds_no_credential() -> None:
    headers = [(b"authorization", b"Bearer s"), (b"x-api-key", b"s"), (b"cookie", b"s"), (b"x-a", b"1"), (b"x-a", b"\xe9"), (b"user-agent", b"u")]
    scope = {"method": "POST", "path": "/p", "query_string": b"a=\xff", "headers": headers}
    assert orjson.loads(http_header(scope, CREDENTIALS)) == {"method": "POST", "path": "/p", "query": "a=ÿ", "headers": {"x-a": "1, é", "user-agent": "u"}}


def test_times_are_rfc_3339() -> None:
    assert rfc3339(1_800_000_000_007) == "2027-01-15T08:00:00.007Z"
