"""Slow work: calls and files that must not hold up a batch.

An item is put in state and checkpointed first; only then it runs, on a thread or, where its handler is `async`, on a loop
of its own. What it yields enters a later batch, and the item's removal is checkpointed together with whatever that batch
makes of it. So after a crash, or when its partition moves, an item that was not finished runs again: at least once, and
its effects on Kafka exactly once.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final, NamedTuple

import orjson

from flows.core.record import Record
from flows.core.verdict import Await
from flows.engine.entries import Entries

PREFIX: Final = b"work/"
STEPS: Final = b"u"
RECORD: Final = b"r"
"""First byte of an item's id: submitted by a step, or awaited by a record, whose offset follows."""


class Task(NamedTuple):
    """What a handler is given: the item's id, what was submitted, and the record that waits for it, if one does."""

    id: bytes
    payload: bytes
    record: Record | None = None


Handler = Callable[[Task], bytes] | Callable[[Task], Awaitable[bytes]]
"""Does work; may run again after a crash, and may raise. An `async` one runs on the loop, beside thousands of others; it is cancelled when the worker ends."""


class Finished(NamedTuple):
    """A work item that has ended: with a result, or with an error's sentence."""

    partition: int
    id: bytes
    kind: str
    payload: bytes
    result: bytes | None
    error: str | None


class Item(NamedTuple):
    """A work item of one holding of a partition; after the partition has moved away and come back, the holding is another."""

    partition: int
    holding: int
    id: bytes
    entry: bytes
    kind: str
    lane: str
    slots: int | None

    @property
    def awaited(self) -> bool:
        """Whether a record waits for it, whose offset is its id."""
        return self.id[:1] == RECORD


class Ended(NamedTuple):
    """What has come of an item."""

    item: Item
    result: bytes | None
    error: str | None


class Awaited(NamedTuple):
    """A record's offset and its attempt, and what came of the work it has waited for."""

    offset: int
    attempt: int
    finished: Finished


class _Entry(NamedTuple):
    """An item as it stands in state."""

    kind: str
    lane: str
    slots: int | None
    attempt: int
    payload: bytes


def _pack(entry: _Entry) -> bytes:
    """Encode an item: a line of JSON, then the payload."""
    return orjson.dumps(entry[:-1]) + b"\n" + entry.payload


def _unpack(data: bytes) -> _Entry:
    head, _, payload = data.partition(b"\n")
    kind, lane, slots, attempt = orjson.loads(head)
    return _Entry(kind, lane, slots, attempt, payload)


class Work:
    """The work of one partition, as a step sees it."""

    def __init__(self, entries: Entries, partition: int, holding: int) -> None:
        """Take the engine's own entries of the partition."""
        self._entries = entries
        self._partition = partition
        self._holding = holding
        self._submitted: list[Item] = []

    def submit(self, work_id: bytes, kind: str, payload: bytes, lane: str = "", slots: int | None = None) -> None:
        """Put an item in state, to run once this batch is committed; one of the same id is replaced.

        Args:
            work_id: names the item within the partition.
            kind: which of the flow's handlers does it.
            payload: what the handler is given.
            lane: items of one lane share its slots, such as all calls to one target.
            slots: how many of the lane run at once; None: as the flow says.

        """
        self._put(STEPS + work_id, _Entry(kind, lane, slots, 0, payload))

    def cancel(self, work_id: bytes) -> None:
        """Remove an item; if it runs already, what it yields is ignored."""
        self._entries.delete(PREFIX + STEPS + work_id)

    def await_for(self, offset: int, attempt: int, verdict: Await) -> None:
        """Put the item in state that a record waits for; for the engine."""
        self._put(RECORD + offset.to_bytes(8, "big"), _Entry(verdict.kind, verdict.lane, verdict.slots, attempt, verdict.payload))

    def take_submitted(self) -> list[Item]:
        """Return what was submitted since the last call; for the engine, after the commit."""
        taken, self._submitted = self._submitted, []
        return taken

    def unfinished(self) -> Iterator[Item]:
        """Give every item in state; for the engine, when the partition has come."""
        for key, entry in self._entries.scan(PREFIX):
            yield self._item(key[len(PREFIX) :], entry, _unpack(entry))

    def take(self, ended: Ended) -> Finished | Awaited | None:
        """Remove an ended item within the batch in hand and return it; None when it was cancelled or replaced meanwhile."""
        item = ended.item
        if item.holding != self._holding or not self.stands(item):
            return None
        self._entries.delete(PREFIX + item.id)
        entry = _unpack(item.entry)
        finished = Finished(item.partition, item.id[1:], entry.kind, entry.payload, ended.result, ended.error)
        return Awaited(int.from_bytes(item.id[1:], "big"), entry.attempt, finished) if item.awaited else finished

    def stands(self, item: Item) -> bool:
        """Tell whether an item is still in state as it was submitted."""
        return self._entries.get(PREFIX + item.id) == item.entry

    def _put(self, item_id: bytes, entry: _Entry) -> None:
        packed = _pack(entry)
        self._entries.put(PREFIX + item_id, packed)
        self._submitted.append(self._item(item_id, packed, entry))

    def _item(self, item_id: bytes, packed: bytes, entry: _Entry) -> Item:
        return Item(self._partition, self._holding, item_id, packed, entry.kind, entry.lane, entry.slots)


def payload_of(item: Item) -> bytes:
    """Return what was submitted."""
    return _unpack(item.entry).payload
