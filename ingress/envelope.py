"""From a verified request to the record that stands for it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from flows.core import ids, pointer, record
from flows.core.clock import rfc3339
from flows.core.resources import Dedupe, OrderingKey, WebhookFields
from flows.wire.entry import Headers

CREDENTIALS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"x-api-key"})
MOST_KEY: Final = 1024
"""Longest key of a record; a longer one is hashed, so that it still meets its equals."""


class Places(NamedTuple):
    """Where a definition says that the sender's id and the ordering key stand: JSON pointers cut up, header names in lower case."""

    id_path: pointer.Path | None = None
    id_header: bytes | None = None
    scheme_id: bool = True
    """Whether the id that the scheme found counts: nothing else was said."""
    order_path: pointer.Path | None = None
    order_header: bytes | None = None

    @classmethod
    def of(cls, definition: WebhookFields) -> "Places":
        """Work out the places once, for every request that comes."""
        dedupe, order = definition.dedupe, definition.ordering_key
        if isinstance(order, str):
            order = OrderingKey(path=order)
        says = dedupe if isinstance(dedupe, Dedupe) else Dedupe()
        return cls(
            pointer.parse(says.path) if says.path else None,
            says.header.lower().encode() if says.header else None,
            dedupe is not False and says.path is None and says.header is None,
            pointer.parse(order.path) if order and order.path else None,
            order.header.lower().encode() if order and order.header else None,
        )


class Identity(NamedTuple):
    """What a record is known by: the sender's own id, and the Kafka key."""

    sender_id: str | None
    key: bytes


def identify(places: Places, found: str | None, headers: Mapping[bytes, bytes], body: bytes) -> Identity:
    """Find the sender's id and the record's key: the ordering key where there is one, else the sender's id, else a hash of the body.

    A place that holds nothing counts as not named: a webhook is not turned away for it.
    """
    document: Any = None
    if places.id_path is not None or places.order_path is not None:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None  # its key is then its hash, and the flow says what is wrong with it
    sender_id = found if places.scheme_id else None
    if places.id_path is not None:
        sender_id = _scalar(pointer.get(document, places.id_path))
    elif places.id_header is not None:
        sender_id = headers.get(places.id_header, b"").decode("latin-1") or None
    order = None
    if places.order_path is not None:
        order = _scalar(pointer.get(document, places.order_path))
    elif places.order_header is not None:
        order = headers.get(places.order_header, b"").decode("latin-1")
    key = order or sender_id
    if not key:
        return Identity(sender_id, ids.content_id(body).encode())
    raw = key.encode("utf-8", "surrogatepass")
    return Identity(sender_id, raw if len(raw) <= MOST_KEY else ids.content_id(raw).encode())


def http_header(scope: Mapping[str, Any], hidden: frozenset[bytes]) -> bytes:
    """Write what is kept of the request, `x-http`: method, path, query and headers, credentials left out."""
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    shown: dict[str, str] = {}
    for raw, value in headers:
        if raw not in hidden:
            name, text = raw.decode("latin-1"), value.decode("latin-1")
            shown[name] = f"{shown[name]}, {text}" if name in shown else text  # RFC 9110 §5.3: repeated lines are one list
    return orjson.dumps({"method": scope["method"], "path": scope["path"], "query": scope["query_string"].decode("latin-1"), "headers": shown})


def attributes(endpoint_id: str, event_id: str, now_ms: int, content_type: str) -> Headers:
    """Return the CloudEvents attributes that every received webhook has."""
    return [
        (record.CE_ID, event_id),
        (record.CE_SOURCE, f"/webhooks/{endpoint_id}"),
        (record.CE_TIME, rfc3339(now_ms)),
        (record.CE_SPECVERSION, "1.0"),
        (record.CONTENT_TYPE, content_type),
    ]


def _scalar(value: Any) -> str | None:
    """Take texts and whole numbers for ids, as the flow does."""
    return str(value) if type(value) is int else value if type(value) is str and value else None
