"""A producer that one event loop owns: what becomes of a record is told in the loop itself, by a call or a future."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from flows.core.clock import Clock
from flows.core.errors import TooLarge, Unavailable
from flows.core.settings import Settings
from flows.core.topics import RECORD_BYTES
from flows.wire.entry import Headers
from flows.wire.kafka import PARTITIONER, client_config, said

POLL_S: Final = 0.001
"""How often reports are looked for while any is awaited: the loop's finest timer; nothing is looked for while none is."""
LINGER_MS: Final = 3
"""Long enough that the requests of one moment share a batch, short against an acknowledgement: with 2 ms a webhook costs the
broker a quarter more, with 5 ms fewer are taken."""
QUEUE_KIB: Final = 256 * 1024
"""What waits for a broker that is away is bounded; past it, a send is refused at once."""
STALL_S: Final = 1.0
"""A record that is not acknowledged for so long means trouble: the spill begins long before anybody's time is over."""


class Delivery(NamedTuple):
    """Where a record stands, now that the broker has acknowledged it."""

    partition: int
    offset: int


Outcome = Delivery | TooLarge | Unavailable
"""What became of a record: where it stands, or why it was not acknowledged."""
KEPT: Final = Delivery(-1, -1)
"""It stands in the spill on this machine's disk, and has no place on its topic yet."""


class Post(Protocol):
    """What takes a record and tells later what became of it: see `LoopProducer.post`."""

    def __call__(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, tell: Callable[[Outcome], None]) -> None:
        """Take it; does not block."""


def as_future(post: Post, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None) -> "asyncio.Future[Delivery]":
    """Post a record and return a future of where it stands, which fails with what would be told otherwise; raises as `post` does."""
    future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()

    def settle(outcome: Outcome) -> None:
        if future.done():
            return  # nobody waits any more
        if isinstance(outcome, Delivery):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)

    post(topic, key, value, headers, settle)
    return future


class _Waiting:
    """A record on its way: told of its end once, by whichever comes first, its report or its time."""

    __slots__ = ("_producer", "_tell", "over", "sent")

    def __init__(self, producer: "LoopProducer", tell: Callable[[Outcome], None], sent: float) -> None:
        """Take whom to tell, and the time it was sent."""
        self._producer, self._tell, self.sent = producer, tell, sent
        self.over = False

    def end(self, outcome: Outcome) -> None:
        """Tell, unless that was done."""
        if not self.over:
            self.over = True
            self._tell(outcome)

    def report(self, error: KafkaError | None, message: Message) -> None:
        """Take the client's delivery report."""
        self.end(self._producer.outcome(error, message, self.sent))


class LoopProducer:
    """An idempotent producer with `acks=all` for one event loop; no thread is switched to for a message.

    A record whose time was over may land all the same: an acknowledgement can be lost, a record cannot be called back.
    Whoever sends again therefore sends the same id again. A crash here loses what was not acknowledged, and nobody was told
    that it had been.
    """

    def __init__(self, settings: Settings, clock: Clock, observe_ack: Callable[[float], None]) -> None:
        """Prepare the client; connects in the background and does not block.

        Args:
            settings: names the cluster and says how long an acknowledgement is waited for.
            clock: measures that.
            observe_ack: is told how many seconds each acknowledgement took.

        """
        self._settings = settings
        self._monotonic = clock.monotonic
        self._observe_ack = observe_ack
        self._timeout_s = settings.webhook_ack_timeout_ms / 1000
        self._stall_s = min(STALL_S, self._timeout_s / 2)
        self._trouble: Callable[[], None] = _nobody
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._producer = self._made()
        self.last_ack: float | None = None
        """When the broker last acknowledged anything, on the monotonic clock; None before it first did."""

    def _made(self) -> Producer:
        return Producer(
            client_config(
                self._settings,
                enable_idempotence=True,
                acks="all",
                partitioner=PARTITIONER,
                linger_ms=LINGER_MS,
                compression_type="lz4",  # by librdkafka's thread, without the interpreter
                delivery_timeout_ms=self._settings.webhook_ack_timeout_ms,
                message_max_bytes=RECORD_BYTES,
                queue_buffering_max_messages=100_000,
                queue_buffering_max_kbytes=QUEUE_KIB,
                error_cb=self._complain,
            )
        )

    def post(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None, tell: Callable[[Outcome], None]) -> None:
        """Hand a record to the client; does not block.

        `tell` is called once, later and in the loop, and must not raise: with where the record stands; with `Unavailable` when no
        acknowledgement came in `webhook_ack_timeout_ms` (it may land all the same); with `TooLarge` when the broker takes none of that size.

        Raises:
            Unavailable: the queue to the broker is full; the record was not taken, and `tell` is not called.

        """
        now = self._monotonic()
        waiting = _Waiting(self, tell, now)
        try:
            self._producer.produce(topic, value, key, headers=headers, on_delivery=waiting.report)
        except (BufferError, KafkaException) as error:
            raise Unavailable(f"Kafka at {self._settings.kafka_bootstrap_servers} takes nothing more now ({error}).", retry_after_s=1) from error
        self._waiting.append(waiting)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(POLL_S, self._pump, loop)

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers | None = None) -> "asyncio.Future[Delivery]":
        """Do the same and return a future of where the record stands, which fails with what `post` would tell; raises as `post` does."""
        return as_future(self.post, topic, key, value, headers)

    def watch(self, trouble: Callable[[], None]) -> None:
        """Have `trouble` called in the loop, often, while acknowledgements do not come or the client finds no broker."""
        self._trouble = trouble

    @property
    def oldest(self) -> float | None:
        """When the oldest record was sent of which it is not known what became of it, on the monotonic clock; None while there is none."""
        return next((waiting.sent for waiting in self._waiting if not waiting.over), None)

    def serve(self) -> None:
        """Let the client say what it has to say, also while nothing is awaited; call it about once a second."""
        self._producer.poll(0)

    async def flush(self, timeout_s: float) -> int:
        """Wait up to `timeout_s` seconds for what was sent, and return how many records are still unacknowledged."""
        until = self._monotonic() + timeout_s
        while len(self._producer) and self._monotonic() < until:  # the client counts what it holds
            self._producer.poll(0)
            await asyncio.sleep(POLL_S)
        return len(self._producer)

    def close(self) -> None:
        """Let go of the client; what was not acknowledged is given up. Blocks for less than a second."""
        if self._timer is not None:
            self._timer.cancel()
        self._producer.purge()
        self._producer.poll(0)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        self._producer.poll(0)
        waiting, now = self._waiting, self._monotonic()
        overdue = now - self._timeout_s
        # All wait equally long, so the oldest is first: looking at the head is enough.
        while waiting and (waiting[0].over or waiting[0].sent <= overdue):
            found = waiting.popleft()
            if not found.over:
                found.end(self._late())
        if waiting and waiting[0].sent <= now - self._stall_s:
            self._trouble()
        self._timer = loop.call_later(POLL_S, self._pump, loop) if waiting else None

    def outcome(self, error: KafkaError | None, message: Message, sent: float) -> Outcome:
        """Say what a delivery report means; for `_Waiting`."""
        if error is None:
            self.last_ack = now = self._monotonic()
            self._observe_ack(now - sent)
            return Delivery(message.partition() or 0, message.offset() or 0)
        if error.fatal():
            self._producer = self._made()  # an idempotent producer that has lost its place is of no more use; what it held has failed
        return self._error(error)

    def _complain(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  the client's public name for it
            self._trouble()

    def _late(self) -> Unavailable:
        text = f"Kafka at {self._settings.kafka_bootstrap_servers} did not acknowledge within {self._timeout_s:g} s"
        return Unavailable(f"{text}; send it again, with the same id where it has one.", retry_after_s=5)

    def _error(self, error: KafkaError) -> TooLarge | Unavailable:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return TooLarge("The record is larger than the broker takes; raise `max.message.bytes` of the topic or lower INTEGRATION_WEBHOOK_MAX_PAYLOAD_SIZE.")
        if error.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001  the client's public name for it
            return self._late()
        return Unavailable(f"Kafka at {self._settings.kafka_bootstrap_servers} did not take the record: {said(error)}.", retry_after_s=5)


def _nobody() -> None:
    """Hear of trouble and do nothing: there is no spill."""
