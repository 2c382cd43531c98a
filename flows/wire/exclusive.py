"""Writes to a compacted topic that are decided on its latest state, by one process at a time."""

from typing import Final

from confluent_kafka import KafkaException, Producer

from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.kafka import TRANSACTIONAL, client_config, said

TRANSACTION_MS: Final = 10_000
RECORD_BYTES: Final = 4 * 1024 * 1024


class Overtaken(Exception):
    """Another process has the turn now, or the outcome is unknown: take the turn, read to the end, decide again."""


class Turn:
    """The right to write to a topic: compare-and-set, with Kafka's own fencing as the lock.

    Every writer of the topic uses the same transactional id, so taking the turn aborts what another had open and makes
    its next commit fail. Whoever takes it, reads the topic to its end and then commits, knows that nothing was written
    in between; and what was decided on an older state never reaches the log. The last record of a key is therefore
    always the right one, and compaction can do no harm.

    One thread at a time. A crash leaves at most an open transaction, which the next turn aborts.
    """

    def __init__(self, settings: Settings, topic: str, timeout_s: float) -> None:
        """Take the turn; blocks for up to `timeout_s` seconds.

        Raises:
            Unavailable: the broker is away or slow.

        """
        self._topic = topic
        self._producer = Producer(
            client_config(
                settings,
                transactional_id=f"xyra-write-{topic}",
                transaction_timeout_ms=TRANSACTION_MS,
                **TRANSACTIONAL,
                linger_ms=0,
                message_max_bytes=RECORD_BYTES,
            )
        )
        try:
            self._producer.init_transactions(timeout_s)
        except KafkaException as error:
            raise Unavailable(f"Kafka at {settings.kafka_bootstrap_servers} does not answer ({said(error.args[0])}).", retry_after_s=5) from error

    def write(self, key: bytes, value: bytes | None, timeout_s: float) -> int:
        """Commit one record, None for the end of its key, and return its offset; blocks for up to `timeout_s` seconds.

        Raises:
            Overtaken: nothing was written, or it is not known whether it was; this turn is over.

        """
        offsets: list[int] = []
        try:
            self._producer.begin_transaction()
            self._producer.produce(self._topic, value, key, on_delivery=lambda _, message: offsets.append(message.offset() or 0))
            self._producer.commit_transaction(timeout_s)
        except (KafkaException, BufferError) as error:
            raise Overtaken(str(error)) from error
        return offsets[0]
