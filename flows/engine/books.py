"""Carries out what a batch's steps have decided, and counts it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from flows.core.record import Output, Record
from flows.core.verdict import Await, Bury, Hold, Retry
from flows.engine.batch import Batch
from flows.engine.contents import Decided
from flows.engine.flow import UNKNOWN, Flow
from flows.engine.letters import Where, letter
from flows.engine.portion import Place, place
from flows.engine.share import Share
from flows.engine.tally import Change, changes

MOST_RESOURCE: Final = 200

Ledger = dict[int, dict[str, Change]]
"""What a batch adds to the tallies, by partition and resource."""


class Books:
    """Keeps the tallies of a flow; all of it is part of the batch in hand."""

    def __init__(self, flow: Flow, version: str) -> None:
        """Take the flow, which knows what a record is counted under, and the code's version for dead letters."""
        self._flow = flow
        self._version = version

    def book(self, batch: Batch, touched: Mapping[int, Share]) -> Ledger:
        """Put records that wait into state, count every record once, and return what was counted."""
        waited = {place(waited.record): waited.resource for waited in batch.taken.again}
        decided = [*self._named(batch)]
        self._keep(decided, set(waited), touched)
        ledger: Ledger = {}
        for number, share in touched.items():
            returned = [resource for where, resource in waited.items() if where[0] == number]
            gone = [(resource, entry.verdict) for resource, entry in decided if entry.record.partition == number]
            found = changes(self._arrived(batch, number), returned, gone)
            if found:
                ledger[number] = found
                share.tallies.add(found, batch.now_ms)
        return ledger

    def _keep(self, decided: Iterable[tuple[str, Decided]], waited: set[Place], touched: Mapping[int, Share]) -> None:
        """Put into state what waits, and let go of what waited until now and does not any more."""
        for resource, entry in decided:
            if isinstance(entry.verdict, Retry | Await | Hold):
                where = place(entry.record)
                touched[where[0]].waits.keep(resource, entry.record, entry.verdict, held=where in waited)
                waited.discard(where)
        for number, offset in waited:
            touched[number].waits.forget(offset)

    def letters(self, batch: Batch) -> list[Output]:
        """Return the dead letters of what was buried."""
        return [self._letter(batch, resource, entry, entry.verdict) for resource, entry in self._named(batch) if isinstance(entry.verdict, Bury)]

    def _letter(self, batch: Batch, resource: str, entry: Decided, verdict: Bury) -> Output:
        return letter(Where(self._flow.name, entry.step, resource), entry.record, verdict, batch.now_ms, self._version)

    def _named(self, batch: Batch) -> Iterable[tuple[str, Decided]]:
        """Give what was decided, each with what its record is counted under."""
        waited = {place(waited.record): waited.resource for waited in batch.taken.again}
        return ((waited.get(where) or self._name(entry.record, batch), entry) for where, entry in batch.decided.items())

    def _arrived(self, batch: Batch, number: int) -> Mapping[str, int]:
        if self._flow.resource is None:
            return {UNKNOWN: len(batch.taken.fresh.get(number, ()))}
        found: Counter[str] = Counter()
        for name, count in Counter(map(self._flow.resource, batch.arrived(number))).items():
            found[self._known(name, batch)] += count
        return found

    def _name(self, record: Record, batch: Batch) -> str:
        return UNKNOWN if self._flow.resource is None else self._known(self._flow.resource(record), batch)

    def _known(self, name: str, batch: Batch) -> str:
        kind = self._flow.resource_kind
        if kind is not None and batch.config.get(kind, name) is None:
            return UNKNOWN
        return name[:MOST_RESOURCE] or UNKNOWN
