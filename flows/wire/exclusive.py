"""Writes to a compacted topic that are decided on its latest state, by one process at a time."""

from typing import Final

from confluent_kafka import KafkaException, Producer

from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.kafka import client_config

TRANSACTION_MS: Final = 10_000


class Overtaken(Exception):
    """Another process has written since, or the outcome is unknown: read to the end again, decide again, write again."""


class ExclusiveWriter:
    """Compare-and-set on a topic, with Kafka's own fencing as the lock.

    Every writer of the topic uses the same transactional id, so at most one holds the turn: taking it aborts what
    another had open and makes its next commit fail. Whoever has the turn, reads to the end and then commits, knows
    that nothing was written in between. Nothing that was decided on an older state ever reaches the log, so its
    last record of a key is the right one and compaction can do no harm.

    Blocking; one thread at a time. A crash here leaves at most an open transaction, which the next turn aborts.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        """Take no turn yet; does not block."""
        self._settings = settings
        self._topic = topic
        self._producer: Producer | None = None

    @property
    def holds(self) -> bool:
        """Whether the turn was taken and, as far as is known here, nobody has taken it since."""
        return self._producer is not None

    def take(self, timeout_s: float) -> None:
        """Take the turn; blocks for up to `timeout_s` seconds. Afterwards read the topic to its end before deciding anything.

        Raises:
            Unavailable: the broker is away or slow.

        """
        producer = Producer(
            client_config(
                self._settings,
                transactional_id=f"xyra-write-{self._topic}",
                transaction_timeout_ms=TRANSACTION_MS,
                linger_ms=0,
                message_max_bytes=4 * 1024 * 1024,
            )
        )
        try:
            producer.init_transactions(timeout_s)
        except KafkaException as error:
            raise Unavailable(f"Kafka at {self._settings.kafka_bootstrap_servers} does not answer ({error.args[0].str()}).", retry_after_s=5) from error
        self._producer = producer

    def write(self, key: bytes, value: bytes, timeout_s: float) -> int:
        """Commit one record and return its offset; blocks for up to `timeout_s` seconds. The turn must have been taken.

        Raises:
            Overtaken: nothing was written, or it is not known whether it was; the turn is lost.

        """
        offsets: list[int] = []
        producer, self._producer = self._producer, None
        if producer is None:
            raise Overtaken
        try:
            producer.begin_transaction()
            producer.produce(self._topic, value, key, on_delivery=lambda _, message: offsets.append(message.offset() or 0))
            producer.commit_transaction(timeout_s)
        except (KafkaException, BufferError) as error:
            raise Overtaken(str(error)) from error
        self._producer = producer
        return offsets[0]

    def let_go(self) -> None:
        """Forget the turn, as when the topic could not be read to its end after it was taken; does not block."""
        self._producer = None
