"""What the records of a log tell about an event: read back what flows wrote when they decided on it."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import orjson

from flows.core import topics
from flows.core.deadletters.letters import letter_id
from flows.core.record import ORIGIN, RERUN, Record

WEBHOOK_STEPS: Final = ("admit", "dedupe", "events", "schema", "filter", "transform", "route")
"""The steps of the flow webhooks, in their order; the flow is built of them."""

Outcome = Literal["kept", "dropped", "buried"]


class Fate(NamedTuple):
    """What a flow decided about a record."""

    outcome: Outcome
    flow: str
    """Which; empty where the record does not say."""
    origin: str
    """`topic/partition/offset` of the record it was about."""
    step: str
    reason: str
    """The drop's reason, or the code of the first of the burial's; empty where it was kept."""
    detail: str
    told: Record
    """The record that tells it: the event itself, the dead letter, or the journal's entry."""

    @property
    def letter_id(self) -> str:
        """The id of the dead letter; only where it was buried."""
        return letter_id(self.told.partition, self.told.offset)


def fate_of(record: Record) -> Fate | None:
    """Read an output, a dead letter or an entry of the journal; None for what tells of nothing, as a rerun's output does."""
    if record.topic == topics.DLQ.name:
        place = "/".join(record.text(f"x-dlq-{part}") or "" for part in ("topic", "partition", "offset"))
        code = record.text("x-dlq-code") or ""
        return Fate("buried", record.text("x-dlq-flow") or "", place, record.text("x-dlq-step") or "", code, "", record)
    if record.topic == topics.JOURNAL.name:
        entry = entry_of(record)
        if entry is None or entry.get("kind") != "dropped":
            return None
        flow, origin, step, reason, detail = (str(entry.get(name) or "") for name in ("flow", "origin", "step", "reason", "detail"))
        return Fate("dropped", flow, origin, step, reason, detail, record)
    origin = record.text(ORIGIN) or ""
    return Fate("kept", "", origin, "", "", "", record) if origin and record.header(RERUN) is None else None


def entry_of(record: Record) -> Mapping[str, Any] | None:
    """Read an entry of the journal; None for what is none."""
    try:
        found = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
