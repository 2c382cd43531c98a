"""Puts records on this machine's disk while the broker is away: many with one fsync, in a thread of its own, each told of in the loop."""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from flows.core.clock import Clock
from flows.core.errors import Unavailable
from flows.wire.entry import Entry
from flows.wire.produce import KEPT, Outcome
from flows.wire.spool import Spool

LOG: Final = logging.getLogger("xyra.spill")
APPEND_BYTES: Final = 4 << 20
TROUBLED_S: Final = 5.0
"""So long after a failure of the disk nobody is invited; then it is tried again."""
FULL_S: Final = 30
DISK_S: Final = 10


class Asked:
    """A record that is to be kept, and whom to tell."""

    __slots__ = ("entry", "since", "tell")

    def __init__(self, entry: Entry, tell: Callable[[Outcome], None], since: float) -> None:
        """Take it, with the time since when its sender waits."""
        self.entry, self.since = entry, since
        self.tell: Callable[[Outcome], None] | None = tell
        """None: it was told."""

    def end(self, outcome: Outcome) -> None:
        """Tell, unless that was done."""
        tell, self.tell = self.tell, None
        if tell is not None:
            tell(outcome)


class Keeper:
    """Appends to a spool in the order of the asking. Belongs to one event loop; `write` is for a thread of its own.

    Who is told `KEPT` has its record on the disk. What the disk did not take in time is told `Unavailable`, and is not written later unless
    the disk had it in hand already.
    """

    def __init__(self, spool: Spool, clock: Clock, timeout_s: float) -> None:
        """Take the parts; `timeout_s` is how long anybody waits for the disk."""
        self._spool, self._monotonic, self._timeout_s = spool, clock.monotonic, timeout_s
        self.trouble: str | None = None
        """Why the disk did not take what was last tried; None once it did."""
        self._failed_at: float | None = None
        self._asked: deque[Asked] = deque()
        """In their order, until they are told of."""
        self._unwritten: deque[Asked] = deque()
        self._writing = 0
        """Those that the disk has in hand, or that it is not known yet what it made of."""
        self._asking = threading.Condition()
        """Guards `_unwritten` and `_writing`."""
        self._over = False

    @property
    def failing(self) -> bool:
        """Whether the disk failed a moment ago."""
        return self._failed_at is not None and self._monotonic() - self._failed_at < TROUBLED_S

    def take(self, asked: Asked) -> None:
        """Have a record kept; call it in the loop. Does not block."""
        self._asked.append(asked)
        with self._asking:
            self._unwritten.append(asked)
            self._asking.notify()

    def give_up_late(self) -> bool:
        """Give up on what waits for the disk for too long, since one that hangs is not to fill the memory; tell whether nothing waits for it."""
        now = self._monotonic()
        while self._asked and (self._asked[0].tell is None or self._asked[0].since <= now - self._timeout_s):
            late = self._asked.popleft()
            if late.tell is not None:
                self._failed(f"{self._spool.folder} took nothing for {self._timeout_s:g} s")
                late.end(Unavailable(f"The disk did not take it within {self._timeout_s:g} s; send it again.", retry_after_s=DISK_S))
        with self._asking:
            while self._unwritten and self._unwritten[0].tell is None:
                self._unwritten.popleft()
            return not self._unwritten and not self._writing

    def _failed(self, trouble: str) -> None:
        if trouble != self.trouble:
            LOG.error("Webhooks are not kept: %s.", trouble)
        self.trouble, self._failed_at = trouble, self._monotonic()

    def write(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write what is asked for, all that has come while the last write was on its way in one; returns after `stop`."""
        while True:
            with self._asking:
                self._asking.wait_for(lambda: self._unwritten or self._over)
                batch, size = list[Asked](), 0
                while self._unwritten and size < APPEND_BYTES:
                    batch.append(self._unwritten.popleft())
                    size += len(batch[-1].entry.value or b"")
                self._writing += len(batch)
            if not batch:
                return
            try:
                told: list[bool] | str = self._spool.append([asked.entry for asked in batch])
            except OSError as error:
                told = f"{self._spool.folder} cannot be written: {error.strerror}"
            except Exception:  # whatever it is, it is ours, and nobody may wait for ever
                LOG.exception("The spill log failed.")
                told = "the spill log failed; the log of the ingress says how"
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(self._tell, batch, told)

    def _tell(self, batch: list[Asked], told: list[bool] | str) -> None:
        with self._asking:
            self._writing -= len(batch)
        if isinstance(told, str):
            self._failed(told)
            for asked in batch:
                asked.end(Unavailable("Kafka is away, and the disk fails; send it again.", retry_after_s=DISK_S))
        else:
            self.trouble = self._failed_at = None
            for asked, kept in zip(batch, told, strict=True):
                asked.end(KEPT if kept else no_room("is full"))
        while self._asked and self._asked[0].tell is None:
            self._asked.popleft()

    def stop(self) -> None:
        """Have `write` return once all that was asked for is written."""
        self._over = True
        with self._asking:
            self._asking.notify_all()


def no_room(why: str) -> Unavailable:
    """Say why a record cannot be kept."""
    return Unavailable(f"Kafka is away, and the spill log {why}; send it again.", retry_after_s=FULL_S)
