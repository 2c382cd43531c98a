"""What is shown of a dead letter, and what a dry run foresees of deliveries."""

import orjson
import pytest

from flows.core import pointer, topics
from flows.core.presets import load_all
from flows.core.record import Record
from flows.core.resources import StoredWebhook, WebhookDefinition
from flows.core.verification import Preset, Signature
from ingress import masks
from ingress.letterbox import headers_of, undeliverable

HTTP = {"method": "POST", "path": "/x", "query": "token=t&page=2&sig=s", "headers": {"x-signature": "s", "cookie": "c", "x-author": "me", "X-Session-Id": "z"}}


def letter(**headers: bytes) -> Record:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Record(topics.DLQ.name, 0, 0, 0, None, b"", named)


def test_credentials_of_a_kept_request_are_masked_in_headers_and_query() -> None:
    own, added = headers_of(letter(x_http=orjson.dumps(HTTP), x_api_key=b"k", x_dlq_code=b"schema", ce_id=b"\xff"), None)
    shown = dict(own)
    assert set(shown) == {"x-http", "x-api-key", "ce-id"}
    assert added == [("x-dlq-code", "schema")]
    assert shown["x-api-key"] == "***"
    assert orjson.loads(shown["x-http"]) == {
        "method": "POST",
        "path": "/x",
        "query": "token=***&page=2&sig=***",
        "headers": {"x-signature": "***", "cookie": "***", "x-author": "me", "X-Session-Id": "***"},
    }


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"headers": 1}'])
def test_a_request_that_cannot_be_read_is_masked_as_a_whole(raw: bytes) -> None:
    assert headers_of(letter(x_http=raw), None) == ([("x-http", "***")], [])


def test_repeated_headers_are_told_in_their_order_and_those_of_the_burial_beside_them() -> None:
    headers = (("b", b"1"), ("__connect.errors.topic", b"t"), ("a", b"2"), ("x-dlq-code", b"c"), ("b", b"3"), ("x-dlq-my-token", b"s"), ("token", b"s"))
    own, added = headers_of(Record(topics.DLQ.name, 0, 0, 0, None, b"", headers), None)
    assert own == [("b", "1"), ("a", "2"), ("b", "3"), ("token", "***")]
    assert added == [("__connect.errors.topic", "t"), ("x-dlq-code", "c"), ("x-dlq-my-token", "***")]


def test_where_a_definition_says_the_sender_proves_itself_is_masked_whatever_its_name() -> None:
    told = orjson.dumps({"method": "POST", "path": "/x", "query": "k=v&page=2", "headers": {"x-door": "v", "x-other": "o"}})
    in_query = masks.request(told, Signature(query="k"))
    in_header = masks.request(told, Signature(header="X-Door"))
    assert in_query is not None
    assert in_header is not None
    assert (in_query.query, in_query.headers["x-door"]) == ("k=***&page=2", "v")
    assert (in_header.query, in_header.headers) == ("k=v&page=2", {"x-door": "***", "x-other": "o"})
    assert masks.masked("X-Door-7", Signature(header="x-door-", numbered=True))


@pytest.mark.parametrize(
    ("where", "body", "shown"),
    [
        ("/passcode", b'{ "n": 1.50, "passcode" : "s\\u0065cret", "big": 1e400 }\n', b'{ "n": 1.50, "passcode" : "***", "big": 1e400 }\n'),
        ("/passcode", b'{"passcode":"a","n":1,"passcode":"b"}', b'{"passcode":"***","n":1,"passcode":"***"}'),
        ("/pass~1code", b'{"pass\\/code":["a", {"b": null}]}', b'{"pass\\/code":"***"}'),
        ("/a/1/b", b'[{"a": 1}]', b'[{"a": 1}]'),
        ("/a/1/b", b'{"a":[{"b":0},{"b":9007199254740993,"c":{}}],"d":[]}', b'{"a":[{"b":0},{"b":"***","c":{}}],"d":[]}'),
        ("/a", b'{"a": 1} x', b'{"a": 1} x'),
        ("/a", b'{"a": 1', b'{"a": 1'),
        ("/a", b"\xff", b"\xff"),
        ("/a", b"", b""),
    ],
)
def test_a_secret_in_a_json_body_is_masked_and_the_rest_stays_byte_for_byte(where: str, body: bytes, shown: bytes) -> None:
    assert masks.body(body, Signature(path=where)) == shown


def test_a_secret_nested_as_deep_as_the_door_reads_is_masked_if_need_be_with_the_whole_body() -> None:
    body = b'{"a":{"b":' + b"[" * 1000 + b'"hidden"' + b"]" * 1000 + b"}}"
    assert orjson.loads(body)
    assert b"hidden" not in masks.body(body, Signature(path="/a/b"))


def test_a_secret_in_a_form_is_masked_and_a_body_without_one_stays() -> None:
    assert masks.body(b"a=1&%70w=x&pw&pw=y", Signature(form="pw")) == b"a=1&%70w=***&pw&pw=***"
    assert masks.body(b'{"pw": 1}', Signature(header="x-signature")) == b'{"pw": 1}'
    assert masks.body(b'{"pw": 1}', None) == b'{"pw": 1}'


@pytest.mark.parametrize("preset", [one for one in load_all() if one.verification.signature.path is not None], ids=lambda one: one.preset_id)
def test_what_presets_carry_in_the_body_is_masked(preset: Preset) -> None:
    definition = WebhookDefinition.model_validate({"endpoint_id": "shop", "preset": preset.preset_id})
    stored = StoredWebhook.model_validate({"definition": definition, "secrets": [], "created_at_ms": 0, "updated_at_ms": 0})
    path = pointer.parse(preset.verification.signature.path or "")
    sent = pointer.put(orjson.loads(preset.sample.body), path, "the-secret-itself")
    shown = masks.body(orjson.dumps(sent), masks.proof_of(stored))
    assert orjson.loads(shown) == pointer.put(sent, path, "***")
    assert b"the-secret-itself" not in shown


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("Authorization", True), ("X-Auth", True), ("x-author", False), ("X-Hub-Signature-256", True), ("design", False), ("x-csrf-token", True), ("date", False)],
)
def test_names_are_judged_by_what_they_hold(name: str, hidden: bool) -> None:
    assert masks.masked(name) is hidden


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [({"url": "https://example.com/"}, "active", None), ({}, "active", "no_url"), ({"url": "https://example.com/"}, "inactive", "inactive_endpoint")],
)
def test_a_dry_run_knows_which_deliveries_have_nowhere_to_go(fields: dict[str, str], status: str, code: str | None) -> None:
    definition = WebhookDefinition.model_validate({"endpoint_id": "shop", **fields})
    stored = StoredWebhook.model_validate({"definition": definition, "secrets": [], "status": status, "created_at_ms": 0, "updated_at_ms": 0})
    found = undeliverable(stored.model_dump_json(by_alias=True, exclude_none=True).encode(), {"state": "open", "off": None})
    assert (found.code if found is not None else None) == code


def test_a_delivery_of_no_endpoint_has_nowhere_to_go() -> None:
    found = undeliverable(None, {})
    assert found is not None
    assert found.code == "unknown_endpoint"


@pytest.mark.parametrize(("epoch", "code"), [(4, None), (5, "deliveries_off"), (6, "deliveries_off")])
def test_a_delivery_that_was_switched_off_and_not_on_since_is_buried_again(epoch: int, code: str | None) -> None:
    definition = WebhookDefinition.model_validate({"endpoint_id": "shop", "url": "https://example.com/"})
    stored = StoredWebhook.model_validate({"definition": definition, "secrets": [], "delivery_epoch": 5, "created_at_ms": 0, "updated_at_ms": 0})
    found = undeliverable(stored.model_dump_json(by_alias=True, exclude_none=True).encode(), {"off": {"epoch": epoch, "since_ms": 1, "why": "it answered 410"}})
    assert (found.code if found is not None else None) == code
    assert found is None or "it answered 410" in found.detail
