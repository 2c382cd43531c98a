"""Reads single records of one partition by their offsets, wherever they stand."""

import time
from collections.abc import Sequence
from typing import Final, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from flows.core.errors import Unavailable
from flows.core.record import Record
from flows.core.settings import Settings
from flows.wire.kafka import client_config
from flows.wire.messages import Message, readable

NEAR: Final = 500
"""Records read over rather than looked for anew."""
STEP_S: Final = 0.2
ASK_S: Final = 10.0


def pick(settings: Settings, topic: str, partition: int, offsets: Sequence[int], patience_s: float = 20.0) -> list[Record]:
    """Return the records at `offsets`, in their order; what is not there any more, or was never committed, is left out.

    Blocks until all were seen, for about `patience_s` at most. Belongs to no group and commits nothing.

    Raises:
        Unavailable: the broker is away or slow.

    """
    consumer = Consumer(
        client_config(
            settings,
            group_id="xyra-pick",  # the client wants one; none is joined, nothing is committed
            enable_auto_commit=False,
            enable_partition_eof=True,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_wait_max_ms=50,
            queued_max_messages_kbytes=16_384,
        )
    )
    where = f"{topic}/{partition}"
    try:
        consumer.list_topics(topic, timeout=ASK_S)  # with the leader known, the first fetch goes out at once
        return _picked(consumer, TopicPartition(topic, partition), sorted(set(offsets)), time.monotonic() + patience_s)
    except KafkaException as error:
        raise Unavailable(f"{where} cannot be read: {error.args[0].str()}. See that Kafka runs (`xyra status`).") from error
    finally:
        consumer.close()


def _picked(consumer: Consumer, place: TopicPartition, offsets: list[int], until: float) -> list[Record]:
    found: list[Record] = []
    wanted = list(reversed(offsets))
    at = -NEAR - 1
    while wanted:
        if not at <= wanted[-1] <= at + NEAR:
            at = wanted[-1]
            consumer.assign([TopicPartition(place.topic, place.partition, at)])
        if time.monotonic() > until:
            raise Unavailable(f"{place.topic}/{place.partition} was not read up to offset {wanted[-1]:,} in time. See that Kafka runs (`xyra status`).")
        for message in consumer.consume(NEAR, STEP_S):
            error, offset = message.error(), message.offset() or 0
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's public name for it
                    return found  # all that is left to look for lies behind the end
                continue  # passing trouble: the client goes on trying, until the time is over
            at = offset + 1
            while wanted and wanted[-1] < offset:
                wanted.pop()  # it is not there any more
            if wanted and wanted[-1] == offset:
                wanted.pop()
                found.append(_record(message))
    return found


def _record(message: KafkaMessage) -> Record:
    (one,) = readable([cast("Message", message)])
    return Record(one.topic(), one.partition(), one.offset(), one.timestamp()[1], one.key(), one.value(), tuple(one.headers() or ()))
