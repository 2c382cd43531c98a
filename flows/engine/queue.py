"""Rows of a store that stand in the order of a time: which timers come due, which entries expire."""

from collections.abc import Callable, Iterator

from flows.core import codec
from flows.wire.rocks import Rocks


class Queue:
    """Reads one namespace of time-ordered rows from its head; the rows are written by whoever applies a batch.

    Rows are taken from the head and deleted, and RocksDB steps over every deleted row until it has compacted them away.
    So the queue remembers where its head was and never looks before it: each deleted row is stepped over twice at most.
    """

    def __init__(self, db: Rocks, namespace: bytes) -> None:
        """Take the store, and the byte its rows begin with."""
        self._db = db
        self._namespace = namespace
        self._end = codec.after(namespace)
        self._floor = namespace
        """No row stands before this one."""
        self._first_ms: int | None = None
        self._known = False
        """Whether `_first_ms` is what the store says."""

    def until(self, now_ms: int, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give rows with a time up to and including `now_ms`, earliest first, none before `start`."""
        first_ms = self.first_ms()
        if first_ms is not None and first_ms <= now_ms:
            yield from self._db.rows(max(self._floor, start), self._namespace + codec.pack_time(now_ms + 1))

    def first_ms(self) -> int | None:
        """Time of the first row, None without one; reads the store only after a change at the head."""
        if not self._known:
            first = next(self._db.rows(self._floor, self._end), None)
            self._floor, self._first_ms = (first[0], codec.unpack_time(first[0], 1)) if first else (self._end, None)
            self._known = True
        return self._first_ms

    def first_other_ms(self, touched: Callable[[bytes], bool], start: bytes) -> int | None:
        """Time of the first row from `start` on whose name is none of the `touched`, None without one."""
        for row, _ in self._db.rows(max(self._floor, start), self._end):
            if not touched(row[codec.HEAD_BYTES :]):
                return codec.unpack_time(row, 1)
        return None

    def changed(self, earliest: bytes | None) -> None:
        """Take note that rows were written or deleted; `earliest` is the first one written."""
        self._known = False
        if earliest is not None and earliest < self._floor:
            self._floor = earliest

    def emptied(self) -> None:
        """Take note that the store was thrown away."""
        self._floor, self._known = self._namespace, False
