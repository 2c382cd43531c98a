"""Signs of life: a worker that has nothing to do says every ten seconds that it is there; on a real Kafka."""

from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from connectors.testing import ManualClock
from deploy.flows import FLOWS
from flows.core import beats, topics
from flows.core.record import Output, Record
from flows.engine import Batch
from flows.engine.runtime import Engine
from flows.steps.guard import each
from tests.kit.engine import Bench, balanced, bench


def told(made: Bench) -> list[dict[str, Any]]:
    """Return the signs of life that were given."""
    key = beats.key(made.name, "0").encode()
    return [orjson.loads(read.value or b"") for read in made.read(topics.STATUS.name) if read.key == key]


def signs(made: Bench) -> list[int]:
    """Return when they were given."""
    return [sign["at_ms"] for sign in told(made)]


def test_an_idle_worker_gives_signs_of_life(kafka: str, tmp_path: Path) -> None:
    """The first one goes out before it has any partition, so with no offsets beside it."""
    clock = ManualClock()
    made = bench(kafka, tmp_path, clock=clock)
    begun, looks = clock.now_ms(), [0]

    def minute(engine: Engine) -> bool:
        looks[0] += 1
        if engine.assignment.ready or looks[0] == 1:
            clock.advance(500)
        return clock.now_ms() >= begun + 60_000

    made.run(replace(made.flow(each(lambda _record, _batch: None)), can=("s3",)), until=minute)
    given = signs(made)
    assert [sign["can"] for sign in told(made)] == [["s3"]] * len(given)
    assert 5 <= len(given) <= 6
    assert all(later - sooner >= 10_000 for sooner, later in pairwise(given))


def test_a_busy_worker_gives_one_with_a_batch(kafka: str, tmp_path: Path) -> None:
    """There is no moment at which it is idle: the batch that is at work when the time comes carries the sign."""
    clock = ManualClock()
    made = bench(kafka, tmp_path, clock=clock)
    checkpoints: list[int] = []

    def copy(record: Record, batch: Batch) -> None:
        clock.advance(1000)
        batch.emit(record, Output(made.target, record.key, record.value))

    made.send((b"k", b"1"))
    made.run(made.flow(each(copy)), after=checkpoints.append)
    assert [read.value for read in made.read()] == [b"1"]
    assert balanced(made.tallies())
    assert (len(signs(made)), checkpoints.count(3)) == (1, 1)


def goodbyes(made: Bench, clock: ManualClock, seconds: int, *, standing: bool) -> list[bool]:
    """Run a flow for so long, by its clock, and drain it; return of each sign of life whether it was a goodbye."""
    begun = clock.now_ms()

    def over(engine: Engine) -> bool:
        if engine.assignment.ready:
            clock.advance(500)
        return clock.now_ms() >= begun + seconds * 1000

    made.run(made.flow(each(lambda _record, _batch: None), standing=standing), until=over)
    return [sign.get("last", False) for sign in told(made)]


def test_a_worker_that_drains_says_goodbye_at_once(kafka: str, tmp_path: Path) -> None:
    """And the one that follows is there again."""
    clock = ManualClock()
    made = bench(kafka, tmp_path, clock=clock)
    assert goodbyes(made, clock, 5, standing=False) == [False, True]
    assert goodbyes(made, clock, 5, standing=False) == [False, True, False, True]


def test_a_worker_that_drains_in_its_first_second_says_goodbye_with_what_it_has_counted(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    made.send((b"k", b"1"))
    made.run(made.flow(each(lambda record, batch: batch.drop(record, "unwanted")), standing=False))
    assert [sign.get("last", False) for sign in told(made)] == [True]


def test_a_flow_that_is_always_to_be_run_says_none(kafka: str, tmp_path: Path) -> None:
    clock = ManualClock()
    assert goodbyes(bench(kafka, tmp_path, clock=clock), clock, 5, standing=True) == [False]


def test_every_flow_of_the_house_is_missed_when_nobody_runs_it() -> None:
    assert [name for name, module in FLOWS.items() if not import_module(module).FLOW.standing] == []
