"""Reads one partition of a topic from an offset to its end, in large portions, committed records only."""

import time
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # the package re-exports them without saying so

from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.kafka import client_config
from flows.wire.messages import arrived

PORTION: Final = 5000
FETCH_BACKOFF_MS: Final = 5
"""How soon more is fetched once the client's queue was full; its own second would be most of a restore."""
FETCH_WAIT_MS: Final = 10
"""How soon the end is noticed behind a transaction's marker, which no reader ever sees."""
POLL_S: Final = 0.5
ASK_S: Final = 10.0

_PASSING: Final = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT}  # noqa: SLF001  the client's public names for them
"""The client says so and goes on trying by itself."""
_ENDS: Final = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]  # these two alone carry no types


class Extent(NamedTuple):
    """The offsets a partition has: from `start` up to but not including `end`, open transactions included."""

    start: int
    end: int


class Portion(NamedTuple):
    """What a read brought: the last entry of each key, how many records there were, and the offset behind them."""

    entries: dict[bytes, bytes | None]
    records: int
    position: int


class Extents:
    """Asks which offsets partitions have, on a connection of its own: on a consumer's the question waits behind a fetch."""

    def __init__(self, settings: Settings) -> None:
        """Make the client; does not block."""
        config = client_config(settings)
        del config["allow.auto.create.topics"]
        self._admin = AdminClient(config)
        self._known = set[str]()

    def of(self, topic: str, partition: int) -> Extent:
        """Return the offsets that a partition has; blocks for 10 s at most.

        Raises:
            Unavailable: the broker does not answer.

        """
        place = TopicPartition(topic, partition)
        try:
            if topic not in self._known:
                self._admin.list_topics(topic, timeout=ASK_S)  # its leaders known, the next questions go out at once, not now and then after three seconds
                self._known.add(topic)
            # The consumer would stop at the first open transaction; the end that counts lies behind it.
            asked = [self._admin.list_offsets({place: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED) for spec in _ENDS]
            start, end = (futures[place].result(ASK_S).offset for futures in asked)
        except (KafkaException, TimeoutError) as error:
            raise Unavailable(f"Which offsets {topic}/{partition} has could not be read: {error!r}. See that Kafka runs; it is tried again.") from error
        return Extent(start, end)


def extent_of(settings: Settings, topic: str, partition: int) -> Extent:
    """Ask once; as `Extents.of`, which see."""
    return Extents(settings).of(topic, partition)


class Replay:
    """A reader of one partition; belongs to no group and commits nothing."""

    def __init__(self, settings: Settings, topic: str, partition: int, *, stall_s: float = 90.0, extents: Extents | None = None) -> None:
        """Take the partition; connects to nothing before something is to be read.

        Args:
            settings: names the cluster.
            topic: what is read.
            partition: of the topic.
            stall_s: how long it may bring nothing new: longer than a dead worker's transaction can stay open.
            extents: who is asked for the offsets, where somebody is already.

        """
        self._where = f"{topic}/{partition}"
        self._settings = settings
        self._topic, self._partition = topic, partition
        self._stall_s = stall_s
        self._extents = extents
        self._consumer: Consumer | None = None

    def extent(self) -> Extent:
        """Ask the broker which offsets there are; blocks for 10 s at most.

        Raises:
            Unavailable: it does not answer.

        """
        return (self._extents or Extents(self._settings)).of(self._topic, self._partition)

    def portions(self, start: int, end: int) -> Iterator[Portion]:
        """Give what was committed from `start` to at least `end`, waiting for transactions that are still open.

        The last portion's position is where the reading ended: behind the last record, transaction marker or compacted gap.

        Raises:
            Unavailable: nothing new came for `stall_s`, or the broker refused.

        """
        if start >= end:
            return
        consumer = self._consumer = self._consumer or self._connected()
        consumer.assign([TopicPartition(self._topic, self._partition, start)])
        position, moved = start, time.monotonic()
        while position < end:
            portion = self._portion(arrived(consumer, POLL_S, PORTION), position)
            if portion.position > position:
                position, moved = portion.position, time.monotonic()
                yield portion
            elif time.monotonic() - moved > self._stall_s:
                raise Unavailable(
                    f"Reading {self._where} stands still at offset {position:,} of {end:,} since {self._stall_s:g} s: "
                    "a transaction is still open there, or the broker is away. See the broker's log; the next start tries again."
                )

    def _connected(self) -> Consumer:
        """Make a client that knows the partition's leader before it is assigned: it would look for it once a second, and most often just too early."""
        made = Consumer(
            client_config(
                self._settings,
                group_id="xyra.replay",  # librdkafka wants a name; without subscribe and commit no group comes to be
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                auto_offset_reset="error",
                fetch_wait_max_ms=FETCH_WAIT_MS,
                fetch_queue_backoff_ms=FETCH_BACKOFF_MS,
                queued_min_messages=100_000,
                queued_max_messages_kbytes=32_768,
            )
        )
        try:
            made.list_topics(self._topic, timeout=ASK_S)
        except KafkaException as error:
            made.close()
            raise Unavailable(f"Who leads {self._where} could not be asked: {error.args[0].str()}. See that Kafka runs; the next start tries again.") from error
        return made

    def _portion(self, messages: list[Message], position: int) -> Portion:
        entries: dict[bytes, bytes | None] = {}
        records = 0
        last: Message | None = None
        for message in messages:
            error = message.error()
            if error is None:
                entries[message.key() or b""] = message.value()
                records += 1
                last = message
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's public name for it
                position = max(position, _offset(message))
            elif error.fatal() or not (error.retriable() or error.code() in _PASSING):
                raise Unavailable(f"Reading {self._where} at offset {position:,} failed: {error.str()}. The next start tries again.")
        return Portion(entries, records, max(position, _offset(last) + 1) if last is not None else position)

    def close(self) -> None:
        """Let go of the connections."""
        if self._consumer is not None:
            self._consumer.close()


def _offset(message: Message) -> int:
    """Return where a message stands; one that was consumed always says so."""
    return cast("int", message.offset())
