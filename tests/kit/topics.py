"""Read a topic as somebody would who only trusts what was committed."""

import time
from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid4

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


class Read(NamedTuple):
    """One committed record."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp_ms: int

    def header(self, name: str) -> str | None:
        """Return the last header of that name."""
        return next((value.decode() for key, value in reversed(self.headers) if key == name), None)


def topic_reader(bootstrap: str, topic: str, *, timeout_s: float = 30.0) -> list[Read]:
    """Return every committed record of `topic` from its beginning to its end as it is now, partition by partition; fails where none comes for `timeout_s`."""
    consumer = _consumer(bootstrap)
    try:
        partitions = [TopicPartition(topic, n, OFFSET_BEGINNING) for n in consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions]
        consumer.assign(partitions)
        records: list[Read] = []
        open_ = {p.partition for p in partitions}
        deadline = time.monotonic() + timeout_s
        while open_:
            assert time.monotonic() < deadline, f"{topic}: partitions {sorted(open_)} had nothing for {timeout_s} s, and no end (a transaction left open?)"
            messages = consumer.consume(1, 0.2) + consumer.consume(2000, 0)
            deadline = time.monotonic() + timeout_s if messages else deadline
            for message in messages:
                error = message.error()
                partition, offset = message.partition(), message.offset()
                assert partition is not None
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error  # noqa: SLF001  the client's public name for it begins so
                    open_.discard(partition)
                    continue
                assert offset is not None
                headers = [(k, v if isinstance(v, bytes) else (v or "").encode()) for k, v in _headers(message.headers())]
                records.append(Read(partition, offset, _bytes(message.key()), _bytes(message.value()), headers, message.timestamp()[1]))
        return sorted(records, key=lambda r: (r.partition, r.offset))
    finally:
        consumer.close()


def wait_for(bootstrap: str, topic: str, enough: Callable[[list[Read]], bool], *, timeout_s: float = 30.0) -> list[Read]:
    """Read `topic` again and again until `enough` says so; returns what was read then."""
    deadline = time.monotonic() + timeout_s
    while True:
        records = topic_reader(bootstrap, topic, timeout_s=timeout_s)
        if enough(records):
            return records
        assert time.monotonic() < deadline, f"{topic}: not there within {timeout_s} s; {len(records)} records are"
        time.sleep(0.05)


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "enable.sparse.connections": False,
            "group.id": f"reader-{uuid4()}",  # never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
        }
    )


def _headers(headers: object) -> list[tuple[str, bytes | str | None]]:
    if isinstance(headers, dict):
        return list(headers.items())
    return list(headers) if isinstance(headers, list) else []


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


class Tail:
    """Reads what is written to a topic from now on: for topics that other tests have filled."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        """Stand at the end of every partition as it is now."""
        self._consumer = _consumer(bootstrap)
        self.seen: list[Read] = []
        partitions = self._consumer.list_topics(topic, timeout=30).topics[topic].partitions
        places = [TopicPartition(topic, n) for n in partitions]
        ends = [self._consumer.get_watermark_offsets(place, timeout=30) for place in places]
        self._consumer.assign([TopicPartition(topic, place.partition, end[1]) for place, end in zip(places, ends, strict=True)])

    def find(self, wanted: Callable[[Read], bool], *, timeout_s: float = 30.0) -> Read:
        """Wait for the first record that is wanted and return it."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = next((read for read in self.seen if wanted(read)), None)
            if found is not None:
                return found
            assert time.monotonic() < deadline, f"not there within {timeout_s} s; {len(self.seen)} other records are"
            for message in self._consumer.consume(2000, 0.1):
                if message.error() is None:
                    headers = [(k, v if isinstance(v, bytes) else (v or "").encode()) for k, v in _headers(message.headers())]
                    place = (message.partition() or 0, message.offset() or 0)
                    self.seen.append(Read(*place, _bytes(message.key()), _bytes(message.value()), headers, message.timestamp()[1]))

    def close(self) -> None:
        """Let go."""
        self._consumer.close()


class Progress:
    """How many records of a topic a group has committed; reading it disturbs nobody."""

    def __init__(self, bootstrap: str, group: str, topic: str, partitions: int) -> None:
        """Take the group and the topic it reads."""
        # read_uncommitted: the last committed offsets are answered at once, also while a transaction is about to move them. Only what is critical is logged.
        config = {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "isolation.level": "read_uncommitted", "log_level": 2}
        self._consumer = Consumer(config)
        self._partitions = [TopicPartition(topic, i) for i in range(partitions)]

    def committed(self) -> int:
        """Return the sum of the committed offsets; 0 while the group is not there yet."""
        try:
            answer = self._consumer.committed(self._partitions, timeout=10)
        except KafkaException:
            return 0  # the group's coordinator moves in its first moments
        return sum(max(p.offset, 0) for p in answer)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()
