"""A worker's way out on a real Kafka whose connections break."""

import contextlib
import os
import socket
import stat
from pathlib import Path

from confluent_kafka import Consumer

from flows.core import topics
from flows.core.settings import Settings
from flows.wire.kafka import ensure_topics
from flows.wire.outlet import Outlet
from tests.kit.topics import topic_reader

ROUNDS = 6


def cut(kafka: str) -> int:
    """Break every connection of this process to the broker; returns how many there were."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += _cut(int(entry.name), int(kafka.rpartition(":")[2]))
    return found


def _cut(number: int, port: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(number).st_mode):
        return False
    with socket.socket(fileno=os.dup(number)) as line:
        if line.family != socket.AF_INET or line.getpeername()[1] != port:
            return False
        line.shutdown(socket.SHUT_RDWR)
        return True


def test_connections_that_break_inside_a_transaction_cost_no_restart(kafka: str, settings: Settings, tmp_path: Path) -> None:
    """Without `metadata.recovery.strategy=none` the second transaction ends this process: see `Outlet.commit`."""
    ensure_topics(settings, topics.TOPICS)
    made = f"cut-{tmp_path.name}"
    member, outlet = Consumer({"bootstrap.servers": kafka, "group.id": made}), Outlet(settings, made)
    member.subscribe([topics.EVENTS.name])
    while not member.assignment():
        member.poll(0.1)
    outlet.take_over(lambda: False)
    for number in range(ROUNDS):
        outlet.begin()
        outlet.send(topics.EVENTS.name, made.encode(), b"%d" % number)
        outlet.flush()
        assert cut(kafka) > 0
        outlet.commit(topics.EVENTS.name, {0: number}, member.consumer_group_metadata())
    member.close()
    assert [read.value for read in topic_reader(kafka, topics.EVENTS.name) if read.key == made.encode()] == [b"%d" % number for number in range(ROUNDS)]
