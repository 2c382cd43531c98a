"""The state of one source partition: entries, timers, and how far its changelog has been read, all in one store."""

import logging
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from flows.core import codec
from flows.core.clock import Clock, SystemClock
from flows.core.errors import StateDamaged, StateNewer
from flows.engine.entries import Entries
from flows.engine.overlay import Overlay
from flows.engine.queue import Queue
from flows.engine.timers import Timers
from flows.wire.rocks import Batch, Rocks, Stores

LOG: Final = logging.getLogger(__name__)
RECENT_BYTES: Final = 1 << 20
"""What one generation of recently used entries may take, per partition: some 5,000 small ones, and there are two generations."""

_FORMAT: Final = codec.META + b"format"
_HEAD: Final = codec.META + b"head"
_format = struct.Struct(">H")
_head = struct.Struct(">QQQ")
_SOURCE: Final = b"source"
Changes = dict[bytes, bytes | None]
"""Logical entries by key; None deletes."""


class _Head(NamedTuple):
    """The row that says what a store holds; part of every batch."""

    position: int
    timers: int
    written_ms: int


_EMPTY: Final = _Head(0, 0, 0)


class _OlderFormatError(Exception):
    """A store of an older format."""


def _read_head(db: Rocks) -> _Head:
    """Read what a store holds; a new one holds nothing."""
    stamp, head = db.get(_FORMAT), db.get(_HEAD)
    if db.serial == 0:
        return _EMPTY
    if stamp is None or head is None or len(stamp) != _format.size or len(head) != _head.size:
        raise StateDamaged(f"The state store {db.path} is damaged: it does not say which format it has and how far it got.")
    found: int = _format.unpack(stamp)[0]
    if found > codec.FORMAT:
        raise StateNewer(
            f"The state store {db.path} has format {found}; this version reads up to {codec.FORMAT}. "
            "Start the version that wrote it. To go back for good, delete the store and its changelog topic, and with them this state."
        )
    if found < codec.FORMAT:
        raise _OlderFormatError(f"The state store {db.path} has format {found}; this version writes {codec.FORMAT}.")
    return _Head(*_head.unpack(head))


def _opened(db: Rocks) -> tuple[_Head, str]:
    """Open a store; return what it holds, and why it had to be thrown away, if it had."""
    try:
        db.open()
        return _read_head(db), ""
    except (StateDamaged, _OlderFormatError) as error:
        LOG.warning("%s Rebuilding it from the changelog now.", error)
        db.reset()
        return _EMPTY, "damaged" if isinstance(error, StateDamaged) else "format"
    except StateNewer:
        db.close()
        raise


def _nobody(_reason: str) -> None:
    """Stand in for somebody who wants to know."""


class PartitionState:
    """State of one assigned partition. Not thread-safe: it belongs to the thread that runs the flow.

    What steps change is *pending* until `apply`, which the checkpoint calls after the commit (step 4), and is forgotten by
    `discard`. After a crash the store holds the batches applied before it; the changelog has those that were committed.
    """

    def __init__(self, db: Rocks, head: _Head, partition: int, clock: Clock, on_rebuilt: Callable[[str], None]) -> None:
        """Take an open store and what it holds; use `open`."""
        self.partition = partition
        self._db = db
        self._clock = clock
        self._on_rebuilt = on_rebuilt
        self._overlay = Overlay(db, RECENT_BYTES)
        self._overlay.now_ms = clock.now_ms()
        self._expiries = Queue(db, codec.EXPIRY)
        self.position = head.position
        """The next offset of the changelog that this store has not seen."""
        self._written_ms = head.written_ms
        self.timers: Final = Timers(db, head.timers)
        self.user: Final = Entries(self._overlay, codec.USER)
        self.internal: Final = Entries(self._overlay, codec.ENGINE)
        """The engine's own entries (tallies, waiting records, work items): no key of a step can collide with them."""
        self.get: Final = self.user.get
        self.get_many: Final = self.user.get_many
        self.put: Final = self.user.put
        self.delete: Final = self.user.delete
        self.scan: Final = self.user.scan

    @classmethod
    def open(
        cls,
        directory: Path,
        partition: int,
        stores: Stores | None = None,
        clock: Clock | None = None,
        on_rebuilt: Callable[[str], None] = _nobody,
    ) -> "PartitionState":
        """Open the store `directory/<partition>`, or make it; blocks on the disk, and as long as `stores` allows for another process.

        A damaged store, or one of an older format, is thrown away: `position` is then 0, `on_rebuilt` is told why
        (`damaged` or `format`), and replaying the changelog brings everything back.

        Args:
            directory: where a flow's stores lie.
            partition: the source partition.
            stores: shared by all stores of the process, so that their sum is bounded.
            clock: tells when a store was last written.
            on_rebuilt: counts `signals.STATE_REBUILT`.

        Raises:
            Busy: another process holds the store.
            StateNewer: a newer version of this project wrote it.
            StateDamaged: not even an empty store can be made.
            Unavailable: the disk is full or not ours.

        """
        db = Rocks(directory / str(partition), stores or Stores())
        head, reason = _opened(db)
        if reason:
            on_rebuilt(reason)
        state = cls(db, head, partition, clock or SystemClock(), on_rebuilt)
        if db.serial == 0:
            state.replay({}, 0)  # so that a store that comes back without a single write is known to be damaged
        return state

    @property
    def now_ms(self) -> int:
        """The time by which entries expire, milliseconds since the epoch; the engine sets it once per batch."""
        return self._overlay.now_ms

    @now_ms.setter
    def now_ms(self, value: int) -> None:
        self._overlay.now_ms = value

    @property
    def age_ms(self) -> int:
        """How long ago the store was last written, in milliseconds; 0 for a new one."""
        return self._clock.now_ms() - self._written_ms if self._written_ms else 0

    def pending(self) -> Iterable[tuple[bytes, bytes | None]]:
        """Give what the batch in hand has changed, as it stands on the changelog: each entry once, None for a tombstone."""
        yield from self._overlay.pending.items()
        yield from self.timers.pending.items()

    @property
    def source(self) -> int:
        """The offset of the source behind the last batch that is in here; 0 before the first one.

        An entry like any other, so that it is as true as they are: what the changelog says of it was committed together with the group's own offset.
        """
        return int(self.internal.get(_SOURCE) or 0)

    def passed(self, offset: int) -> None:
        """Note the offset of the source behind the batch in hand, as part of it."""
        if offset > self.source:
            self.internal.put(_SOURCE, b"%d" % offset)

    def sweep(self, now_ms: int, limit: int) -> int:
        """Delete at most `limit` entries that have expired by `now_ms`, as part of the batch in hand; return how many."""
        pending, swept = self._overlay.pending, 0
        for row, _ in self._expiries.until(now_ms):
            if swept >= limit:
                break
            key = row[codec.HEAD_BYTES :]
            if key not in pending:
                pending[key] = None
                swept += 1
        return swept

    def apply(self, changelog_position: int) -> None:
        """Write what is pending and `changelog_position` to the store in one piece (checkpoint step 4).

        Afterwards nothing is pending. After a crash here the store has all of the batch or nothing of it, and its position
        says which.
        """
        self.replay(dict(self.pending()), changelog_position)
        self.discard()

    def discard(self) -> None:
        """Forget what is pending."""
        self._overlay.pending.clear()
        self.timers.discard()

    def replay(self, changes: Changes, position: int) -> None:
        """Write logical entries, the rows derived from them, and the changelog position behind them, in one piece."""
        batch = self._db.batch()
        put, delete = batch.put, batch.delete
        entries: Changes = {}
        timers: Changes = {}
        for key, entry in changes.items():
            if key[0] == codec.TIMER_BYTE:
                timers[key] = entry
                continue
            entries[key] = entry
            if entry is None:
                delete(key)
            else:
                put(key, entry)
        self._derive_expiries(batch, entries)
        count = self.timers.write(batch, timers)
        now_ms = self._clock.now_ms()
        put(_FORMAT, _format.pack(codec.FORMAT))
        put(_HEAD, _head.pack(position, count, now_ms))
        size = batch.size_in_bytes()
        self._db.write(batch)
        self.position, self._written_ms = position, now_ms
        self._overlay.applied(entries, size)

    def _derive_expiries(self, batch: Batch, entries: Changes) -> None:
        """Bring the order of expiry in line with `entries`: take out each old row, put in each new one."""
        new = [codec.expiry_row(key, entry) for key, entry in entries.items() if entry is not None and entry[0] == codec.EXPIRING]
        touched = bool(new)
        if self._expiries.first_ms() is not None:  # otherwise no entry of the store expires, and the old ones need not be read
            for key, old in zip(entries, self._overlay.stored(list(entries)), strict=True):
                if old is not None and old[0] == codec.EXPIRING:
                    batch.delete(codec.expiry_row(key, old))
                    touched = True
        for row in new:
            batch.put(row, b"")
        if touched:
            self._expiries.changed(min(new, default=None))

    def rebuild(self, reason: str, detail: str) -> None:
        """Throw the store away and start from an empty one at position 0; `reason` is for the metric, `detail` for the log."""
        LOG.warning("%s Rebuilding it from the changelog now.", detail)
        self._db.reset()
        self._overlay.forget()
        self._expiries.emptied()
        self.timers.emptied()
        self.replay({}, 0)
        self._on_rebuilt(reason)

    def close(self) -> None:
        """Let go of the store; what is pending is forgotten."""
        self.discard()
        self._db.close()
