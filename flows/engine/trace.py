"""Traces: for a record that asks for it, what each step decided, written in the transaction that carries its outputs."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

import orjson

from flows.core.deadletters.letters import event_id_of
from flows.core.record import TRACE, Output, Record
from flows.core.verdict import Await, Bury, Drop, Hold, Verdict
from flows.engine.batch import Batch
from flows.engine.contents import Decided
from flows.engine.letters import MOST_DETAIL
from flows.engine.portion import Place, place

MOST: Final = 100
"""Traces of one batch: any producer can ask for them."""
MOST_REASONS: Final = 50

Spot = dict[str, str | int]
"""Topic, partition and offset of an output."""


class Traces:
    """Collects what happens to the records of one batch that want a trace."""

    def __init__(self, flow: str, wanted: Mapping[Place, Record]) -> None:
        """Take the records."""
        self._flow = flow
        self._steps: dict[Place, list[dict[str, Any]]] = {where: [] for where in wanted}
        self._records = dict(wanted)
        self._spots: dict[Place, list[Spot]] = {where: [] for where in wanted}

    def __contains__(self, where: Place) -> bool:
        """Tell whether the record at a place wants a trace."""
        return where in self._records

    def after(self, step: str, batch: Batch) -> None:
        """Note what a step did with each of the records."""
        for where, steps in self._steps.items():
            decided = batch.decided.get(where)
            if decided is None:
                steps.append({"step": step, "verdict": "kept"})
            elif decided.step == step:
                steps.append({"step": step} | _told(decided.verdict))

    def delivered(self, where: Place, topic: str, partition: int, offset: int) -> None:
        """Note where an output of a record stands."""
        self._spots[where].append({"topic": topic, "partition": partition, "offset": offset})

    def outputs(self, topic: str, decided: Mapping[Place, Decided]) -> list[Output]:
        """Return the traces, to be written to `topic`."""
        found = []
        for where, record in self._records.items():
            event_id = event_id_of(record)
            end = decided.get(where)
            text = orjson.dumps(
                {
                    "event_id": event_id,
                    "flow": self._flow,
                    "outcome": _outcome(end.verdict if end else None),
                    "steps": self._steps[where],
                    "outputs": self._spots[where],
                }
            )
            found.append(Output(topic, f"trace/{event_id}".encode(), text))
        return found


def wanted(records: Iterable[Record]) -> dict[Place, Record]:
    """Return the records that want a trace, as many as one batch may have."""
    asking = (record for record in records if any(name == TRACE for name, _ in record.headers))
    return {place(record): record for record in islice(asking, MOST)}


def _outcome(verdict: Verdict | None) -> str:
    match verdict:
        case None:
            return "emitted"
        case Drop():
            return "dropped"
        case Bury():
            return "buried"
        case _:
            return "waiting"


def _told(verdict: Verdict) -> dict[str, Any]:
    match verdict:
        case Drop(reason, detail):
            return {"verdict": "dropped", "reason": reason} | ({"detail": _short(detail)} if detail else {})
        case Bury(reasons):
            told = [{"code": reason.code, "detail": _short(reason.detail), "pointer": reason.pointer} for reason in reasons[:MOST_REASONS]]
            return {"verdict": "buried", "reason": reasons[0].code, "detail": told}
        case Await(kind):
            return {"verdict": "awaiting", "detail": kind}
        case Hold(detail):
            return {"verdict": "held", "detail": _short(detail)}
        case _:
            return {"verdict": "retried", "reason": verdict.reason.code, "detail": _short(verdict.reason.detail), "due_ms": verdict.due_ms}


def _short(text: str) -> str:
    return text[:MOST_DETAIL].encode("utf-8", "replace").decode()
