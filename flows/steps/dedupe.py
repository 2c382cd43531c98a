"""Deduplication: an id that has become an event within the window becomes none again.

Two steps. `Known` looks at what the state remembers and drops duplicates early; `remember` stands where events are written, so that
only what became an event counts as seen (WHY.md says why). Equal ids meet in one partition, a partition's records are worked on in
order by one worker, and the memory is written in the transaction that writes the event: there is nothing to race with.
"""

import hashlib
from typing import Final, NamedTuple

from flows.core.case import Case, Identity
from flows.core.record import Record
from flows.engine.batch import Batch
from flows.engine.portion import place
from flows.steps.desk import Desk

DUPLICATE: Final = "duplicate"
SLACK_MS: Final = 86_400_000
"""How much longer than the window an id is kept: a worker that stood still for a day still knows every duplicate."""
MOST_ID: Final = 128
TIME_BYTES: Final = 8


class First(NamedTuple):
    """The record that an id was first seen on."""

    ingested_ms: int
    event_id: str

    def pack(self) -> bytes:
        """Encode it as a state value."""
        return max(0, self.ingested_ms).to_bytes(TIME_BYTES, "big") + self.event_id[:MOST_ID].encode("utf-8", "replace")

    @classmethod
    def unpack(cls, value: bytes) -> "First":
        """Decode what `pack` made."""
        return cls(int.from_bytes(value[:TIME_BYTES], "big"), value[TIME_BYTES:].decode("utf-8", "replace"))


def key_of(resource: str, identity: Identity) -> bytes:
    """Return the state key of an id: a hash of bounded size over length-prefixed parts, so that no two tuples look alike."""
    parts = [part.encode("utf-8", "surrogatepass") for part in (resource, identity.kind, identity.value)]
    framed = b"%d %d %d " % (len(parts[0]), len(parts[1]), len(parts[2])) + b"".join(parts)
    return b"seen/" + hashlib.blake2b(framed, digest_size=16).digest()


class Known:
    """The step that drops what the state already knows; one trip to the store for each partition of a batch."""

    def __init__(self, desk: Desk) -> None:
        """Take the desk."""
        self._desk = desk

    def __call__(self, batch: Batch) -> None:
        """Look every record up."""
        partitions: dict[int, list[Case]] = {}
        for case in self._desk.cases(batch):
            if case.key is not None:
                partitions.setdefault(case.record.partition, []).append(case)
        for partition, cases in partitions.items():
            found = batch.state(partition).get_many([case.key for case in cases if case.key is not None])
            for case, value in zip(cases, found, strict=True):
                if value is not None:
                    drop_if_late(batch, case.record, First.unpack(value), case.window_ms)


class Memory:
    """What a batch itself has turned into events so far; `remember` asks it about the second copy of one batch."""

    def __init__(self, batch: Batch) -> None:
        """Begin with nothing."""
        self._batch = batch
        self._firsts: dict[bytes, First] = {}

    def repeats(self, case: Case) -> bool:
        """Drop a case whose id this batch has already turned into an event, and say whether it was one."""
        first = self._firsts.get(case.key) if case.key is not None else None
        return first is not None and drop_if_late(self._batch, case.record, first, case.window_ms)

    def remember(self, case: Case) -> None:
        """Write an id into state, unless its record was buried after all."""
        if case.key is None or place(case.record) in self._batch.decided:
            return
        now_ms = self._batch.now_ms
        first = First(case.record.timestamp_ms if case.record.timestamp_ms >= 0 else now_ms, case.event_id)
        self._firsts[case.key] = first
        self._batch.state(case.record.partition).put(case.key, first.pack(), expires_at_ms=now_ms + case.window_ms + SLACK_MS)


def drop_if_late(batch: Batch, record: Record, first: First, window_ms: int) -> bool:
    """Drop a record that came within the window after the first of its id; the window is measured between their times of ingestion."""
    ingested_ms = record.timestamp_ms if record.timestamp_ms >= 0 else batch.now_ms
    if ingested_ms >= first.ingested_ms + window_ms:
        return False
    batch.drop(record, DUPLICATE, f"the first one is {first.event_id}")
    return True
