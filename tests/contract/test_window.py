"""Stretches of a topic are read by time, at once over all partitions, and within bounds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from flows.core import topics
from flows.core.clock import SystemClock
from flows.core.errors import Unavailable
from flows.core.murmur import partition_of
from flows.core.settings import Settings
from flows.wire.kafka import PARTITIONER, client_config, ensure_topics
from flows.wire.messages import Message
from flows.wire.window import Bounds, Left, Span, Window
from tests.kit.settings import PARTITIONS, settings_for

WIDE = Bounds(20, 1_000_000, 1 << 30)
START_MS = SystemClock().now_ms() - topics.DAY_MS  # a broker takes no times of the future, and keeps none of the far past
COUNT = 3000


@pytest.fixture(scope="module")
def log(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, str]:
    """Write records a second apart, key and value their number."""
    settings, name = settings_for(kafka, tmp_path_factory.mktemp("window")), f"w{uuid4().hex[:8]}"
    ensure_topics(settings, [replace(topics.EVENTS, name=name)])
    producer = Producer(client_config(settings, partitioner=PARTITIONER))
    for n in range(COUNT):
        producer.produce(name, b"%d" % n, b"%d" % n, timestamp=START_MS + n * 1000)
    assert producer.flush(20) == 0
    return settings, name


@pytest.fixture
def window(log: tuple[Settings, str]) -> Window:
    return Window(log[0])


def numbers(found: list[int]) -> Callable[[Message], None]:
    return lambda message: found.append(int(message.value() or b""))


def test_a_stretch_has_what_lies_in_it_and_nothing_else(log: tuple[Settings, str], window: Window) -> None:
    found: list[int] = []
    look = window.look([Span(log[1], START_MS + 500_000, START_MS + 700_000)], numbers(found), WIDE)
    assert sorted(found) == list(range(500, 700))
    assert (look.records, look.left, look.cut) == (200, (), ())
    found.clear()
    window.look([Span(log[1], START_MS + (COUNT - 3) * 1000)], numbers(found), WIDE)
    assert sorted(found) == [COUNT - 3, COUNT - 2, COUNT - 1]
    assert window.look([Span(log[1], START_MS + COUNT * 1000), Span("there-is-no-such-topic", 0)], numbers(found), WIDE).records == 0
    window.close()


def test_a_key_is_looked_for_in_its_own_partition(log: tuple[Settings, str], window: Window) -> None:
    found: list[int] = []
    look = window.look([Span(log[1], 0, keys=frozenset((b"1234",)))], numbers(found), WIDE)
    assert 1234 in found
    assert look.records < COUNT * 2 / PARTITIONS
    window.close()


def test_it_stops_when_it_has_enough(log: tuple[Settings, str], window: Window) -> None:
    look = window.look([Span(log[1], 0)], lambda message: message.value() == b"7", WIDE)
    assert not look.left
    window.close()


@pytest.mark.parametrize(("bounds", "why"), [(Bounds(20, 1, 1 << 30), "records"), (Bounds(20, 1 << 20, 1), "bytes"), (Bounds(0, 1 << 20, 1 << 30), "time")])
def test_a_bound_that_is_hit_is_told_with_what_is_left(log: tuple[Settings, str], window: Window, bounds: Bounds, why: str) -> None:
    look = window.look([Span(log[1], 0)], lambda _: None, bounds)
    assert look.records < COUNT
    assert {left.why for left in look.left} == {why}
    rest: list[Left] = list(look.left)
    starts = {left.partition: left.offset for left in rest}
    ends = window.extents(log[1], 0, 1 << 60)[1]
    found, reached = window.read(starts, {number: ends[number] for number in starts}, log[1], WIDE)
    assert len(found) == COUNT - look.records
    assert reached == {number: ends[number] for number in starts}
    window.close()


def test_a_read_goes_on_where_it_was_left(log: tuple[Settings, str], window: Window) -> None:
    at, ends = window.extents(log[1], START_MS + 100_000, START_MS + 1_100_000)
    found: list[int] = []
    while at != ends:
        portion, at = window.read(at, ends, log[1], Bounds(20, 170, 1 << 30))
        assert len(portion) <= 170
        found += [int(message.value() or b"") for message in portion]
    assert sorted(found) == list(range(100, 1100))
    window.close()


def test_what_retention_has_taken_is_told(log: tuple[Settings, str], kafka: str) -> None:
    settings, name = log[0], f"w{uuid4().hex[:8]}"
    ensure_topics(settings, [replace(topics.EVENTS, name=name, partitions="one")])
    producer = Producer(client_config(settings))
    for n in range(10):
        producer.produce(name, b"%d" % n, timestamp=START_MS + n * 1000)
    assert producer.flush(20) == 0
    place, admin = TopicPartition(name, 0, 5), AdminClient({"bootstrap.servers": kafka})
    admin.delete_records([place])[place].result(20)
    window, found = Window(settings), list[int]()
    assert window.look([Span(name, START_MS)], numbers(found), WIDE).cut == (name,)
    assert found == [5, 6, 7, 8, 9]
    assert window.look([Span(name, START_MS + 7000)], numbers(found), WIDE).cut == ()
    window.close()


def test_a_broker_that_is_away_is_told(tmp_path: Path) -> None:
    window = Window(settings_for("127.0.0.1:1", tmp_path))
    with pytest.raises(Unavailable, match="does not say"):
        window.look([Span("t", 0)], lambda _: None, WIDE)
    window.close()


def test_a_key_is_put_where_kafkas_own_clients_put_it(log: tuple[Settings, str]) -> None:
    settings, name = log
    producer, wrong = Producer(client_config(settings, partitioner=PARTITIONER)), list[bytes]()

    def report(key: bytes) -> Callable[..., None]:
        return lambda _, message: wrong.append(key) if message.partition() != partition_of(key, settings.kafka_partitions) else None

    for key in (bytes(range(n % 251)) + b"%d" % n for n in range(400)):
        producer.produce(name, b"0", key, timestamp=1, on_delivery=report(key))
    assert producer.flush(20) == 0
    assert not wrong
