"""What a flow puts off, on a real Kafka: retries, timers and slow work outlive the worker."""

from pathlib import Path
from threading import Event

import pytest

from connectors.testing import ManualClock
from flows.core.record import ATTEMPT, Output, Record
from flows.core.verdict import Reason, Retry, Verdict
from flows.engine import Batch, Task, attempt
from flows.engine.runtime import Engine
from flows.steps.guard import each
from tests.kit.engine import Bench, Crash, balanced, bench

AWAY = Reason("target_away", "The target does not answer.")
MINUTE_MS = 60_000


def told(made: Bench) -> list[bytes | None]:
    """Return the values of what was written, in order."""
    return [read.value for read in made.read()]


def has_waiting(engine: Engine) -> bool:
    """Tell whether a record waits, as far as is committed."""
    return any(share.tallies.waiting for share in engine.assignment.shares.values())


def test_a_record_is_tried_again_when_due_on_whatever_machine(kafka: str, tmp_path: Path) -> None:
    clock = ManualClock()
    made = bench(kafka, tmp_path, clock=clock)
    tries: list[int] = []

    def deliver(record: Record, batch: Batch) -> Verdict | None:
        tries.append(attempt(record))
        if attempt(record) < 2:
            batch.emit(record, Output(made.target, None, b"withdrawn with its record"))
            return Retry(batch.now_ms + MINUTE_MS, AWAY)
        batch.emit(record, Output(made.target, record.key, record.value, record.headers))
        return None

    flow = made.flow(each(deliver))
    made.send((b"k", b"payload"), headers=[("content-type", b"text/plain")])
    made.run(flow)
    assert tries == [0]
    assert [t["waiting"] for t in made.tallies().values()] == [1]
    (tmp_path / "data" / "state" / flow.name).rename(tmp_path / "lost")  # the next worker is on another machine
    clock.advance(MINUTE_MS)
    made.run(flow, until=lambda _: len(tries) == 2)
    assert told(made) == []
    clock.advance(MINUTE_MS)
    made.run(flow, until=lambda _: len(tries) == 3)
    (read,) = made.read()
    assert (read.key, read.value, read.header("content-type"), read.header(ATTEMPT)) == (b"k", b"payload", "text/plain", "2")
    assert tries == [0, 1, 2]
    (tally,) = made.tallies().values()
    assert (tally["in"], tally["out"], tally["waiting"]) == (1, 1, 0)


def test_a_retry_that_is_not_due_stays_and_is_never_early(kafka: str, tmp_path: Path) -> None:
    clock = ManualClock()
    made = bench(kafka, tmp_path, clock=clock)
    tries: list[int] = []

    def wait(record: Record, batch: Batch) -> Verdict:
        tries.append(attempt(record))
        return Retry(batch.now_ms + MINUTE_MS, AWAY)

    flow = made.flow(each(wait))
    made.send((b"k", b"v"))
    made.run(flow)
    clock.advance(MINUTE_MS - 1)
    made.send((b"k", b"w"))
    made.run(flow)
    assert tries == [0, 0]
    assert balanced(made.tallies())


def test_timers_fire_once_in_order_and_can_be_moved_and_cancelled(kafka: str, tmp_path: Path) -> None:
    clock = ManualClock()
    made = bench(kafka, tmp_path, clock=clock)
    fired: list[tuple[bytes, bytes]] = []

    def alarm(batch: Batch) -> None:
        fired.extend((timer.id, timer.payload) for timer in batch.due)
        for record in batch.records:
            timers = batch.timers(record.partition)
            for n in range(5):
                timers.set(b"%d" % n, batch.now_ms + n, b"first")
            timers.cancel(b"1")
            timers.set(b"2", batch.now_ms + 100, b"moved")

    flow = made.flow(alarm)
    made.send((b"k", b"v"))
    made.run(flow)
    clock.advance(1000)
    made.run(flow, until=lambda _: len(fired) >= 4)
    assert fired == [(b"0", b"first"), (b"3", b"first"), (b"4", b"first"), (b"2", b"moved")]
    engine = made.run(flow)
    assert len(fired) == 4
    assert not has_waiting(engine)


def test_slow_work_does_not_hold_up_the_flow_and_its_result_is_committed_once(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    gate = Event()

    def slow(task: Task) -> bytes:
        assert gate.wait(20)
        return task.payload.upper()

    def call(batch: Batch) -> None:
        for finished in batch.finished:
            batch.state(finished.partition).put(b"result", finished.result or b"")
        for record in batch.records:
            if record.value == b"later":
                gate.set()  # it came through while the call of the first was still out
            batch.work(record.partition).submit(record.key or b"", "call", record.value or b"", lane="target")

    flow = made.flow(call, work={"call": slow}, work_slots=1)
    made.send((b"a", b"first"), partition=0)
    made.send((b"b", b"later"), partition=0)
    state = {}

    def look(engine: Engine) -> bool:
        if made.through(engine) and (found := engine.assignment.shares[0].state.user.get(b"result")) == b"LATER":
            state["result"] = found
            return True
        return False

    made.run(flow, until=look)
    assert state == {"result": b"LATER"}


def test_work_that_was_out_when_the_worker_died_runs_again(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    runs: list[bytes] = []
    results: list[bytes | None] = []
    never = Event()

    def slow(task: Task) -> bytes:
        runs.append(task.id)
        if len(runs) == 1:
            never.wait(5)
        return b"done"

    def call(batch: Batch) -> None:
        results.extend(finished.result for finished in batch.finished)
        for record in batch.records:
            batch.work(record.partition).submit(b"item", "call", b"", lane="")

    flow = made.flow(call, work={"call": slow})
    made.send((b"a", b"v"))
    made.run(flow, until=lambda _: bool(runs))
    assert results == []
    (tmp_path / "data" / "state" / flow.name).rename(tmp_path / "lost")
    made.run(flow, until=lambda _: bool(results))
    never.set()
    assert (runs, results) == ([b"item", b"item"], [b"done"])
    made.run(flow)
    assert len(runs) == 2


@pytest.mark.parametrize("step", [1, 3])
def test_a_result_is_worked_on_once_even_if_the_worker_dies_over_it(kafka: str, tmp_path: Path, step: int) -> None:
    made = bench(kafka, tmp_path)
    finished: list[str | None] = []

    def call(batch: Batch) -> None:
        for ended in batch.finished:
            finished.append(ended.error)
            count = int(batch.state(ended.partition).get(b"n") or 0) + 1
            batch.state(ended.partition).put(b"n", b"%d" % count)
        for record in batch.records:
            batch.work(record.partition).submit(b"item", "call", b"", lane="")

    def fails(_task: Task) -> bytes:
        raise TimeoutError("no answer")

    def dies(done: int) -> None:
        if done == step and finished:
            raise Crash

    flow = made.flow(call, work={"call": fails})
    made.send((b"a", b"v"), partition=3)
    with pytest.raises(Crash):
        made.run(flow, after=dies, until=lambda _: False)
    assert finished == ["TimeoutError: no answer"]
    counts: list[bytes | None] = []

    def counted(engine: Engine) -> bool:
        if engine.assignment.ready and (found := engine.assignment.shares[3].state.user.get(b"n")):
            counts.append(found)
        return bool(counts)

    made.run(flow, until=counted)
    assert counts == [b"1"]


def test_what_has_expired_is_deleted_also_while_nothing_comes(kafka: str, tmp_path: Path) -> None:
    clock = ManualClock()
    made = bench(kafka, tmp_path, clock=clock)

    def remember(batch: Batch) -> None:
        for record in batch.records:
            batch.state(record.partition).put(record.key or b"", b"v", expires_at_ms=batch.now_ms + MINUTE_MS)

    flow = made.flow(remember)
    made.send(*((b"k%d" % n, b"v") for n in range(20)))
    made.run(flow)
    clock.advance(MINUTE_MS)

    def swept(engine: Engine) -> bool:
        clock.advance(10)
        return engine.assignment.ready and len(tombstones()) == 20

    def tombstones() -> list[bytes | None]:
        return [read.key for read in made.read(flow.changelog.name) if read.value is None]

    made.run(flow, until=swept)
    assert sorted(tombstones()) == sorted(b"uk%d" % n for n in range(20))  # type: ignore[type-var]  # keys are there
