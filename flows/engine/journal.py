"""The journal: what became of a record where no output and no dead letter tells it, written in the transaction that decided it."""

from collections.abc import Iterator

import orjson

from flows.core import topics
from flows.core.deadletters.letters import event_id_of
from flows.core.record import Output
from flows.core.verdict import Drop
from flows.engine.batch import Batch
from flows.engine.letters import MOST_DETAIL


def dropped(flow: str, batch: Batch) -> Iterator[Output]:
    """Give one entry for each record that a batch drops: step, reason, detail, and where the record stands. A record that is kept costs nothing."""
    for step, record, verdict in batch.decided.values():
        if isinstance(verdict, Drop):
            event_id = event_id_of(record)
            entry = {
                "event_id": event_id,
                "flow": flow,
                "at_ms": batch.now_ms,
                "kind": "dropped",
                "step": step,
                "reason": verdict.reason,
                "detail": verdict.detail[:MOST_DETAIL].encode("utf-8", "replace").decode(),
                "origin": record.origin,
            }
            yield Output(topics.JOURNAL.name, event_id.encode(), orjson.dumps(entry))
