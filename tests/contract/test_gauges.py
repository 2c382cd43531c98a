"""What a worker's `/metrics` shows of the partitions it holds, and of no others, on a real Kafka."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from connectors.testing import ManualClock
from flows.core import signals, topics
from flows.core.clock import SystemClock
from flows.core.orders import StoredPause
from flows.engine.runtime import Engine
from tests.kit.courier import Courier, courier
from tests.kit.settings import PARTITIONS
from tests.kit.targets import answers

FAILS = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
OF_PARTITIONS = (signals.FLOW_WAITING, signals.FLOW_PAUSED, signals.TIMERS_PENDING, signals.FLOW_LAG)
HOUR = {"max_attempts": 2, "retry_delays": [3600]}


@pytest.fixture
def names() -> list[str]:
    return [f"e{uuid4().hex[:8]}" for _ in range(12)]


@pytest.fixture
def made(kafka: str, tmp_path: Path) -> Iterator[Courier]:
    with courier(kafka, tmp_path, clock=ManualClock()) as found:
        yield found


def pause(made: Courier) -> None:
    text = StoredPause.model_validate({"order_id": "1", "paused": True, "by": "admin", "at_ms": 0}).model_dump_json().encode()
    producer = Producer({"bootstrap.servers": made.bench.settings.kafka_bootstrap_servers})
    producer.produce(topics.CONFIG.name, text, f"pause/{made.bench.name}".encode())
    assert producer.flush(20) == 0


def test_a_worker_that_starts_again_shows_what_its_state_holds(made: Courier, names: list[str]) -> None:
    """Ten failures opened a breaker, the rest stands in line, everything is paused: the next worker shows it before a record comes."""
    name = names[0]
    target = made.beside.target(answers(FAILS))
    made.define(name, target.url, retry_config=HOUR, delivery={"concurrency": 1})
    made.send(name, *(b"%d" % n for n in range(60)))
    first = made.run(until=lambda engine: made.bench.through(engine) and made.waiting(engine) == 60 and len(target.requests) >= 10 and not engine.calls)
    assert made.gauges(first, signals.BREAKER_STATE) == {name: 2.0}
    assert made.gauges(first, signals.PARKED) == {name: 50.0}
    pause(made)
    made.run(until=lambda engine: engine.assignment.ready and all(share.paused for share in engine.assignment.shares.values()))
    again = made.run(until=lambda engine: len(made.gauges(engine, signals.FLOW_PAUSED)) == PARTITIONS)
    assert made.gauges(again, signals.BREAKER_STATE) == {name: 2.0}
    assert made.gauges(again, signals.PARKED) == {name: 50.0}
    assert set(made.gauges(again, signals.FLOW_PAUSED).values()) == {1.0}
    assert sum(made.gauges(again, signals.FLOW_WAITING).values()) == 60
    assert sum(made.gauges(again, signals.TIMERS_PENDING).values()) == 11  # ten are tried again in an hour, and the line is looked at when the opening is over
    assert len(target.requests) == 10


def settled(made: Courier, engines: list[Engine], names: list[str]) -> Callable[[], bool]:
    """Tell whether each partition and each endpoint is shown by exactly the worker that holds it."""
    owner = {name: made.partition_of(name) for name in names}

    def look() -> bool:
        held = [{str(number) for number in engine.assignment.shares.copy()} for engine in engines]
        shown = [all(set(made.gauges(engine, signal)) == own for signal in OF_PARTITIONS) for engine, own in zip(engines, held, strict=True)]
        targets = [
            all(set(made.gauges(engine, signal)) == {name for name in names if owner[name] in own} for signal in (signals.BREAKER_STATE, signals.PARKED))
            for engine, own in zip(engines, held, strict=True)
        ]
        return all(shown) and all(targets) and sum(map(len, held)) == PARTITIONS and all(len(own) == PARTITIONS // len(engines) for own in held)

    return look


def until(enough: Callable[[], bool], why: Callable[[], object]) -> None:
    waited, deadline = Event(), monotonic() + 60
    while not enough():
        assert monotonic() < deadline, why()
        waited.wait(0.05)


@pytest.mark.timeout(240)
def test_a_partition_that_moves_takes_its_gauges_along(kafka: str, tmp_path: Path, names: list[str]) -> None:
    with courier(kafka, tmp_path, clock=SystemClock()) as made:
        target = made.beside.target(answers(FAILS))
        for name in names:
            made.define(name, target.url, retry_config=HOUR, delivery={"concurrency": 1})
            made.send(name, *(b"%d" % n for n in range(20)))
        first = made.start(0)
        engines = [first.engine]

        def shown() -> object:
            return [[made.gauges(engine, signal) for signal in (*OF_PARTITIONS, signals.BREAKER_STATE, signals.PARKED)] for engine in engines]

        until(settled(made, engines, names), shown)
        second = made.start(1)
        engines.append(second.engine)
        until(settled(made, engines, names), shown)
        first.end()
        until(settled(made, [second.engine], names), shown)
        second.end()
