"""Targets whose name lies, definitions that go away, clocks that jump, partitions that move: each has a clear end, and nothing is lost."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest

from connectors.testing import ManualClock
from flows.core.resources import StoredSecret
from flows.engine.runtime import Engine
from tests.kit.courier import Courier, courier
from tests.kit.engine import balanced
from tests.kit.settings import PARTITIONS
from tests.kit.targets import OK, Talk, Target, answers, answers_in_turn, read_request

HOUR_MS = 3_600_000
FAILS = b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
REFUSES = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def name() -> str:
    return f"e{uuid4().hex[:8]}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def made(kafka: str, tmp_path: Path, clock: ManualClock) -> Iterator[Courier]:
    with courier(kafka, tmp_path, clock=clock) as found:
        yield found


def rests(engine: Engine) -> bool:
    """Tell whether no call is under way."""
    return engine.assignment.ready and engine.calls == 0


def timers(engine: Engine) -> int:
    """Count what waits for a time."""
    return sum(share.state.timers.pending_count for share in engine.assignment.shares.values())


def told_in_order(made: Courier, name: str) -> bool:
    """Tell whether the attempts at each event of an endpoint are told from the first on, none before it was due."""
    return all(
        after["attempt"] == before["attempt"] + 1 and after["at_ms"] >= before["next_due_ms"]
        for before, after in pairwise(made.attempts(name))
        if after["event_id"] == before["event_id"]
    )


@pytest.mark.parametrize(
    ("host", "addresses"),
    [("127.0.0.1", []), ("inside.test", ["127.0.0.1"]), ("both.test", ["93.184.215.14", "127.0.0.1"]), ("six.test", ["::ffff:127.0.0.1"])],
)
def test_a_target_on_this_machine_is_not_called(kafka: str, tmp_path: Path, name: str, host: str, addresses: list[str]) -> None:
    with courier(kafka, tmp_path, egress_allow="", egress_ports="1-65535") as made:
        target = made.beside.target(answers(OK))
        made.resolve = lambda _: addresses
        made.define(name, f"http://{host}:{target.port}/hook", retry_config={"max_attempts": 2, "retry_delays": [0]})
        made.send(name, b"1")
        made.run()
        assert target.connections == 0
        assert [entry["outcome"] for entry in made.attempts(name)] == ["address_not_allowed"] * 2
        (letter,) = made.letters(name)
        assert letter.header("x-dlq-code") == "attempts_spent"
        assert "93.184" not in (letter.header("x-dlq-reasons") or "")
        assert balanced(made.bench.tallies())


def test_a_name_that_changes_between_two_calls_is_judged_anew(made: Courier, clock: ManualClock, name: str) -> None:
    target, answer = made.beside.target(answers_in_turn(FAILS, OK)), iter(["127.0.0.1", "169.254.169.254", "127.0.0.1"])
    made.resolve = lambda _: [next(answer)]
    made.define(name, f"http://moves.test:{target.port}/hook", retry_config={"max_attempts": 5, "retry_delays": [60]})
    made.send(name, b"1")
    made.run(until=moving(clock, made.idle, 10_000))
    assert [(entry.get("status"), entry["outcome"]) for entry in made.attempts(name)] == [
        (500, "target_failed"),
        (None, "address_not_allowed"),
        (200, "delivered"),
    ]
    assert len(target.requests) == 2
    assert told_in_order(made, name)


def test_a_retry_and_what_is_held_behind_it_are_buried_when_the_definition_is_taken_off(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers(FAILS))
    made.define(name, target.url, retry_config={"max_attempts": 5, "retry_delays": [60]}, delivery={"order": "key"})
    made.send(name, b"1", b"2", b"3", key=b"k")
    made.run(until=lambda engine: made.bench.through(engine) and len(target.requests) == 1 and made.waiting(engine) == 3 and rests(engine))
    made.config(name, None)
    clock.advance(60_000)
    made.run()
    assert sorted((letter.header("x-dlq-code"), letter.value) for letter in made.letters(name)) == [("unknown_endpoint", b"%d" % n) for n in (1, 2, 3)]
    assert len(target.requests) == 1
    assert balanced(made.bench.tallies())


def test_a_poisoned_record_at_the_head_lets_those_behind_it_pass(made: Courier, name: str) -> None:
    target = made.beside.target(answers_in_turn(REFUSES, OK))
    made.define(name, target.url, delivery={"order": "key", "concurrency": 1})
    key = b"\xff\x00\r\nk"
    strange = [("ce_id", b"\xff\r\nx: y"), ("ce_type", b"\r\n"), ("content-type", b"\x00"), ("x-attempt", b"-1"), ("x-config-offset", b"soon")]
    made.bench.send((name.encode(), b"\xff"), headers=[*strange, ("x-key", key)])
    made.send(name, b"1", b"2", key=key)
    made.run()
    assert [request.body for request in target.requests] == [b"\xff", b"1", b"2"]
    (letter,) = made.letters(name)
    assert (letter.value, letter.header("x-dlq-code")) == (b"\xff", "refused")
    assert balanced(made.bench.tallies())


def test_a_secret_that_cannot_be_opened_sends_nothing_and_loses_nothing(made: Courier, clock: ManualClock, name: str) -> None:
    target = made.beside.target(answers(OK))
    foreign = StoredSecret(secret_id="s", sealed="AAAA", created_at_ms=0)
    made.define(name, target.url, stored={"delivery_secrets": (foreign,)}, retry_config={"max_attempts": 3, "retry_delays": [60]})
    made.send(name, b"1")
    made.run(until=lambda engine: made.bench.through(engine) and timers(engine) == 1)
    assert target.connections == 0
    made.define(name, target.url)
    clock.advance(60_000)
    made.run()
    assert [entry["outcome"] for entry in made.attempts(name)] == ["secret_unusable", "delivered"]


def moving(clock: ManualClock, enough: Callable[[Engine], bool], step_ms: int) -> Callable[[Engine], bool]:
    """Let time pass while a worker runs."""

    def look(engine: Engine) -> bool:
        if engine.assignment.ready:
            clock.advance(step_ms)
        return enough(engine)

    return look


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS])
def test_a_clock_that_jumps_fires_nothing_early_and_loses_nothing(made: Courier, clock: ManualClock, name: str, jump_ms: int) -> None:
    """What waits for a time, what waits for its pace, and what waits for a breaker."""
    timed, paced, broken = made.beside.target(answers_in_turn(FAILS, OK)), made.beside.target(answers(OK)), made.beside.target(_fails_first(12))
    made.define(name, timed.url, retry_config={"max_attempts": 9, "retry_delays": [60]})
    made.define(name + "p", paced.url, delivery={"rate_per_second": 1})
    made.define(name + "b", broken.url, retry_config={"max_attempts": 9, "retry_delays": [30]}, delivery={"concurrency": 1})
    made.send(name, b"1")
    made.send(name + "p", b"1", b"2", b"3")
    made.send(name + "b", *(b"%d" % n for n in range(20)))

    def first_ones(engine: Engine) -> bool:
        seen = len(timed.requests), len(paced.requests), len(broken.requests)
        return made.bench.through(engine) and seen == (1, 1, 10) and made.waiting(engine) == 23 and rests(engine)

    made.run(until=first_ones)
    clock.jump(jump_ms)
    due_ms = made.attempts(name)[0]["next_due_ms"]
    made.run(until=moving(clock, lambda engine: made.idle(engine) and rests(engine), 20_000))
    for target, names, events in ((timed, name, 1), (paced, name + "p", 3), (broken, name + "b", 20)):
        delivered = [entry["event_id"] for entry in made.attempts(names) if entry["outcome"] == "delivered"]
        assert len(delivered) == len(set(delivered)) == events
        assert len(target.requests) == len(made.attempts(names))
        assert told_in_order(made, names)
    assert made.attempts(name)[1]["at_ms"] >= due_ms
    assert not made.bench.dead()
    assert balanced(made.bench.tallies())


def _fails_first(count: int) -> Talk:
    return answers_in_turn(*[FAILS] * count, OK)


class Gate:
    """Targets that fail or hang until they are let go."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def fails(self, seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer 500 for as long as the gate is shut."""
        while True:
            await read_request(seen, reader)
            writer.write(OK if self.open.is_set() else FAILS)

    async def holds(self, seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer when the gate is opened."""
        while True:
            await read_request(seen, reader)
            await self.open.wait()
            writer.write(OK)

    async def lift(self) -> None:
        """Open it."""
        self.open.set()


def until(true: Callable[[], bool], why: Callable[[], object]) -> None:
    """Wait for something."""
    deadline, waited = time.monotonic() + 60, Event()
    while not true():
        assert time.monotonic() < deadline, why()
        waited.wait(0.02)


@pytest.mark.timeout(240)
def test_others_of_a_host_that_hangs_wait_for_a_place_and_pay_nothing(made: Courier, clock: ManualClock, name: str) -> None:
    """Four endpoints hold every place of the host. A fifth there spends no attempt, though it has but one, and its breaker hears of nothing."""
    gate, events = Gate(), 12
    host = made.beside.target(gate.holds)
    slow = [f"{name}s{n}" for n in range(4)]
    for endpoint in slow:
        made.define(endpoint, host.url, delivery={"concurrency": 64, "timeout_seconds": 60})
        made.send(endpoint, *(b"%d" % n for n in range(64)))
    made.define(name, host.url, retry_config={"max_attempts": 1, "retry_delays": [60]}, delivery={"concurrency": 64, "timeout_seconds": 2})
    worker = made.start(0)
    until(lambda: len(host.requests) == 256, lambda: len(host.requests))
    made.send(name, *(b"%d" % n for n in range(events)))
    until(lambda: timers(worker.engine) == events, lambda: timers(worker.engine))
    clock.advance(60_000)
    until(lambda: worker.engine.calls == 256 + events, lambda: worker.engine.calls)
    until(lambda: timers(worker.engine) == events, lambda: timers(worker.engine))
    assert len(host.requests) == 256
    made.beside.do(gate.lift())
    until(lambda: rests(worker.engine), lambda: worker.engine.calls)
    clock.advance(60_000)
    until(lambda: made.waiting(worker.engine) == 0, lambda: made.waiting(worker.engine))
    worker.end()
    assert [(entry["attempt"], entry["outcome"]) for entry in made.attempts(name)] == [(1, "delivered")] * events
    assert not made.moves(name)
    assert not made.bench.dead()
    assert balanced(made.bench.tallies())


EACH = 8
"""Endpoints of a kind, spread over the partitions."""


@pytest.mark.timeout(240)
def test_what_waits_moves_with_its_partition(made: Courier, clock: ManualClock, name: str) -> None:
    """Retries on timers, calls under way, lines behind a target and behind a key: a second worker takes half of them over, and both finish."""
    gate = Gate()
    failing, holding, keyed = made.beside.target(gate.fails), made.beside.target(gate.holds), made.beside.target(gate.fails)
    kinds = {"t": (failing, {}), "h": (holding, {"concurrency": 1, "timeout_seconds": 60}), "k": (keyed, {"order": "key"})}
    names = [f"{name}{kind}{n}" for kind in kinds for n in range(EACH)]
    for endpoint in names:
        target, said = kinds[endpoint[len(name)]]
        made.define(endpoint, target.url, retry_config={"max_attempts": 5, "retry_delays": [60]}, delivery=said)
        made.send(endpoint, *(f"{endpoint}-{n}".encode() for n in range(4)), key=b"k")
    events, workers = 4 * len(names), [made.start(0)]

    def waiting() -> int:
        return sum(made.waiting(worker.engine) for worker in workers)

    def shown() -> object:
        return [(sorted(worker.engine.assignment.shares), made.waiting(worker.engine), worker.engine.calls, worker.failed) for worker in workers]

    first = workers[0].engine
    until(lambda: made.bench.through(first) and waiting() == events and first.calls == EACH and len(failing.requests) == 4 * EACH, shown)
    until(lambda: len(keyed.requests) == EACH, shown)
    workers.append(made.start(1))
    until(lambda: all(len(worker.engine.assignment.shares) == PARTITIONS // 2 and worker.engine.assignment.ready for worker in workers), shown)
    assert waiting() == events
    made.beside.do(gate.lift())
    clock.advance(60_000)
    until(lambda: waiting() == 0 and all(rests(worker.engine) for worker in workers), shown)
    for worker in workers:
        worker.end()
    bodies = [request.body.decode() for target in (failing, holding, keyed) for request in target.requests]
    assert set(bodies) == {f"{endpoint}-{n}" for endpoint in names for n in range(4)}
    assert len(failing.requests) == 8 * EACH
    for endpoint in names:
        assert told_in_order(made, endpoint)
        entries = made.attempts(endpoint)
        assert [entry["event_id"] for entry in entries if entry["outcome"] == "delivered"] == [f"{endpoint}-{endpoint}-{n}" for n in range(4)]
        if endpoint[len(name)] == "k":
            mine = [body for body in bodies if body.startswith(f"{endpoint}-")]
            assert mine == [f"{endpoint}-{n}" for n in (0, 0, 1, 2, 3)]
    tallies = made.bench.tallies()
    assert balanced(tallies)
    assert (sum(tally["out"] for tally in tallies.values()), sum(tally["waiting"] for tally in tallies.values())) == (events, 0)
    assert not made.bench.dead()
