"""The call of a delivery: signs an event and posts it; what came of it is told as data."""

import base64
import logging
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from flows.core import topics
from flows.core.clock import Clock
from flows.core.errors import WrongSetting
from flows.core.outbound import delivery
from flows.core.outbound.egress import Answer, Outgoing
from flows.core.outbound.outcome import SECRET_UNUSABLE, UNKNOWN_ERROR
from flows.core.record import CE_ID, Output, Record
from flows.core.resources import delivery_context
from flows.engine import Finished, Task, attempt
from flows.wire.egress import Egress
from flows.wire.vault import Vault

LOG: Final = logging.getLogger(__name__)
KEPT_BYTES: Final = 1024
"""Of an answer's body, for the journal."""
REST_S: Final = 1.0
"""How long that is waited for, once the answer's head has said what becomes of the delivery."""
MOST_KEYS: Final = 4096
"""Opened secrets that are remembered."""


class Order(NamedTuple):
    """What is to be done, as it lies in state: the definition as it stood when the record was let go, its secrets sealed."""

    name: str
    url: str
    timeout_s: float
    generation: int
    secrets: tuple[tuple[str, str], ...]
    """Id and sealed text, the newest first."""

    def text(self) -> bytes:
        """Write it down."""
        return orjson.dumps([*self])

    @classmethod
    def read(cls, text: bytes) -> "Order":
        """Read what `text` has written."""
        return cls._make(orjson.loads(text))


class Told(NamedTuple):
    """What came of a call."""

    at_ms: int
    took_ms: int
    status: int | None = None
    error: str = ""
    """Why there is no status."""
    detail: str = ""
    retry_after: str | None = None
    answer: str | None = None
    """The first of the answer's body: as text, else in base64."""
    answer_base64: str | None = None

    def entry(self, flow: str, record: Record, resource: str, code: str, due_ms: int | None) -> Output:
        """Write an attempt down for the journal."""
        event_id = record.text(CE_ID) or record.origin
        entry = {
            "event_id": event_id,
            "flow": flow,
            "at_ms": self.at_ms,
            "kind": "attempt",
            "resource": resource,
            "attempt": attempt(record) + 1,
            "status": self.status,
            "latency_ms": self.took_ms,
            "outcome": code,
            "error_code": self.error or None,
            "answer": self.answer,
            "answer_base64": self.answer_base64,
            "next_due_ms": due_ms,
        }
        return Output(topics.JOURNAL.name, event_id.encode(), orjson.dumps({name: value for name, value in entry.items() if value is not None}))


def told_by(result: Finished, now_ms: int) -> Told:
    """Return what a call told; one that raised was a bug of ours, and is told as an error nobody knows."""
    return Told._make(orjson.loads(result.result)) if result.result is not None else Told(now_ms, 0, None, UNKNOWN_ERROR.code, result.error or "")


class Post:
    """Does an `Order`: asynchronous, any number at once. Its result is what `told_by` reads."""

    def __init__(self, egress: Egress, vault: Vault, clock: Clock, version: str) -> None:
        """Take the way out, what opens secrets, the clock for signatures, and how we name ourselves."""
        self._egress = egress
        self._clock = clock
        self._agent = f"xyra-integration/{version}"
        self._key = lru_cache(maxsize=MOST_KEYS)(lambda sealed, context: delivery.key_of(vault.open(sealed, context)))

    async def __call__(self, task: Task) -> bytes:
        """Make one attempt; the target may get it twice, under one `webhook-id`."""
        return orjson.dumps([*await self._attempt(task)])

    async def _attempt(self, task: Task) -> Told:
        order, record = Order.read(task.payload), task.record
        if record is None:
            raise ValueError("a delivery is a record's work")
        at_ms, begin = self._clock.now_ms(), self._clock.monotonic()
        try:
            keys = [self._key(sealed, delivery_context(order.name, secret_id)) for secret_id, sealed in order.secrets]
        except (WrongSetting, ValueError) as error:
            LOG.warning("A delivery of %s cannot be signed: %s", order.name, error)
            return Told(at_ms, 0, None, SECRET_UNUSABLE.code, str(error))
        body = record.value or b""
        headers = delivery.headers(record, webhook_id(record), body, keys, at_ms, self._agent)
        request = Outgoing("POST", order.url, tuple(headers), body, order.timeout_s, KEPT_BYTES, repeatable=True, rest_s=REST_S)
        outcome = await self._egress.call(request)
        took_ms = round((self._clock.monotonic() - begin) * 1000)
        if not isinstance(outcome, Answer):
            return Told(at_ms, took_ms, None, outcome.code, outcome.detail)
        asked = next((value for name, value in outcome.headers if name == "retry-after"), None)
        return Told(at_ms, took_ms, outcome.status, "", "", asked, **_shown(outcome.body))


def webhook_id(record: Record) -> str:
    """Return the `webhook-id` of a delivery: the event's own, else the place of its record, the same for every attempt."""
    return delivery.message_id(record.text(CE_ID) or record.origin)


def _shown(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        return {"answer": body.decode()}
    except UnicodeDecodeError:
        return {"answer_base64": base64.b64encode(body).decode()}
