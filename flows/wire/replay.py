"""Reads one partition of a topic from an offset to its end, in large portions, committed records only."""

import time
from collections.abc import Iterator
from typing import Final, NamedTuple, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.kafka import client_config

PORTION: Final = 5000
POLL_S: Final = 0.5


class Extent(NamedTuple):
    """The offsets a partition has: from `start` up to but not including `end`, open transactions included."""

    start: int
    end: int


class Portion(NamedTuple):
    """What a read brought: entries by key, the last of each, and the offset behind them."""

    entries: dict[bytes, bytes | None]
    position: int


class Replay:
    """A reader of one partition; belongs to no group and commits nothing."""

    def __init__(self, settings: Settings, topic: str, partition: int, *, stall_s: float = 90.0) -> None:
        """Take the partition, and how long it may bring nothing new: longer than a dead worker's transaction can stay open."""
        self._where = f"{topic}/{partition}"
        self._settings = settings
        self._topic, self._partition = topic, partition
        self._stall_s = stall_s
        self._consumer = Consumer(
            client_config(
                settings,
                group_id="xyra.replay",  # librdkafka wants a name; without subscribe and commit no group comes to be
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                auto_offset_reset="error",
                fetch_wait_max_ms=50,
                queued_min_messages=100_000,
                queued_max_messages_kbytes=32_768,
            )
        )

    def extent(self) -> Extent:
        """Ask the broker which offsets there are; blocks for 10 s at most.

        Raises:
            Unavailable: it does not answer.

        """
        try:
            start, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, self._partition), timeout=10.0)
        except KafkaException as error:
            raise Unavailable(f"The extent of {self._where} could not be read: {error.args[0].str()}. It is tried again on the next start.") from error
        return Extent(start, end)

    def portions(self, start: int, end: int) -> Iterator[Portion]:
        """Give what was committed from `start` to at least `end`, waiting for transactions that are still open.

        The last portion's position is where the reading ended: behind the last record, transaction marker or compacted gap.

        Raises:
            Unavailable: nothing new came for `stall_s`, or the broker refused.

        """
        self._consumer.assign([TopicPartition(self._topic, self._partition, start)])
        position, moved = start, time.monotonic()
        while position < end:
            messages = self._consumer.consume(PORTION, POLL_S)
            portion = self._portion(messages, position)
            if portion.position > position:
                position, moved = portion.position, time.monotonic()
                yield portion
            elif time.monotonic() - moved > self._stall_s:
                raise Unavailable(
                    f"Reading {self._where} stands still at offset {position:,} of {end:,} since {self._stall_s:g} s: "
                    "a transaction is still open there, or the broker is away. See the broker's log; the next start tries again."
                )

    def _portion(self, messages: list[Message], position: int) -> Portion:
        entries: dict[bytes, bytes | None] = {}
        for message in messages:
            error = message.error()
            if error is None:
                entries[message.key() or b""] = message.value()
                position = _offset(message) + 1
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's public name for it
                position = max(position, _offset(message))
            elif error.fatal() or not error.retriable():
                raise Unavailable(f"Reading {self._where} at offset {position:,} failed: {error.str()}. The next start tries again.")
        return Portion(entries, position)

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()


def _offset(message: Message) -> int:
    """Return where a message stands; one that was consumed always says so."""
    return cast("int", message.offset())
