"""A case: one record on its way through a flow's steps, with everything that more than one of them needs, made once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from flows.core import ids
from flows.core.clock import rfc3339
from flows.core.expressions import Scope
from flows.core.foreign import misread
from flows.core.pointer import ABSENT
from flows.core.record import CE_ID, CE_TIME, CE_TYPE, HTTP, Record
from flows.core.rules import Rules

MAX_TEXT: Final = 512
"""Longest id or event type that is believed, in characters."""
_UNREAD: Final = object()


@dataclass(frozen=True, slots=True)
class Identity:
    """What a record is known by to its sender: ids of different kinds never equal one another."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is to be done with the records of one resource: a definition, ready to run. Equal to itself only."""

    name: str
    rules: Rules
    topic: str
    """Where its events go."""
    former: tuple[str, ...]
    """Where they went by earlier definitions."""
    identify: Callable[["Case"], Identity | None]
    """Finds the sender's id of a record; None: it has none to compare."""
    event_type: Callable[["Case"], str | None]
    """Finds what kind of event a record is that does not say so itself."""
    type_in_body: bool = False
    """Whether the body is where that stands, and no header alone."""
    delivers: Literal["original", "transformed"] | None = None
    """Which bytes of an event are to be delivered over HTTP; None: it is not."""
    window_ms: int | None = None
    """How long an id is remembered; None: as the settings say."""


class Case:
    """One record, and what has been found out about it. Lives for one batch."""

    __slots__ = ("_document", "_scope", "_type", "event_id", "fault", "headers", "key", "plan", "received_at", "record", "value", "window_ms")

    def __init__(self, record: Record, headers: dict[str, bytes], plan: Plan) -> None:
        """Take a record, its headers by name (the last of each) and what is to be done with it.

        The headers become the case's own: an id and a time that are missing or unreadable are put in, an unreadable type is taken out.
        """
        self.record = record
        self.headers = headers
        self.plan = plan
        self.event_id = _attribute(headers, CE_ID) or _put(headers, CE_ID, ids.origin_id(record.topic, record.partition, record.offset))
        self.received_at = _attribute(headers, CE_TIME) or _put(headers, CE_TIME, rfc3339(record.timestamp_ms))
        """When it was received, RFC 3339."""
        self.value = record.value
        """What will be the event's value: the bytes that came in, until a transform makes others."""
        self.key: bytes | None = None
        """Where deduplication keeps it; None: nothing is compared."""
        self.window_ms = 0
        self.fault = "", ""
        """Why the body cannot be read as JSON, once `document` was asked for: a code, and what it is or has."""
        self._document: Any = _UNREAD
        self._scope: Scope | None = None
        self._type: Any = _attribute(headers, CE_TYPE) or _UNREAD

    @property
    def document(self) -> Any:
        """The body as JSON, parsed on first use; `ABSENT` when it cannot be read, and `fault` then says why."""
        if self._document is _UNREAD:
            try:
                self._document = orjson.loads(self.record.value or b"")
            except orjson.JSONDecodeError as error:
                self._document, self.fault = ABSENT, misread(error)
        return self._document

    @property
    def event_type(self) -> str | None:
        """What kind of event it is: what the record says, else what its plan finds, on first use."""
        if self._type is _UNREAD:
            self._type = self.plan.event_type(self)
        found: str | None = self._type
        return found

    @property
    def sender_headers(self) -> dict[str, str]:
        """The headers its sender gave it, names in lower case: of the HTTP request, else of the record."""
        try:
            found = orjson.loads(self.headers[HTTP])["headers"]
            return {name.lower(): value for name, value in found.items() if isinstance(value, str)}
        except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError):  # not by the ingress, or not as it writes them
            return {name.lower(): value for name, raw in self.headers.items() if (value := text(raw)) is not None}

    @property
    def scope(self) -> Scope:
        """The variables of expressions; what costs something is made on first use."""
        if self._scope is None:
            values = {"type": self.event_type or "", "id": self.event_id, "endpoint": self.plan.name}
            self._scope = Scope(values, body_bytes=len(self.record.value or b""), late=self._late)
        return self._scope

    def _late(self, name: str) -> Any:
        if name == "body":
            return self.document
        return self.sender_headers if name == "headers" else self.received_at


def _attribute(headers: dict[str, bytes], name: str) -> str | None:
    found = text(headers.get(name))
    if found is None:
        headers.pop(name, None)
    return found


def _put(headers: dict[str, bytes], name: str, value: str) -> str:
    headers[name] = value.encode()
    return value


def text(raw: bytes | None) -> str | None:
    """Read a header as a short text; None for anything else."""
    if not raw or len(raw) > MAX_TEXT:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
