"""Reads stretches of topics by time: all their partitions at once, committed records only, bounded in seconds, records and bytes."""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final, NamedTuple, TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from flows.core.errors import Unavailable
from flows.core.murmur import partition_of
from flows.core.settings import Settings
from flows.wire.kafka import client_config
from flows.wire.messages import Message, arrived, readable

PORTION: Final = 500
"""Messages looked at in one go: a few milliseconds, so that other threads come to their turn."""
ASK_S: Final = 5.0
POLL_S: Final = 0.1
QUEUE_KIB: Final = 16_384

T = TypeVar("T")

Place = tuple[str, int]
"""A topic and a partition."""


class Span(NamedTuple):
    """A stretch of a topic, by its records' times in milliseconds since the epoch."""

    topic: str
    from_ms: int
    until_ms: int | None = None
    """None: to the end, as far as it is committed."""
    keys: frozenset[bytes] | None = None
    """Only the partitions that producers here give these keys; None: all of them."""


class Bounds(NamedTuple):
    """How much a look may cost; where one is hit, what is left is told."""

    seconds: float
    records: int
    bytes: int


class Left(NamedTuple):
    """What was not looked at: a partition from an offset on."""

    topic: str
    partition: int
    offset: int
    why: str


class Look(NamedTuple):
    """How a look went."""

    records: int
    bytes: int
    left: tuple[Left, ...]
    cut: tuple[str, ...]
    """Topics whose oldest records are gone, and which were looked at from the oldest one left."""


class Window:
    """A reader of stretches; belongs to no group and commits nothing. One thread at a time; close it."""

    def __init__(self, settings: Settings) -> None:
        """Make the client; does not block."""
        self._servers = settings.kafka_bootstrap_servers
        self._consumer = Consumer(
            client_config(
                settings,
                group_id="xyra.window",  # librdkafka wants a name; without subscribe and commit no group comes to be
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                fetch_wait_max_ms=20,
                fetch_queue_backoff_ms=5,
                queued_max_messages_kbytes=QUEUE_KIB,
            )
        )
        self._counts: dict[str, int] | None = None

    def look(self, spans: Iterable[Span], take: Callable[[Message], object], bounds: Bounds) -> Look:
        """Hand every record of the stretches to `take`, each partition's in order, until it returns something true.

        A topic that there is not counts as empty. Blocks for `bounds.seconds` and what a question to the broker takes. The places
        by time are the broker's: the first record that is as late, so that one with an older time may stand behind it.

        Raises:
            Unavailable: the broker is away.

        """
        until = monotonic() + bounds.seconds
        starts, ends, cut = self._places(spans)
        records = size = 0
        why = "time"
        if starts:
            self._consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        while starts and monotonic() < until:
            for message in self._messages(starts, ends):
                records += 1
                size += len(cast("KafkaMessage", message))
                if take(message):
                    return Look(records, size, (), cut)
            if records >= bounds.records or size >= bounds.bytes:
                why = "records" if records >= bounds.records else "bytes"
                break
        return Look(records, size, tuple(Left(*place, offset, why) for place, offset in sorted(starts.items())), cut)

    def read(self, starts: dict[int, int], ends: dict[int, int], topic: str, bounds: Bounds) -> tuple[list[Message], dict[int, int]]:
        """Read a topic from one offset to another in each partition; return the messages and where each partition was left, its end once it is through.

        Raises:
            Unavailable: the broker is away.

        """
        until = monotonic() + bounds.seconds
        left = {(topic, number): offset for number, offset in starts.items() if offset < ends[number]}
        over = {(topic, number): offset for number, offset in ends.items()}
        found: list[Message] = []
        size = 0
        if left:
            self._consumer.assign([TopicPartition(*place, offset) for place, offset in left.items()])
        while left and len(found) < bounds.records and size < bounds.bytes and monotonic() < until:
            messages = self._messages(left, over, min(PORTION, bounds.records - len(found)))
            found += messages
            size += sum(map(len, cast("list[KafkaMessage]", messages)))
        return found, {number: left.get((topic, number), ends[number]) for number in starts}

    def extents(self, topic: str, from_ms: int, until_ms: int) -> tuple[dict[int, int], dict[int, int]]:
        """Return where a stretch begins and ends in each partition: up to what is committed now.

        Raises:
            Unavailable: the broker is away.

        """
        starts, ends, _ = self._places([Span(topic, from_ms, until_ms)], closed=True)
        return {number: at for (_, number), at in starts.items()}, {number: at for (_, number), at in ends.items()}

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()

    def _places(self, spans: Iterable[Span], *, closed: bool = False) -> tuple[dict[Place, int], dict[Place, int], tuple[str, ...]]:
        """Turn times into offsets: where each partition begins and, where it is known, ends, and which topics have lost their beginning."""
        starts: dict[Place, int] = {}
        ends: dict[Place, int] = {}
        cut: set[str] = set()
        for span in spans:
            numbers = self._partitions(span)
            begins = self._at(span.topic, numbers, span.from_ms)
            stops = self._at(span.topic, numbers, span.until_ms) if span.until_ms is not None else {}
            for number in numbers:
                place, begin = (span.topic, number), begins[number]
                low, high = self._extent(place) if begin >= 0 or closed else (0, 0)
                stop = stops.get(number, -1)
                if begin == low and low > 0:
                    cut.add(span.topic)
                if closed:
                    ends[place] = stop if stop >= 0 else high
                    starts[place] = begin if begin >= 0 else ends[place]
                elif begin >= 0 and begin != stop:
                    starts[place] = begin
                    if stop >= 0:
                        ends[place] = stop
        return starts, ends, tuple(sorted(cut))

    def _partitions(self, span: Span) -> list[int]:
        if self._counts is None:
            self._counts = {name: len(topic.partitions) for name, topic in self._ask(lambda: self._consumer.list_topics(timeout=ASK_S)).topics.items()}
        count = self._counts.get(span.topic, 0)
        if span.keys is None or not count:
            return list(range(count))
        return sorted({partition_of(key, count) for key in span.keys})

    def _at(self, topic: str, numbers: list[int], ms: int) -> dict[int, int]:
        asked = [TopicPartition(topic, number, max(0, ms)) for number in numbers]
        found = self._ask(lambda: self._consumer.offsets_for_times(asked, timeout=ASK_S)) if asked else []
        return {place.partition: place.offset for place in found}

    def _extent(self, place: Place) -> tuple[int, int]:
        return self._ask(lambda: self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=ASK_S))

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except KafkaException as error:
            raise Unavailable(f"Kafka at {self._servers} does not say where its topics stand ({error.args[0].str()}).", retry_after_s=5) from error

    def _messages(self, left: dict[Place, int], ends: dict[Place, int], most: int = PORTION) -> list[Message]:
        """Take what has come, without what lies behind an end; moves `left` on, and takes out of it what is through."""
        found: list[Message] = []
        for message in arrived(self._consumer, POLL_S, most):
            place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's public name for it
                    left.pop(place, None)
                elif error.fatal():
                    raise Unavailable(f"Reading {place[0]}/{place[1]} failed: {error.str()}.", retry_after_s=5)
            elif place in left:
                if offset < ends.get(place, offset + 1):
                    found.append(cast("Message", message))
                    left[place] = offset + 1
                if offset + 1 >= ends.get(place, offset + 2):
                    del left[place]
        return readable(found)


def committed(settings: Settings, group: str, topic: str, partition: int) -> int:
    """Return the offset a consumer group reads next, negative where it has committed none; joins nothing, blocks for 5 s at most.

    Raises:
        Unavailable: the broker is away.

    """
    consumer = Consumer(client_config(settings, group_id=group, enable_auto_commit=False))
    try:
        found = consumer.committed([TopicPartition(topic, partition)], timeout=ASK_S)[0]
    except KafkaException as error:
        raise Unavailable(f"Kafka at {settings.kafka_bootstrap_servers} does not say how far {group} is ({error.args[0].str()}).", retry_after_s=5) from error
    finally:
        consumer.close()
    return found.offset
