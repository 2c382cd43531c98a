"""The broker is back, and webhooks never stop coming: they go straight to it again all the same, and the order of each key holds."""

import asyncio
import collections
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest

from deploy.local.broker import RunningBroker
from flows.core import topics
from flows.core.clock import SystemClock
from flows.core.settings import Settings
from flows.wire.kafka import ensure_topics
from flows.wire.produce import KEPT, Delivery, LoopProducer, Outcome
from flows.wire.spill import Spill
from tests.kit.settings import settings_for
from tests.kit.topics import topic_reader

WEBHOOKS = topics.WEBHOOKS.name
PATIENCE_S = 60
KEYS, AT_ONCE, STRAIGHT = 8, 64, 2000
LONG_S = 30
"""A drain without an end in sight after so long has none."""


class Stream:
    """Has so many records under way at every moment: whenever the fate of one is told, the next is posted in the same breath."""

    def __init__(self, spill: Spill) -> None:
        self._spill, self._name = spill, uuid4().hex
        self.posted, self._until = 0, math.inf
        self.told: collections.Counter[bool] = collections.Counter()
        """How many were kept, and how many went straight to the broker."""
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()

    def key(self, number: int) -> bytes:
        return f"{self._name}-{number % KEYS}".encode()

    def next(self) -> None:
        number, self.posted = self.posted, self.posted + 1
        self._spill.post(WEBHOOKS, self.key(number), b"%d" % number, None, self.tell)

    def tell(self, outcome: Outcome) -> None:
        if not isinstance(outcome, Delivery):
            self.over.set_exception(outcome)
            return
        self.told[outcome == KEPT] += 1
        now = self._loop.time()
        if self._spill.state == "draining":
            self._until = min(self._until, now + LONG_S)
        if now < self._until and self.told[False] < STRAIGHT:
            self.next()
        elif self.told.total() == self.posted:
            self.over.set_result(None)

    def on_topic(self, bootstrap: str) -> dict[bytes, list[int]]:
        """Return what is there, by key."""
        found: dict[bytes, list[int]] = collections.defaultdict(list)
        for read in topic_reader(bootstrap, WEBHOOKS):
            if read.key is not None and read.key.startswith(self._name.encode()):
                found[read.key].append(int(read.value or b""))
        return found


@asynccontextmanager
async def spilling(settings: Settings, sync: Callable[[int], None] = os.fdatasync) -> AsyncIterator[Spill]:
    """A spill that takes its broker to be away, as when it did not acknowledge for a moment."""
    ensure_topics(settings, (topics.WEBHOOKS, topics.STATUS))
    producer = LoopProducer(settings, SystemClock(), lambda _: None)
    spill = Spill(settings, SystemClock(), uuid4().hex, producer, sync)
    spill.open()
    spill.enter()
    try:
        yield spill
    finally:
        await spill.close(PATIENCE_S)
        producer.close()


async def true(that: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not that():  # noqa: ASYNC110  it is seen from outside
            await asyncio.sleep(0)


async def test_a_stream_that_never_pauses_goes_straight_to_the_broker_again(settings: Settings) -> None:
    async with spilling(settings) as spill:
        stream = Stream(spill)
        for _ in range(AT_ONCE):
            stream.next()
        await stream.over
        assert stream.told[False] >= STRAIGHT, f"{stream.posted:,} records were kept, and it drains still"
        assert stream.told[True] > 0
    found = await asyncio.to_thread(stream.on_topic, settings.kafka_bootstrap_servers)
    assert found == {stream.key(number): [*range(number, stream.posted, KEYS)] for number in range(KEYS)}


class SlowDisk:
    """Hangs from `hang` to `go_on`."""

    def __init__(self) -> None:
        self.begun, self._free, self._hangs = Event(), Event(), False

    def hang(self) -> None:
        self._hangs = True

    def go_on(self) -> None:
        self._free.set()

    def sync(self, file: int) -> None:
        if self._hangs:
            self.begun.set()
            self._free.wait(PATIENCE_S)
        os.fdatasync(file)


async def holding(spill: Spill, disk: SlowDisk, name: str) -> list["asyncio.Future[Delivery]"]:
    """Send until some are held, which cannot end: the disk hangs over one that comes before them."""
    sent: list[asyncio.Future[Delivery]] = []

    def send() -> None:
        sent.append(spill.send(WEBHOOKS, name.encode(), b"%d" % len(sent)))

    send()
    assert await sent[0] == KEPT
    disk.hang()
    send()
    assert await asyncio.to_thread(disk.begun.wait, PATIENCE_S)
    await true(lambda: spill.drained == 1)
    while not spill.held:
        send()
        await asyncio.sleep(0)
    return sent


def of(name: str, bootstrap: str) -> list[int]:
    return [int(read.value or b"") for read in topic_reader(bootstrap, WEBHOOKS) if read.key == name.encode()]


async def test_what_is_held_is_kept_where_the_broker_goes_away_again(own_broker: RunningBroker, tmp_path: Path) -> None:
    disk, name = SlowDisk(), uuid4().hex
    async with spilling(settings_for(own_broker.bootstrap, tmp_path), disk.sync) as spill:
        sent = await holding(spill, disk, name)
        await asyncio.to_thread(own_broker.kill)
        disk.go_on()
        assert set(await asyncio.gather(*sent)) == {KEPT}
        assert (spill.held, spill.entries) == (0, len(sent) - 1)
        await asyncio.to_thread(own_broker.start)
        await true(lambda: spill.state == "broker")
    assert await asyncio.to_thread(of, name, own_broker.bootstrap) == [*range(len(sent))]


@pytest.mark.parametrize(
    ("limit", "sizes"), [({"webhook_max_in_flight": "8"}, [1, 1, 1]), ({"webhook_max_held_bytes": "1048576"}, [1 << 19])], ids=["count", "bytes"]
)
async def test_no_more_is_held_than_leaves_room_for_others(kafka: str, tmp_path: Path, limit: dict[str, str], sizes: list[int]) -> None:
    disk, name = SlowDisk(), uuid4().hex
    async with spilling(settings_for(kafka, tmp_path, **limit), disk.sync) as spill:
        sent = await holding(spill, disk, name)
        for size in sizes:
            assert spill.held
            sent.append(spill.send(WEBHOOKS, name.encode(), b"%d" % len(sent) + b" " * size))
        assert spill.held == 0
        disk.go_on()
        assert set(await asyncio.gather(*sent)) == {KEPT}
        await true(lambda: spill.state == "broker")
    assert await asyncio.to_thread(of, name, kafka) == [*range(len(sent))]


async def test_what_is_held_at_the_end_is_kept(settings: Settings) -> None:
    disk, name = SlowDisk(), uuid4().hex
    async with spilling(settings, disk.sync) as spill:
        sent = await holding(spill, disk, name)
        disk.go_on()
    assert set(await asyncio.gather(*sent)) == {KEPT}
