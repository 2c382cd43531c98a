"""What takes webhooks while the broker is away: this machine's disk, and the way from there to the broker once it is back.

Three states. `broker`: records go to the producer, and nothing here costs anything. `spilling`: acknowledgements do not come; records are told of
once they are on the disk. `draining`: the broker is back, and what waits is written, oldest first, while every new record still goes behind it.
Only when nothing waits any more, records go to the producer again; so the records of a key keep their order.
"""

import asyncio
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from flows.core.clock import Clock
from flows.core.errors import Unavailable, XyraError
from flows.core.settings import Settings
from flows.wire.drain import MOST_BYTES, MOST_ENTRIES, Drain
from flows.wire.entry import Entry, Headers
from flows.wire.produce import KEPT, Delivery, LoopProducer, Outcome, Post, as_future
from flows.wire.segment import SUFFIX
from flows.wire.spool import Place, Spool

LOG: Final = logging.getLogger("xyra.spill")
LOOK_S: Final = 0.1
"""How often it is looked whether the state is to change; only while the broker is away."""
APPEND_BYTES: Final = 4 << 20
AGAIN_S: Final = 0.5
TAKE_OVER_S: Final = 2.0
TROUBLED_S: Final = 5.0
"""So long after a failure of the disk nobody is invited; then it is tried again."""
FULL_S: Final = 30
DISK_S: Final = 10

State = Literal["broker", "spilling", "draining"]


class _Asked:
    """A record that is to be kept, and whom to tell."""

    __slots__ = ("entry", "since", "tell")

    def __init__(self, entry: Entry, tell: Callable[[Outcome], None], since: float) -> None:
        self.entry, self.since = entry, since
        self.tell: Callable[[Outcome], None] | None = tell
        """None: it was told."""

    def end(self, outcome: Outcome) -> None:
        tell, self.tell = self.tell, None
        if tell is not None:
            tell(outcome)


class Spill:
    """Decides where records go. Belongs to one event loop; two threads of its own write to the disk and to the broker.

    What `post` told to be kept is on the disk, and comes to its topic once, whatever is killed. With INTEGRATION_SPILL=off nothing is
    taken; what an earlier process has kept is drained all the same.
    """

    def __init__(self, settings: Settings, clock: Clock, instance: str, producer: LoopProducer, sync: Callable[[int], None] = os.fdatasync) -> None:
        """Look at what is kept; blocks on the disk, touches no network.

        Args:
            settings: where the data directory is, and the limits.
            clock: the one clock.
            instance: the name this process holds, and with it the folder and the transactions.
            producer: where records go as long as the broker is there.
            sync: returns when a file's bytes are on the disk.

        Raises:
            WrongSetting: what is kept cannot be read.

        """
        self._clock, self._producer = clock, producer
        self._on = settings.spill == "on"
        self._oldest_s = settings.spill_max_age_seconds
        self._timeout_s = settings.webhook_ack_timeout_ms / 1000
        self._spool = Spool(settings.data_dir / "spill" / instance, settings.spill_max_bytes, sync=sync)
        self._drain = Drain(settings, instance, self._spool)
        self.post: Post = producer.post
        """Take a record as `LoopProducer.post` does; `KEPT` is told where it is on the disk. Swapped with the state."""
        self.state: State = "broker"
        self.trouble: str | None = None
        """Why the disk, or the broker, did not take what was last tried; None once it did."""
        self._failed_at: float | None = None
        self._entered = 0.0
        self._asked: deque[_Asked] = deque()
        """In their order, until they are told of."""
        self._unwritten: deque[_Asked] = deque()
        self._writing = 0
        """Those that the disk has in hand, or that it is not known yet what it made of."""
        self._asking, self._gate = threading.Condition(), threading.Condition()
        """One for each thread: what guards `_unwritten` and `_writing`, and what guards `_may_drain` and every read of the spool."""
        self._may_drain = self._over = self._answered = False
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """Begin to watch the producer, and to drain what an earlier process left; call it in the loop."""
        self._loop = asyncio.get_running_loop()
        if self._on:
            self._producer.watch(self.enter)
        if self._spool.entries:
            LOG.info("%d records of an earlier process wait in %s", self._spool.entries, self._spool.folder)
            self.enter()
        for folder in sorted({path.parent for path in self._spool.folder.parent.glob(f"*/*{SUFFIX}")} - {self._spool.folder}):
            LOG.warning("%s holds records that another ingress kept; they go to Kafka as soon as one of that number runs here", folder)

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> "asyncio.Future[Delivery]":
        """Post a record and return a future of where it stands, `KEPT` where that is the disk; raises as `post` does."""
        return as_future(self.post, topic, key, value, headers)

    @property
    def entries(self) -> int:
        """How many records wait on the disk."""
        return self._spool.entries

    @property
    def size(self) -> int:
        """Bytes that the log takes there."""
        return self._spool.bytes

    @property
    def drained(self) -> int:
        """Entries written to their topics since the start."""
        return self._drain.moved

    @property
    def oldest_s(self) -> float:
        """How long ago the oldest of them was accepted; 0 while none waits."""
        oldest_ms = self._spool.oldest_ms
        return 0.0 if oldest_ms is None else max(0.0, (self._clock.now_ms() - oldest_ms) / 1000)

    @property
    def closed_because(self) -> str | None:
        """Why nothing would be kept now; None where it would."""
        if not self._on:
            return "off"
        if self._spool.full:
            return "full"
        if self.oldest_s > self._oldest_s:
            return "too_old"
        failed = self._failed_at is not None and self._clock.monotonic() - self._failed_at < TROUBLED_S
        return "disk" if failed else None

    def enter(self) -> None:
        """Send everything to the disk from now on; what the producer has in hand stays with it."""
        if self.state != "broker" or self._over:
            return
        LOG.warning("Kafka does not acknowledge: webhooks are kept in %s until it does", self._spool.folder)
        self.state, self._entered = "spilling", self._clock.monotonic()
        self.post = self._keep
        self._answered = False
        if not self._threads:
            self._threads = [threading.Thread(target=work, daemon=True, name=f"spill-{work.__name__}") for work in (self._append, self._move)]
            for thread in self._threads:
                thread.start()
        self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """Change the state where that is due."""
        idle = self._give_up_late()
        oldest = self._producer.oldest
        if not self._may_drain and (oldest is None or oldest > self._entered):  # what the producer had in hand has landed, or is given up
            self._allow(True)
        self.state = "draining" if self._answered and self._may_drain else "spilling"
        last = self._producer.last_ack
        if self._may_drain and idle and not self._spool.entries and (self._answered or (last is not None and last > self._entered)):
            self._leave()
        elif not self._over:
            self._loop.call_later(LOOK_S, self._look)

    def _give_up_late(self) -> bool:
        """Give up on what waits for the disk for too long, since one that hangs is not to fill the memory; tell whether nothing waits for it."""
        now = self._clock.monotonic()
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
        self.trouble, self._failed_at = trouble, self._clock.monotonic()

    def _leave(self) -> None:
        LOG.warning("Kafka acknowledges again, and all that was kept is there")
        self._allow(False)
        self.state, self.post, self.trouble = "broker", self._producer.post, None

    def _allow(self, may_drain: bool) -> None:  # noqa: FBT001  the one thing it is about
        with self._gate:
            self._may_drain = may_drain
            self._gate.notify_all()

    def _keep(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, tell: Callable[[Outcome], None]) -> None:
        if not self._on or self.oldest_s > self._oldest_s:
            raise Unavailable(self._no_room("holds nothing older" if self._on else "is off, and must be empty first"), retry_after_s=FULL_S)
        asked = _Asked(Entry(self._clock.now_ms(), topic, key, value, headers or []), tell, self._clock.monotonic())
        self._asked.append(asked)
        with self._asking:
            self._unwritten.append(asked)
            self._asking.notify()

    def _no_room(self, why: str) -> str:
        return f"Kafka is away, and the spill log {why}; send it again."

    def _append(self) -> None:
        """Write what is asked for, all that has come while the last write was on its way in one; in a thread of its own."""
        while True:
            with self._asking:
                self._asking.wait_for(lambda: self._unwritten or self._over)
                batch, size = list[_Asked](), 0
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
                self._loop.call_soon_threadsafe(self._tell, batch, told)

    def _tell(self, batch: list[_Asked], told: list[bool] | str) -> None:
        with self._asking:
            self._writing -= len(batch)
        if isinstance(told, str):
            self._failed(told)
            for asked in batch:
                asked.end(Unavailable("Kafka is away, and the disk fails; send it again.", retry_after_s=DISK_S))
        else:
            self._failed_at = None
            for asked, kept in zip(batch, told, strict=True):
                asked.end(KEPT if kept else Unavailable(self._no_room("is full"), retry_after_s=FULL_S))
        while self._asked and self._asked[0].tell is None:
            self._asked.popleft()

    def _move(self) -> None:
        """Drain as long as it is due; in a thread of its own, the only one that reads the spool."""
        while not self._over:
            try:
                if not self._may_drain:
                    self._drain.close()
                    with self._gate:
                        self._gate.wait_for(lambda: self._may_drain or self._over)
                elif not self._spool.entries or not self._move_some():
                    self._pause(LOOK_S)
            except (XyraError, OSError) as error:
                self._hold(str(error))
            except Exception:  # whatever it is, it is ours; what waits is kept
                LOG.exception("Draining the spill log failed.")
                self._hold("Draining failed; the log of the ingress says how.")
        self._drain.close()

    def _move_some(self) -> int:
        self._drain.take_over(TAKE_OVER_S)
        with self._gate:  # what is read here keeps the state from changing until it is written
            entries, place = self._spool.read(MOST_ENTRIES, MOST_BYTES) if self._may_drain else ([], Place("", 0))
        if entries:
            self._drain.move(entries, place)
            self._spool.rest()
        self._answered, self.trouble = True, None
        return len(entries)

    def _hold(self, trouble: str) -> None:
        """Wait a little before it is tried again."""
        if trouble != self.trouble:
            LOG.warning("%s It is tried again.", trouble)
        self.trouble, self._answered = trouble, False
        self._pause(AGAIN_S)

    def _pause(self, seconds: float) -> None:
        with self._gate:
            self._gate.wait_for(lambda: self._over, seconds)

    async def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` seconds for what is being written; what waits on the disk stays there for the next start."""
        self._over = True
        for guard in (self._asking, self._gate):
            with guard:
                guard.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, timeout_s)
        await asyncio.sleep(0)  # what the thread that writes said at its end is told now
        if not any(thread.is_alive() for thread in self._threads):  # one that the disk or the broker holds up ends with the process
            self._spool.close()
