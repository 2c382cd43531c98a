"""What takes webhooks while the broker is away: this machine's disk, and the way from there to the broker once it is back.

Three states. `broker`: records go to the producer, and nothing here costs anything. `spilling`: acknowledgements do not come; records are told of
once they are on the disk. `draining`: the broker is back, and what waits is written, oldest first, while every new record still goes behind it.
Only when nothing waits any more, records go to the producer again; so the records of a key keep their order. They come all the time, so that moment
is made: when little waits, what comes is held in memory until the rest is drained, and goes to the producer then.
"""

import asyncio
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
from flows.wire.keep import Asked, Keeper, no_room
from flows.wire.produce import Delivery, LoopProducer, Outcome, Post, as_future
from flows.wire.segment import SUFFIX
from flows.wire.spool import Place, Spool

LOG: Final = logging.getLogger("xyra.spill")
LOOK_S: Final = 0.1
"""How often it is looked whether the state is to change; only while the broker is away."""
AGAIN_S: Final = 0.5
TAKE_OVER_S: Final = 2.0
NEAR_ENTRIES: Final = 2000
NEAR_BYTES: Final = 8 << 20
"""What is drained in a tenth of a second; with no more waiting than that, what comes is held until all of it is drained."""
HELD_S: Final = 2.0
"""So long at most, or a quarter of an acknowledgement's time; what is held then goes to the disk."""
HELD_LOOK_S: Final = 0.001
HELD_AGAIN_S: Final = 1.0
"""So long after a hold that came to nothing, nothing is held."""

State = Literal["broker", "spilling", "draining"]


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
        timeout_s = settings.webhook_ack_timeout_ms / 1000
        self._spool = Spool(settings.data_dir / "spill" / instance, settings.spill_max_bytes, sync=sync)
        self._keeper = Keeper(self._spool, clock, timeout_s)
        self._drain = Drain(settings, instance, self._spool)
        self.post: Post = producer.post
        """Take a record as `LoopProducer.post` does; `KEPT` is told where it is on the disk. Swapped with the state."""
        self.state: State = "broker"
        self._away: str | None = None
        """Why the broker did not take what was last tried; None once it did."""
        self._entered = 0.0
        self._held: deque[Asked] = deque()
        self._held_bytes = 0
        self._held_until: float | None = None
        """None while nothing is to be held."""
        self._no_hold_until = 0.0
        self._held_s = min(HELD_S, timeout_s / 4)
        self._most_held = (settings.webhook_max_in_flight // 2, settings.webhook_max_held_bytes // 2)
        """Records and bytes: whoever comes while they are held is to find room as ever."""
        self._gate, self._hurry = threading.Condition(), threading.Event()
        """The one guards `_may_drain` and every read of the spool, the other ends a pause of the thread that drains."""
        self._may_drain = self._over = self._answered = False
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """Begin to watch the producer, and to drain what an earlier process left; call it in the loop."""
        self._loop = asyncio.get_running_loop()
        if self._on:
            self._producer.watch(self.enter)
        if self._spool.entries:
            LOG.info("Up to %d records of an earlier process wait in %s; Kafka tells which are there already", self._spool.entries, self._spool.folder)
            self.enter()
        for folder in sorted({path.parent for path in self._spool.folder.parent.glob(f"*/*{SUFFIX}")} - {self._spool.folder}):
            LOG.warning("%s holds records that another ingress kept; they go to Kafka as soon as one of that number runs here", folder)

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> "asyncio.Future[Delivery]":
        """Post a record and return a future of where it stands, `KEPT` where that is the disk; raises as `post` does."""
        return as_future(self.post, topic, key, value, headers)

    @property
    def entries(self) -> int:
        """How many records wait on the disk; at most so many while `counted` is False."""
        return self._spool.entries

    @property
    def counted(self) -> bool:
        """Whether it is known how many wait: not before the log has told what of them an earlier process wrote to it."""
        return self._drain.known

    @property
    def held(self) -> int:
        """How many are held in memory, until the last of those is drained."""
        return len(self._held)

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
        return "disk" if self._keeper.failing else None

    @property
    def trouble(self) -> str | None:
        """Why the disk, or the broker, did not take what was last tried; None once it did."""
        return self._keeper.trouble or self._away

    def enter(self) -> None:
        """Send everything to the disk from now on; what the producer has in hand stays with it."""
        if self.state != "broker" or self._over:
            return
        LOG.warning("Kafka does not acknowledge: webhooks are kept in %s until it does", self._spool.folder)
        self.state, self._entered = "spilling", self._clock.monotonic()
        self.post = self._keep
        self._answered = False
        if not self._threads:
            append = threading.Thread(target=self._keeper.write, args=(self._loop,), daemon=True, name="spill-append")
            self._threads = [append, threading.Thread(target=self._move, daemon=True, name="spill-move")]
            for thread in self._threads:
                thread.start()
        self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """Change the state where that is due."""
        idle = self._keeper.give_up_late()
        oldest = self._producer.oldest
        if not self._may_drain and (oldest is None or oldest > self._entered):  # what the producer had in hand has landed, or is given up
            self._allow(True)
        self.state = "draining" if self._answered and self._may_drain else "spilling"
        last = self._producer.last_ack
        if self._may_drain and idle and not self._spool.entries and (self._answered or (last is not None and last > self._entered)):
            self._leave()
        elif not self._over:
            self._look_to_hold()
            self._loop.call_later(LOOK_S if self._held_until is None else HELD_LOOK_S, self._look)

    def _look_to_hold(self) -> None:
        """Begin to hold what comes where little is left to drain, and end it where that lasts too long or the broker is away again."""
        now, drains = self._clock.monotonic(), self.state == "draining"
        if self._held_until is None:
            if drains and now >= self._no_hold_until and self._spool.entries <= NEAR_ENTRIES and self._spool.waiting <= NEAR_BYTES:
                self._held_until, self.post = now + self._held_s, self._hold
                self._hurry.set()
        elif not drains or now >= self._held_until:
            self._keep_held()
        elif self._spool.entries:
            self._hurry.set()

    def _hold(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, tell: Callable[[Outcome], None]) -> None:
        self._held.append(self._asked(topic, key, value, headers, tell))
        self._held_bytes += len(value or b"")
        if len(self._held) >= self._most_held[0] or self._held_bytes >= self._most_held[1]:
            self._keep_held()

    def _keep_held(self) -> None:
        """Send what is held to the disk, and what comes from now on behind it."""
        self.post, self._no_hold_until = self._keep, self._clock.monotonic() + HELD_AGAIN_S
        for asked in self._end_hold():
            try:
                self._ask(asked)
            except Unavailable as error:
                asked.end(error)

    def _end_hold(self) -> deque[Asked]:
        held, self._held = self._held, deque()
        self._held_bytes, self._held_until = 0, None
        return held

    def _leave(self) -> None:
        LOG.warning("Kafka acknowledges again, and all that was kept is there")
        self._allow(False)
        self.state, self.post, self._away = "broker", self._producer.post, None
        self._keeper.trouble = None
        for asked in self._end_hold():  # before anybody else posts
            entry = asked.entry
            try:
                self._producer.post(entry.topic, entry.key, entry.value, entry.headers, asked.end)
            except Unavailable as error:
                asked.end(error)

    def _allow(self, may_drain: bool) -> None:  # noqa: FBT001  the one thing it is about
        with self._gate:
            self._may_drain = may_drain
            self._gate.notify_all()

    def _keep(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, tell: Callable[[Outcome], None]) -> None:
        self._ask(self._asked(topic, key, value, headers, tell))

    def _asked(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, tell: Callable[[Outcome], None]) -> Asked:
        return Asked(Entry(self._clock.now_ms(), topic, key, value, headers or []), tell, self._clock.monotonic())

    def _ask(self, asked: Asked) -> None:
        if not self._on or self.oldest_s > self._oldest_s:
            raise no_room("holds nothing older" if self._on else "is off, and must be empty first")
        self._keeper.take(asked)

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
                self._wait(str(error))
            except Exception:  # whatever it is, it is ours; what waits is kept
                LOG.exception("Draining the spill log failed.")
                self._wait("Draining failed; the log of the ingress says how.")
        self._drain.close()

    def _move_some(self) -> int:
        self._drain.take_over(TAKE_OVER_S)
        with self._gate:  # what is read here keeps the state from changing until it is written
            entries, place = self._spool.read(MOST_ENTRIES, MOST_BYTES) if self._may_drain else ([], Place("", 0))
        if entries:
            self._drain.move(entries, place)
            self._spool.rest()
        self._answered, self._away = True, None
        return len(entries)

    def _wait(self, trouble: str) -> None:
        """Wait a little before it is tried again."""
        if trouble != self._away:
            LOG.warning("%s It is tried again.", trouble)
        self._away, self._answered = trouble, False
        self._pause(AGAIN_S)

    def _pause(self, seconds: float) -> None:
        if not self._over:
            self._hurry.wait(seconds)
            self._hurry.clear()

    async def close(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` seconds for what is being written; what waits on the disk stays there for the next start."""
        if self._held_until is not None:
            self._keep_held()
        self._over = True
        self._keeper.stop()
        self._hurry.set()
        with self._gate:
            self._gate.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, timeout_s)
        await asyncio.sleep(0)  # what the thread that writes said at its end is told now
        if not any(thread.is_alive() for thread in self._threads):  # one that the disk or the broker holds up ends with the process
            self._spool.close()
