"""Where the flows stand: committed offsets beside the ends of their source topics."""

from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from deploy.flows import SOURCES, group
from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.kafka import client_config, partition_count

TIMEOUT_S = 10.0
BATCH = 500
WAIT_S = 0.1


class Position(NamedTuple):
    """One partition of a flow's source: its oldest offset, its end (both of committed records), and where the flow goes on."""

    flow: str
    partition: int
    start: int
    end: int
    committed: int

    @property
    def lag(self) -> int:
        """Offsets between what the flow has committed and the end."""
        return max(0, self.end - self.committed)


def positions(settings: Settings, flow: str, timeout_s: float = TIMEOUT_S) -> list[Position]:
    """Ask the cluster; empty where the topic is not there yet. Joins no group and commits nothing; waits `timeout_s` for each answer at most.

    Raises:
        Unavailable: the cluster does not answer.

    """
    topic = SOURCES[flow].name
    count = partition_count(settings, topic, timeout_s)
    if count is None:
        return []
    config = client_config(settings, group_id=group(flow), enable_auto_commit=False, isolation_level="read_committed", enable_partition_eof=True)
    consumer = Consumer(config)
    try:
        committed = consumer.committed([TopicPartition(topic, n) for n in range(count)], timeout=timeout_s)
        found = []
        for place in committed:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, place.partition), timeout=timeout_s)
            found.append(Position(flow, place.partition, low, high, place.offset if place.offset >= 0 else low))
        finished = _finished(consumer, topic, {place.partition: place.committed for place in found if place.lag}, timeout_s)
    except KafkaException as error:
        raise Unavailable(f"Kafka at {settings.kafka_bootstrap_servers} does not tell where the flow {flow} stands: {error.args[0].str()}.") from error
    finally:
        consumer.close()
    return [place._replace(end=place.committed) if place.partition in finished else place for place in found]


def _finished(consumer: Consumer, topic: str, committed: Mapping[int, int], timeout_s: float) -> set[int]:
    """Return the partitions behind whose offset no record stands: the offsets there are are the ends of transactions, which nobody reads."""
    consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in committed.items()])
    left, finished, until = set(committed), set[int](), monotonic() + timeout_s
    while left and monotonic() < until:
        for message in consumer.consume(BATCH, WAIT_S):
            error, partition = message.error(), message.partition() or 0
            if partition in left and error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  the client's public name for it
                finished.add(partition)
            if error is None or partition in finished:
                left.discard(partition)
    return finished
