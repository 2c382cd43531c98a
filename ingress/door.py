"""The parts of a running ingress, put together: what reads, what writes, what counts, and what happens once a second."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import orjson

from flows.core import beats, signals, topics
from flows.core.clock import Clock
from flows.core.errors import Unavailable, XyraError
from flows.core.outbound.egress import Policy
from flows.core.settings import Settings
from flows.wire.aside import aside
from flows.wire.compacted import CompactedTopic
from flows.wire.instance import Instance
from flows.wire.kafka import ensure_topics
from flows.wire.produce import Delivery, LoopProducer
from flows.wire.spill import Spill
from flows.wire.telemetry import Telemetry
from flows.wire.vault import Vault, admin_key
from ingress.aside import Room
from ingress.intake import Intake
from ingress.letters import LettersView
from ingress.orders import OrdersView
from ingress.registrar import Registrar
from ingress.status import INGRESS, StatusView
from ingress.streams import Streams
from ingress.tallies import Tallies, Tally
from ingress.uploads.desk import Uploads
from ingress.view import Definitions, Followed, seal_context

LOG: Final = logging.getLogger("xyra.ingress")
TICK_S: Final = 1.0
BEAT_S: Final = 2.0
"""After so long without an acknowledgement the ingress asks for one itself: readiness is known, not hoped for."""
LOOKS: Final = 200
"""Endpoints whose secrets are opened each second until all have been; some 20 ms."""
AGAIN_S: Final = 1.0
FLUSH_S: Final = 1.0
SEARCHES: Final = 2
"""Searches of the log at once: each reads up to 256 MiB."""
READINGS: Final = 4
"""Readings of dead letters at once: each has a client of its own, and reads up to 64 MiB."""
OWN_TOPICS: Final = (topics.WEBHOOKS, topics.CONFIG, topics.STATUS, topics.LETTERS, topics.DLQ, topics.UPLOADS)


class Door:
    """A running ingress. Opens at once, whatever is away, and heals by itself; after a crash everything is read from the topics again."""

    def __init__(self, settings: Settings, clock: Clock, fail: Callable[[XyraError], None]) -> None:
        """Put the parts together; touches files, no network.

        Args:
            settings: where Kafka is, where data lies, and the limits.
            clock: the one clock.
            fail: is told of an error after which the process must end.

        Raises:
            WrongSetting: a key, or what waits for the broker, cannot be read.
            Busy: the data directory has no place for another ingress.

        """
        self.settings, self.clock, self._fail = settings, clock, fail
        self.vault = Vault.load(settings)
        self.calls: Final = Policy.of(settings)
        self.admin_key = admin_key(settings).text
        self._instance = Instance(settings.data_dir, INGRESS)
        self.instance = self._instance.name
        self.telemetry, self.tallies = Telemetry(), Tallies()
        self.definitions = Definitions(self.vault, self.tallies)
        self.orders, self.status = OrdersView(), StatusView(clock)
        self.letters = LettersView(settings.dlq_index_letters)
        acks = self.telemetry.child(signals.BROKER_ACK_SECONDS)
        self.producer = LoopProducer(settings, clock, acks.observe)
        self.uploads = Uploads(settings, clock, self.producer, self.telemetry)
        self.spill = Spill(settings, clock, self.instance, self.producer)
        self.intake = Intake(settings, clock, self.definitions, self.tallies, self.producer, self.spill, self.telemetry, self.reading_done)
        self.searches: Final = Room(SEARCHES, "Searches of the log", 3)
        self.readings: Final = Room(READINGS, "Readings of dead letters", 1)
        self.streams: Final = Streams()
        self.config_topic: Followed | None = None
        self.status_topic: Followed | None = None
        self.letters_topic: Followed | None = None
        self._registrar: Registrar | None = None
        self._restored = False
        self.last_tick = clock.monotonic()
        """When the loop last moved, on the monotonic clock."""
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to read, to count and to look for the broker; call it in the loop. Does not block."""
        self.spill.open()
        self._tasks = [asyncio.create_task(self._connect()), asyncio.create_task(self._tick())]

    async def close(self) -> None:
        """Publish the last tallies, wait a second at most for what is on its way, and let everything go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._publish()
        await self.spill.close(FLUSH_S)
        left = await self.producer.flush(FLUSH_S)
        if left:
            LOG.warning("%d records were not acknowledged before the ingress ended; their senders were not told that they were taken", left)
        for followed in (self.config_topic, self.status_topic, self.letters_topic):
            if followed is not None:
                followed.close()
        self.producer.close()
        self.uploads.readers.close()
        self._instance.close()

    def reading_done(self) -> bool:
        """Whether all definitions have been read, so that an unknown endpoint is one that there is not."""
        return self.config_topic is not None and self.config_topic.ready

    def require_reading(self) -> None:
        """Go on only when all definitions have been read.

        Raises:
            Unavailable: they have not.

        """
        if not self.reading_done():
            raise Unavailable("The definitions are still being read; try again.", retry_after_s=1)

    def require_status(self) -> None:
        """Go on only when all definitions, and what became of things, have been read.

        Raises:
            Unavailable: they have not.

        """
        self.require_reading()
        if self.status_topic is None or not self.status_topic.ready:
            raise Unavailable("What became of things is still being read; try again.", retry_after_s=1)

    def require_letters(self) -> None:
        """Go on only when the index of the dead letters and what became of orders have been read.

        Raises:
            Unavailable: they have not.

        """
        self.require_status()
        if self.letters_topic is None or not self.letters_topic.ready:
            raise Unavailable("The index of the dead letters is still being read; try again.", retry_after_s=1)

    @property
    def registrar(self) -> Registrar:
        """What writes definitions.

        Raises:
            Unavailable: they have not been read yet.

        """
        self.require_reading()
        if self._registrar is None:
            raise Unavailable("The ingress is still starting; try again.", retry_after_s=1)
        return self._registrar

    def seal(self, endpoint_id: str, secret_id: str, plain: str) -> str:
        """Seal a secret of an endpoint."""
        return self.vault.seal(plain, seal_context(endpoint_id, secret_id))

    async def _connect(self) -> None:
        """Make the topics and follow two of them, however long the broker is away."""
        while True:
            try:
                await aside(ensure_topics, self.settings, OWN_TOPICS)
                break
            except Unavailable as error:
                LOG.warning("%s Trying again.", error)
                await asyncio.sleep(AGAIN_S)
            except XyraError as error:
                self._fail(error)
                return
        self.status_topic = Followed(CompactedTopic(self.settings, topics.STATUS.name, self._told), self._fail)
        self.config_topic = Followed(CompactedTopic(self.settings, topics.CONFIG.name, self._configure), self._fail)
        self.letters_topic = Followed(CompactedTopic(self.settings, topics.LETTERS.name, self.letters.apply), self._fail)
        self._registrar = Registrar(self.settings, self.config_topic, self.definitions, self.orders)

    def _configure(self, key: str, value: bytes | None, offset: int) -> None:
        self.definitions.apply(key, value, offset)
        self.orders.apply(key, value, offset)

    def _told(self, key: str, value: bytes | None, offset: int) -> None:
        self.status.apply(key, value, offset)
        self.uploads.apply(key, value, offset)

    async def _tick(self) -> None:
        while True:
            self.last_tick = self.clock.monotonic()
            self.producer.serve()
            self.status.tick()
            self.uploads.sweep()
            self.definitions.look(LOOKS)
            if self.status_topic is not None and self.status_topic.ready:
                if not self._restored:
                    self.tallies.restore(self.status, self.instance)
                    self._restored = True
                self._publish()
            await asyncio.sleep(TICK_S)

    def _publish(self) -> None:
        """Publish the tallies that changed; with none of them, and a quiet broker, a sign of life."""
        if not self._restored:
            return  # what was published before the restart is not known yet, and would be overwritten
        for resource, tally in list(self.tallies.changed()):
            tally.changed = False
            self._send(f"tally/{INGRESS}/{self.instance}/{resource}", orjson.dumps(tally.as_json()), tally)
        last = self.producer.last_ack
        if last is None or self.clock.monotonic() - last > BEAT_S:
            self._send(beats.key(INGRESS, self.instance), beats.text(self.clock.now_ms()), None)

    def _send(self, key: str, value: bytes, tally: Tally | None) -> None:
        """Write to `xyra.status`; a tally that does not arrive counts as changed, and the next second sends it again."""

        def done(future: asyncio.Future[Delivery]) -> None:
            failed = future.cancelled() or future.exception() is not None  # also marks the exception as seen: health shows a broker that is away
            if failed and tally is not None:
                tally.changed = True

        try:
            self.producer.send(topics.STATUS.name, key.encode(), value).add_done_callback(done)
        except Unavailable:  # the queue to the broker is full
            if tally is not None:
                tally.changed = True
