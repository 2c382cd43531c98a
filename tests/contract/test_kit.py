"""The stack's parts that tests stand on, tried for themselves."""

from pathlib import Path
from uuid import uuid4

import redis
from confluent_kafka import Producer

from deploy.local.broker import RunningBroker
from flows.core.topics import EVENTS, Topic
from flows.steps.guard import each
from flows.wire.kafka import ensure_topics
from tests.kit.engine import bench
from tests.kit.settings import settings_for
from tests.kit.topics import topic_reader


def test_only_committed_records_are_read_and_the_aborted_end_is_passed(kafka: str, tmp_path: Path) -> None:
    topic = Topic(f"kit-{uuid4()}", "", "", "flow", compacted=False, retention_ms=60_000, max_bytes=EVENTS.max_bytes, writer="", readers="")
    ensure_topics(settings_for(kafka, tmp_path, kafka_partitions="2"), [topic])
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": f"kit-{uuid4()}"})
    producer.init_transactions(30)
    for keep in (True, False):
        producer.begin_transaction()
        for n in range(10):
            producer.produce(topic.name, key=str(n), value=b"kept" if keep else b"aborted", headers={"a": b"1"})
        producer.commit_transaction(30) if keep else producer.abort_transaction(30)
    records = topic_reader(kafka, topic.name)
    assert len(records) == 10
    assert {r.value for r in records} == {b"kept"}
    assert records[0].header("a") == "1"


def test_how_far_a_group_has_come_is_what_it_has_committed(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    assert made.committed() == 0
    made.send((b"k", b"1"), (b"l", b"2"), (b"m", b"3"))
    made.run(made.flow(each(lambda _record, _batch: None)))
    assert made.committed() == 3


def test_a_broker_killed_comes_back_with_what_it_acknowledged(own_broker: RunningBroker, tmp_path: Path) -> None:
    topic = Topic(f"kit-{uuid4()}", "", "", "one", compacted=False, retention_ms=60_000, max_bytes=EVENTS.max_bytes, writer="", readers="")
    ensure_topics(settings_for(own_broker.bootstrap, tmp_path), [topic])
    producer = Producer({"bootstrap.servers": own_broker.bootstrap, "acks": "all", "message.max.bytes": EVENTS.max_bytes})
    large = b"x" * (EVENTS.max_bytes - 1_000_000)
    producer.produce(topic.name, large)
    assert producer.flush(30) == 0
    own_broker.kill()
    own_broker.start()
    assert [r.value for r in topic_reader(own_broker.bootstrap, topic.name)] == [large]


def test_valkey_answers(valkey_port: int) -> None:
    with redis.Redis("127.0.0.1", valkey_port) as client:
        client.set("a", "1")
        assert client.get("a") == b"1"
