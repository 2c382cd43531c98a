"""What is shown of a dead letter, and what a dry run foresees of deliveries."""

import orjson
import pytest

from flows.core import topics
from flows.core.record import Record
from flows.core.resources import StoredWebhook, WebhookDefinition
from ingress import masks
from ingress.letterbox import headers_of, undeliverable

HTTP = {"method": "POST", "path": "/x", "query": "token=t&page=2&sig=s", "headers": {"x-signature": "s", "cookie": "c", "x-author": "me", "X-Session-Id": "z"}}


def letter(**headers: bytes) -> Record:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Record(topics.DLQ.name, 0, 0, 0, None, b"", named)


def test_credentials_of_a_kept_request_are_masked_in_headers_and_query() -> None:
    shown = headers_of(letter(x_http=orjson.dumps(HTTP), x_api_key=b"k", x_dlq_code=b"schema", ce_id=b"\xff"))
    assert set(shown) == {"x-http", "x-api-key", "ce-id"}
    assert shown["x-api-key"] == "***"
    assert orjson.loads(shown["x-http"]) == {
        "method": "POST",
        "path": "/x",
        "query": "token=***&page=2&sig=***",
        "headers": {"x-signature": "***", "cookie": "***", "x-author": "me", "X-Session-Id": "***"},
    }


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"headers": 1}'])
def test_a_request_that_cannot_be_read_is_masked_as_a_whole(raw: bytes) -> None:
    assert headers_of(letter(x_http=raw)) == {"x-http": "***"}


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
    found = undeliverable(stored.model_dump_json(by_alias=True, exclude_none=True).encode())
    assert (found.code if found is not None else None) == code


def test_a_delivery_of_no_endpoint_has_nowhere_to_go() -> None:
    found = undeliverable(None)
    assert found is not None
    assert found.code == "unknown_endpoint"
