"""Topics of a run: made, filled and deleted."""

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # the package re-exports it without saying so

PARTITIONS: Final = 8
KEYS: Final = 5000
TIMEOUT_S: Final = 30.0
QUIET: Final = 2
"""Clients here are silent but for what is critical (syslog's levels): what goes wrong shows in what they return."""


def make(bootstrap: str, *names: str, compacted: bool = False) -> None:
    """Make topics with the partition count all runs have."""
    config = {"cleanup.policy": "compact"} if compacted else {}
    new = [NewTopic(name, PARTITIONS, 1, config=config) for name in names]
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": QUIET})  # kept: its futures end with it
    for future in admin.create_topics(new).values():
        future.result(TIMEOUT_S)


def delete(bootstrap: str, *prefixes: str) -> None:
    """Delete the topics whose names begin with one of `prefixes`."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": QUIET})
    names = [name for name in admin.list_topics(timeout=TIMEOUT_S).topics if name.startswith(prefixes)]
    for future in admin.delete_topics(names).values() if names else ():
        future.result(TIMEOUT_S)


def body(i: int) -> tuple[bytes, bytes]:
    """Return the key and the value of record `i`: JSON of about 220 bytes, one of 5,000 keys."""
    agent = i % KEYS
    value = (
        b'{"id":%d,"amount":12.5,"agent":"agent-%d","session":"s%d","kind":"completion","created_at":"2026-01-01T00:00:00Z",'
        b'"tokens":[%d,2,3],"model":"large-2","customer":{"id":%d,"plan":"business","region":"eu-west-1"}}'
    ) % (i, agent, i, i, agent)
    return b"%d" % agent, value


def fill(
    bootstrap: str,
    topic: str,
    records: int,
    each: Callable[[int], tuple[bytes, bytes]] = body,
    headers: list[tuple[str, str | bytes | None]] | None = None,
) -> None:
    """Write `records` records to `topic`, spread by key; returns when the broker has them all.

    Raises:
        KafkaException: the broker did not take them all.

    """
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "compression.type": "lz4", "queue.buffering.max.messages": 500_000})
    for i in range(records):
        key, value = each(i)
        while True:
            try:
                producer.produce(topic, value, key, headers=headers)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    if producer.flush(TIMEOUT_S):
        msg = f"not all of {records} records reached {topic}"
        raise KafkaException(msg)


def read_end(bootstrap: str, topic: str) -> Consumer:
    """Return a read_committed consumer that stands at the end of `topic`."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bench-read", "enable.auto.commit": False, "isolation.level": "read_committed", "log_level": QUIET}
    )
    ends = (consumer.get_watermark_offsets(TopicPartition(topic, i), timeout=10)[1] for i in range(PARTITIONS))
    consumer.assign([TopicPartition(topic, i, end) for i, end in enumerate(ends)])
    return consumer


def wait_until(true: Callable[[], bool], timeout_s: float, what: str, *, every_s: float = 0.05) -> float:
    """Ask until it is true; return how many seconds that took.

    Raises:
        TimeoutError: it was still not true after `timeout_s` seconds.

    """
    start = time.monotonic()
    while not true():
        if time.monotonic() - start > timeout_s:
            msg = f"{what}: not within {timeout_s:.0f} s"
            raise TimeoutError(msg)
        time.sleep(every_s)
    return time.monotonic() - start
