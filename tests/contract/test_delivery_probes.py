"""A breaker that is open, and somebody who wants its target to be tried now."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from connectors.testing import ManualClock
from flows.engine.runtime import Engine
from tests.kit.courier import Courier, courier
from tests.kit.engine import balanced
from tests.kit.targets import OK, answers

FAILS = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
EVENTS = 30
CALLS = 10
"""After so many failures a breaker opens."""


@pytest.fixture
def name() -> str:
    return f"e{uuid4().hex[:8]}"


@pytest.fixture
def made(kafka: str, tmp_path: Path) -> Iterator[Courier]:
    with courier(kafka, tmp_path, clock=ManualClock()) as found:
        yield found


def rests(engine: Engine) -> bool:
    return engine.assignment.ready and engine.calls == 0


def define(made: Courier, name: str, url: str, **stored: Any) -> None:
    made.define(name, url, retry_config={"max_attempts": 2, "retry_delays": [3600]}, delivery={"concurrency": 1}, stored=stored)


def opened(made: Courier, name: str, url: str) -> None:
    """Have the breaker of a target that fails opened, with most of its events in line; the time stands still from now on."""
    define(made, name, url)
    made.send(name, *(b"%d" % n for n in range(EVENTS)))
    made.run(until=lambda engine: made.bench.through(engine) and made.waiting(engine) == EVENTS and rests(engine) and len(made.attempts(name)) == CALLS)
    assert made.moves(name)[-1]["state"] == "open"


def test_a_worker_that_runs_probes_at_once_when_it_is_asked_to(made: Courier, name: str) -> None:
    target, ordered = made.beside.target(answers(FAILS)), list[bool]()
    opened(made, name, target.url)

    def probed(engine: Engine) -> bool:
        if not ordered and rests(engine):
            define(made, name, target.url, probe_epoch=1)
            ordered.append(True)
        return len(target.requests) == CALLS + 1 and rests(engine)

    made.run(until=probed)
    assert [move["state"] for move in made.moves(name)] == ["open", "half_open", "open"]
    assert balanced(made.bench.tallies())


def test_a_worker_that_starts_later_probes_once_and_not_at_each_start(made: Courier, name: str) -> None:
    target = made.beside.target(answers(FAILS))
    opened(made, name, target.url)
    define(made, name, target.url, probe_epoch=1)
    made.run(until=lambda engine: len(target.requests) == CALLS + 1 and rests(engine))
    for _ in range(2):
        made.run(until=rests)
    assert len(target.requests) == CALLS + 1
    assert made.moves(name)[-1]["state"] == "open"


def test_another_address_gets_all_that_waits_without_a_pause(made: Courier, name: str) -> None:
    bad, good, ordered = made.beside.target(answers(FAILS)), made.beside.target(answers(OK)), list[bool]()
    opened(made, name, bad.url)

    def delivered(engine: Engine) -> bool:
        if not ordered and rests(engine):
            define(made, name, good.url, probe_epoch=1)
            ordered.append(True)
        return len(good.requests) == EVENTS - CALLS and made.waiting(engine) == CALLS and rests(engine)

    made.run(until=delivered)
    assert len(bad.requests) == CALLS
    assert made.moves(name)[-1]["state"] == "closed"
    assert balanced(made.bench.tallies())


def test_what_waits_behind_a_pause_goes_on_with_its_end(made: Courier, name: str) -> None:
    target, ordered = made.beside.target(answers(OK)), list[bool]()
    define(made, name, target.url, deliveries="paused")
    made.send(name, b"1", b"2")
    made.run(until=lambda engine: made.bench.through(engine) and made.waiting(engine) == 2)

    def resumed(engine: Engine) -> bool:
        if not ordered and rests(engine):
            define(made, name, target.url, probe_epoch=1)
            ordered.append(True)
        return len(target.requests) == 2 and made.idle(engine)

    made.run(until=resumed)
    assert made.tally(name)["out"] == 2
