"""Slow work: calls and files that must not hold up a batch.

An item is put in state and checkpointed first; only then it runs, on a thread. What it yields enters a later batch, and
the item's removal is checkpointed together with whatever that batch makes of it. So after a crash, or when its partition
moves, an item that was not finished runs again: at least once, and its effects on Kafka exactly once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, NamedTuple

import orjson

from flows.engine.entries import Entries

THREADS: Final = 256
"""Across all lanes; a lane has its own, much lower, limit."""
PREFIX: Final = b"work/"


class Task(NamedTuple):
    """What a handler is given: the item's id and what was submitted."""

    id: bytes
    payload: bytes


Handler = Callable[[Task], bytes]


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
    lane: str
    entry: bytes


class Ended(NamedTuple):
    """What a thread leaves behind."""

    item: Item
    result: bytes | None
    error: str | None


def pack(kind: str, lane: str, payload: bytes) -> bytes:
    """Encode an item: a line of JSON, then the payload."""
    return orjson.dumps([kind, lane]) + b"\n" + payload


def unpack(entry: bytes) -> tuple[str, str, bytes]:
    """Decode what `pack` made: kind, lane, payload."""
    head, _, payload = entry.partition(b"\n")
    kind, lane = orjson.loads(head)
    return kind, lane, payload


class Work:
    """The work of one partition, as a step sees it."""

    def __init__(self, entries: Entries, partition: int, holding: int) -> None:
        """Take the engine's own entries of the partition."""
        self._entries = entries
        self._partition = partition
        self._holding = holding
        self._submitted: list[Item] = []

    def submit(self, work_id: bytes, kind: str, payload: bytes, lane: str = "") -> None:
        """Put an item in state, to run once this batch is committed; one of the same id is replaced.

        Args:
            work_id: names the item within the partition.
            kind: which of the flow's handlers does it.
            payload: what the handler is given.
            lane: items of one lane share its slots, such as all calls to one target.

        """
        entry = pack(kind, lane, payload)
        self._entries.put(PREFIX + work_id, entry)
        self._submitted.append(Item(self._partition, self._holding, work_id, lane, entry))

    def cancel(self, work_id: bytes) -> None:
        """Remove an item; if it runs already, what it yields is ignored."""
        self._entries.delete(PREFIX + work_id)

    def take_submitted(self) -> list[Item]:
        """Return what was submitted since the last call; for the engine, after the commit."""
        taken, self._submitted = self._submitted, []
        return taken

    def unfinished(self) -> Iterator[Item]:
        """Give every item in state; for the engine, when the partition has come."""
        for key, entry in self._entries.scan(PREFIX):
            yield Item(self._partition, self._holding, key[len(PREFIX) :], unpack(entry)[1], entry)

    def take(self, ended: Ended) -> Finished | None:
        """Remove an ended item within the batch in hand and return it; None when it was cancelled or replaced meanwhile."""
        item = ended.item
        if item.holding != self._holding or not self.stands(item):
            return None
        self._entries.delete(PREFIX + item.id)
        kind, _, payload = unpack(item.entry)
        return Finished(item.partition, item.id, kind, payload, ended.result, ended.error)

    def stands(self, item: Item) -> bool:
        """Tell whether an item is still in state as it was submitted."""
        return self._entries.get(PREFIX + item.id) == item.entry


class Lanes:
    """Runs items on threads of its own: each lane in order of submission, a few at once.

    Everything but the handlers runs on the thread that runs the flow. The threads do not keep the process alive.
    """

    def __init__(self, handlers: Mapping[str, Handler], slots: int) -> None:
        """Take the handlers by kind, and how many items of a lane run at once."""
        self._handlers = handlers
        self._slots = slots
        self._lanes: dict[str, deque[Item]] = {}
        self._running: dict[str, int] = {}
        self._threads = 0
        self._jobs: SimpleQueue[Item] = SimpleQueue()
        self._ended: SimpleQueue[Ended] = SimpleQueue()

    @property
    def running(self) -> int:
        """Items that run now."""
        return sum(self._running.values())

    def add(self, item: Item) -> None:
        """Queue an item behind the others of its lane."""
        self._lanes.setdefault(item.lane, deque()).append(item)

    def start(self, stands: Callable[[Item], bool]) -> None:
        """Start what has a free slot; an item that does not stand any more is passed over."""
        for lane in [*self._lanes]:
            queue = self._lanes[lane]
            while queue and self._running.get(lane, 0) < self._slots and self.running < THREADS:
                item = queue.popleft()
                if stands(item):
                    self._running[lane] = self._running.get(lane, 0) + 1
                    self._jobs.put(item)
                    self._grow()
            if not queue:
                del self._lanes[lane]

    def ended(self) -> Iterator[Ended]:
        """Give what has ended since, one at a time; what is not taken stays."""
        while True:
            try:
                ended = self._ended.get_nowait()
            except Empty:
                return
            left = self._running[ended.item.lane] - 1
            if left:
                self._running[ended.item.lane] = left
            else:
                del self._running[ended.item.lane]
            yield ended

    def _grow(self) -> None:
        if self._threads < self.running:
            self._threads += 1
            Thread(target=self._labour, name=f"work-{self._threads}", daemon=True).start()

    def _labour(self) -> None:
        while True:
            item = self._jobs.get()
            self._ended.put(self._do(item))

    def _do(self, item: Item) -> Ended:
        kind, _, payload = unpack(item.entry)
        handler = self._handlers.get(kind)
        if handler is None:
            return Ended(item, None, f"nothing in this flow does work of the kind {kind!r}")
        try:
            return Ended(item, handler(Task(item.id, payload)), None)
        except Exception as error:  # noqa: BLE001  whatever it is, the step that asked for the work decides what follows
            return Ended(item, None, f"{type(error).__name__}: {error}")
