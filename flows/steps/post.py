"""The call of a delivery: signs an event and posts it; what came of it is told as data."""

import base64
import logging
from functools import lru_cache
from typing import Any, Final

import orjson

from flows.core import delivery
from flows.core.clock import Clock
from flows.core.egress import Answer, Outgoing
from flows.core.errors import WrongSetting
from flows.core.outcome import SECRET_UNUSABLE
from flows.core.record import CE_ID, Record
from flows.core.resources import delivery_context
from flows.engine import Task
from flows.wire.egress import Egress
from flows.wire.vault import Vault

LOG: Final = logging.getLogger(__name__)
KEPT_BYTES: Final = 1024
"""Of an answer's body, for the journal."""


class Post:
    """Does the work `post`: asynchronous, any number at once. Its result is what `read_result` reads."""

    def __init__(self, egress: Egress, vault: Vault, clock: Clock, version: str) -> None:
        """Take the way out, what opens secrets, the clock for signatures, and how we name ourselves."""
        self._egress = egress
        self._clock = clock
        self._agent = f"xyra-integration/{version}"
        self._key = lru_cache(maxsize=4096)(lambda sealed, context: delivery.key_of(vault.open(sealed, context)))

    async def __call__(self, task: Task) -> bytes:
        """Make one attempt; the target may get it twice, under one `webhook-id`."""
        order = orjson.loads(task.payload)
        record = task.record
        if record is None:
            raise ValueError("a delivery is a record's work")
        at_ms, begin = self._clock.now_ms(), self._clock.monotonic()
        try:
            keys = [self._key(sealed, delivery_context(order["name"], secret_id)) for secret_id, sealed in order["secrets"]]
        except (WrongSetting, ValueError) as error:
            LOG.warning("A delivery of %s cannot be signed: %s", order["name"], error)
            return orjson.dumps({"at_ms": at_ms, "took_ms": 0, "error": SECRET_UNUSABLE.code, "detail": str(error)})
        body = record.value or b""
        headers = delivery.headers(record, webhook_id(record), body, keys, at_ms, self._agent)
        outcome = await self._egress.call(Outgoing("POST", order["url"], tuple(headers), body, order["timeout_s"], KEPT_BYTES, repeatable=True))
        took_ms = round((self._clock.monotonic() - begin) * 1000)
        if isinstance(outcome, Answer):
            return orjson.dumps({"at_ms": at_ms, "took_ms": took_ms, "status": outcome.status} | _answer(outcome))
        return orjson.dumps({"at_ms": at_ms, "took_ms": took_ms, "error": outcome.code, "detail": outcome.detail})


def webhook_id(record: Record) -> str:
    """Return the `webhook-id` of a delivery: the event's own, else the place of its record, the same for every attempt."""
    return delivery.message_id(record.text(CE_ID) or record.origin)


def _answer(answer: Answer) -> dict[str, Any]:
    asked = next((value for name, value in answer.headers if name == "retry-after"), None)
    found: dict[str, Any] = {} if asked is None else {"retry_after": asked}
    if answer.body:
        try:
            found["answer"] = answer.body.decode()
        except UnicodeDecodeError:
            found["answer_base64"] = base64.b64encode(answer.body).decode()
    return found
