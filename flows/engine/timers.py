"""Timers of one partition: any number, any delay, none in memory."""

from typing import Final, NamedTuple

from flows.core import codec
from flows.engine.queue import Queue
from flows.wire.rocks import Batch, Rocks


class DueTimer(NamedTuple):
    """A timer whose time has come."""

    id: bytes
    due_ms: int
    payload: bytes


class Timers:
    """Sets, cancels and hands out timers; what is done here counts once the batch in hand is applied, and is forgotten when it is discarded."""

    def __init__(self, db: Rocks, count: int) -> None:
        """Take the store and how many timers stand in it."""
        self._db = db
        self._queue: Final = Queue(db, codec.DUE)
        self.pending: Final[dict[bytes, bytes | None]] = {}
        """Entries changed by the batch in hand, by their key in the store."""
        self._set: dict[bytes, bytes] = {}
        """Those of them that are timers which stand: a batch that has taken thousands has few of these, and looks through them alone."""
        self.pending_count = count
        """Timers set and not yet handed out, as of the last batch applied."""
        self._taken: dict[bytes, bytes] = {}
        """Due times, as stored, of timers that `due` has taken since the last batch: they need not be looked up again."""
        self._passed = b""
        """All rows of the queue before this one are touched by the batch in hand."""

    def set(self, timer_id: bytes, due_ms: int, payload: bytes = b"") -> None:
        """Set a timer, or move the one of that id; in the past means at once.

        Raises:
            ValueError: `due_ms` is negative or no 64-bit number.

        """
        if not 0 <= due_ms < codec.TIME_END:
            raise ValueError(f"a timer's due time is milliseconds since the epoch, not {due_ms}")
        key = codec.TIMER + timer_id
        self.pending[key] = self._set[key] = codec.timer(due_ms, payload)

    def cancel(self, timer_id: bytes) -> None:
        """Remove a timer; one that does not exist is no error."""
        key = codec.TIMER + timer_id
        self.pending[key] = None
        self._set.pop(key, None)

    def due(self, now_ms: int, limit: int) -> list[DueTimer]:
        """Take at most `limit` timers due by `now_ms`, earliest first, equal times by id.

        Taking removes: the removal is part of the batch in hand, so it is checkpointed together with the timers' effects,
        and undone when the batch is discarded. A step may set the same id again.
        """
        standing = self._standing(now_ms, limit)
        found = [DueTimer(row[codec.HEAD_BYTES :], codec.unpack_time(row, 1), payload) for row, payload in standing]
        self._taken.update((codec.TIMER + row[codec.HEAD_BYTES :], row[1 : codec.HEAD_BYTES]) for row, _ in standing)
        if self._set:
            found += [timer for timer in map(_timer, self._set.items()) if timer.due_ms <= now_ms]
            found = sorted(found, key=lambda timer: (timer.due_ms, timer.id))[:limit]
        if found:
            for timer in found:
                self.cancel(timer.id)
            self._passed = max(self._passed, codec.DUE + codec.pack_time(found[-1].due_ms) + found[-1].id)
        return found

    def _standing(self, now_ms: int, limit: int) -> list[tuple[bytes, bytes]]:
        """Rows of timers due by `now_ms` that the batch in hand has not touched."""
        rows: list[tuple[bytes, bytes]] = []
        if limit <= 0:
            return rows
        for row in self._queue.until(now_ms, self._passed):
            if codec.TIMER + row[0][codec.HEAD_BYTES :] not in self.pending:
                rows.append(row)
                if len(rows) == limit:
                    break
        return rows

    def next_due_ms(self) -> int | None:
        """When the earliest timer is due, None without one; cheap between batches."""
        if not self.pending:
            return self._queue.first_ms()
        times = [timer.due_ms for timer in map(_timer, self._set.items())]
        standing_ms = self._queue.first_other_ms(lambda name: codec.TIMER + name in self.pending, self._passed)
        return min(times if standing_ms is None else [*times, standing_ms], default=None)

    def write(self, batch: Batch, changes: dict[bytes, bytes | None]) -> int:
        """Put changed timers and their places in the queue into a batch; return how many timers stand after it."""
        if not changes:
            return self.pending_count
        put, delete = batch.put, batch.delete
        earliest: bytes | None = None
        stored: dict[bytes, bytes | None] = dict(self._taken)
        missing = [key for key in changes if key not in stored]
        stored.update(zip(missing, self._db.get_many(missing), strict=True))
        for key, entry in changes.items():
            old_due = stored[key]
            if old_due is not None:
                delete(codec.DUE + old_due + key[1:])
                self.pending_count -= 1
            if entry is None:
                delete(key)
                continue
            due = entry[1 : codec.HEAD_BYTES]
            row = codec.DUE + due + key[1:]
            put(key, due)
            put(row, entry[codec.HEAD_BYTES :])
            self.pending_count += 1
            if earliest is None or row < earliest:
                earliest = row
        self._queue.changed(earliest)
        return self.pending_count

    def discard(self) -> None:
        """Forget what the batch in hand has done."""
        self.pending.clear()
        self._set.clear()
        self._taken.clear()
        self._passed = b""

    def emptied(self) -> None:
        """Take note that the store was thrown away."""
        self.discard()
        self.pending_count = 0
        self._queue.emptied()


def _timer(item: tuple[bytes, bytes]) -> DueTimer:
    key, entry = item
    return DueTimer(key[1:], codec.unpack_time(entry, 1), entry[codec.HEAD_BYTES :])
