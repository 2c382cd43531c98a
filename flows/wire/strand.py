"""Reads one partition from an offset on, portion by portion, and stays where it is between two of them."""

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from flows.core.errors import Unavailable
from flows.core.record import Record
from flows.core.settings import Settings
from flows.wire.kafka import client_config
from flows.wire.messages import Message, readable, record_of

MOST: Final = 4
"""Messages taken in one go: a piece of a file has half a megabyte."""
POLL_S: Final = 0.1
PATIENCE_S: Final = 20.0
QUEUE_KIB: Final = 2 * 1024


class Strand:
    """A reader of one partition; belongs to no group and commits nothing. One thread at a time; close it."""

    def __init__(self, settings: Settings, topic: str, partition: int, patience_s: float = PATIENCE_S) -> None:
        """Make the client; does not block. `patience_s`: so long a reading goes on without a record."""
        self._patience_s = patience_s
        self._servers = settings.kafka_bootstrap_servers
        self._topic = topic
        self._partition = partition
        self._next = -1
        self._end = -1
        self._waiting: list[Record] = []
        self._consumer = Consumer(
            client_config(
                settings,
                group_id="xyra-strand",  # the client wants one; none is joined, nothing is committed
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                fetch_wait_max_ms=50,
                fetch_queue_backoff_ms=5,
                queued_max_messages_kbytes=QUEUE_KIB,
            )
        )

    def read(self, start: int, last: int, wanted: Callable[[Record], bool]) -> Iterator[Record]:
        """Yield the records from `start` to `last`, both included, that are wanted; whoever stops taking them goes on later where that was.

        Blocks for `patience_s` at most without a record.

        Raises:
            Unavailable: the broker is away or slow.

        """
        if start != self._next:
            self._waiting.clear()
            self._assign(start)
        until = monotonic() + self._patience_s
        while self._next <= last:
            if not self._waiting:
                self._waiting = self._more()
                if not self._waiting:
                    self._next = max(self._next, self._end)  # what is left has no records: marks of transactions
                if not self._waiting and self._next <= last and monotonic() > until:
                    raise Unavailable(f"{self._topic}/{self._partition} was not read up to offset {last:,} in time. See that Kafka runs (`xyra status`).")
                continue
            record = self._waiting.pop(0)
            self._next = record.offset + 1
            if record.offset <= last and wanted(record):
                yield record
                until = monotonic() + self._patience_s

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()

    def _assign(self, start: int) -> None:
        try:
            self._consumer.assign([TopicPartition(self._topic, self._partition, start)])
        except KafkaException as error:
            raise Unavailable(f"{self._topic}/{self._partition} cannot be read: {error.args[0].str()}.") from error
        self._next, self._end = start, -1

    def _more(self) -> list[Record]:
        found = []
        for message in self._consumer.consume(MOST, POLL_S):
            error = message.error()
            if error is None:
                found.append(cast("Message", message))
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's public name for it
                self._end = message.offset() or 0
            elif error.fatal() or error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise Unavailable(f"Reading {self._topic}/{self._partition} failed: {error.str()}.")
        return [*map(record_of, readable(found))]
