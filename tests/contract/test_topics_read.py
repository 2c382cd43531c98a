"""`xyra topics read` against a real cluster."""

import json
import threading
from dataclasses import replace
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.place import KAFKA
from flows.core.settings import Settings
from flows.core.topics import EVENTS
from flows.wire.kafka import ensure_topics


@pytest.fixture
def topic(settings: Settings) -> str:
    """A topic of three partitions, with two records on two of them."""
    name = f"read-{uuid4()}"
    ensure_topics(replace(settings, kafka_partitions=3), [replace(EVENTS, name=name)])
    write(settings, name, 0, b"first", b"second")
    write(settings, name, 2, b"third", b"fourth")
    return name


def write(settings: Settings, topic: str, partition: int, *values: bytes, abort: bool = False) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "transactional.id": f"read-{uuid4()}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=partition)
    producer.flush(30)
    (producer.abort_transaction if abort else producer.commit_transaction)(30)


def read(settings: Settings, *arguments: str) -> list[tuple[int, str]]:
    """Return partition and value of what is printed, in order of that."""
    done = CliRunner(env={KAFKA: settings.kafka_bootstrap_servers}).invoke(app, ["topics", "read", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return sorted((told["partition"], told["value"]) for told in map(json.loads, done.stdout.splitlines()))


ALL = [(0, "first"), (0, "second"), (2, "fourth"), (2, "third")]


@pytest.mark.timeout(60)
def test_it_ends_where_the_topic_ends_however_few_there_are(settings: Settings, topic: str) -> None:
    assert read(settings, topic, "--from-beginning", "-n", "10") == ALL
    assert len(read(settings, topic, "--from-beginning", "-n", "3")) == 3
    assert read(settings, topic, "--from-beginning", "--grep", "ir") == [(0, "first"), (2, "third")]
    assert read(settings, topic, "--from-beginning", "--grep", "ir", "-n", "3") == [(0, "first"), (2, "third")]
    write(settings, topic, 1, b"never", abort=True)
    assert read(settings, topic, "--from-beginning") == ALL


@pytest.mark.timeout(60)
def test_it_waits_for_what_comes_where_it_is_to_follow(settings: Settings, topic: str) -> None:
    late: threading.Thread = threading.Timer(1, write, (settings, topic, 1, b"fifth"))
    late.start()
    assert read(settings, topic, "--from-beginning", "--follow", "-n", "5") == [*ALL[:2], (1, "fifth"), *ALL[2:]]
    late.join()
    seen = threading.Event()

    def again_and_again() -> None:
        while not seen.is_set():
            write(settings, topic, 1, b"sixth", b"seventh")

    late = threading.Thread(target=again_and_again)
    late.start()
    assert read(settings, topic, "--grep", "seventh", "-n", "1") == [(1, "seventh")], "without --from-beginning it is what comes"
    seen.set()
    late.join()
