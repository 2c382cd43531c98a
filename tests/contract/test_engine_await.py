"""Records that wait for slow work, on a real Kafka: the work may run twice, what it leads to happens once."""

import asyncio
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from connectors.testing import ManualClock
from flows.core.record import ATTEMPT, Output, Record
from flows.core.verdict import Await, Hold, Reason, Retry, Verdict
from flows.engine import Batch, Step, Task, attempt
from flows.engine.runtime import Engine
from flows.steps.guard import each
from tests.kit.engine import Bench, Crash, balanced, bench

AWAY = Reason("target_away", "The target does not answer.")
HOUR_MS = 3_600_000
BURST = 1500


def through_all(made: Bench, engine: Engine) -> bool:
    """Tell whether everything that was sent has been taken, and nothing waits, as far as is committed."""
    return made.through(engine) and not any(share.tallies.waiting for share in engine.assignment.shares.values())


def calling(made: Bench, slots: int | None = None) -> tuple[list[tuple[int, str | None]], Step]:
    """Make a step that has each record called out for, and writes what came of it; and the list of what it saw."""
    seen: list[tuple[int, str | None]] = []

    def call(record: Record, batch: Batch) -> Verdict | None:
        result = batch.result(record)
        if result is None:
            return Await("call", (record.key or b"").decode(), b"with this", slots)
        seen.append((attempt(record), result.error))
        if result.error is not None:
            return Retry(batch.now_ms, AWAY)
        batch.emit(record, Output(made.target, record.key, result.result, record.headers))
        return None

    return seen, each(call)


def test_a_record_comes_back_with_what_its_call_gave(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    seen, step = calling(made)
    tasks: list[Task] = []

    async def call(task: Task) -> bytes:
        await asyncio.sleep(0)
        tasks.append(task)
        assert task.record is not None
        return (task.record.value or b"").upper()

    made.send((b"k", b"payload"), headers=[("content-type", b"text/plain")])
    made.run(made.flow(step, work={"call": call}), until=lambda engine: through_all(made, engine))
    (read,) = made.read()
    assert (read.key, read.value, read.header("content-type"), read.header(ATTEMPT)) == (b"k", b"PAYLOAD", "text/plain", None)
    assert [(task.payload, task.record.offset if task.record else None) for task in tasks] == [(b"with this", 0)]
    assert seen == [(0, None)]
    (tally,) = made.tallies().values()
    assert (tally["in"], tally["out"], tally["waiting"]) == (1, 1, 0)


def test_failed_calls_count_as_attempts_only_where_the_step_says_so(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    tries: list[int] = []

    async def call(_task: Task) -> bytes:
        raise ConnectionError("nobody there")

    def step(record: Record, batch: Batch) -> Verdict | None:
        result = batch.result(record)
        if result is None:
            return Await("call", "")
        assert result.error == "ConnectionError: nobody there"
        tries.append(attempt(record))
        return Retry(batch.now_ms, AWAY, counts=len(tries) % 2 == 0) if len(tries) < 6 else None

    made.send((b"k", b"v"))
    made.run(made.flow(each(step), work={"call": call}), until=lambda engine: through_all(made, engine))
    assert tries == [0, 0, 1, 1, 2, 2]
    assert balanced(made.tallies())


def test_one_lane_that_hangs_takes_its_own_slots_only(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    _, step = calling(made, slots=3)
    running: set[bytes] = set()
    most = 0

    async def call(task: Task) -> bytes:
        nonlocal most
        if task.record is not None and task.record.key == b"hangs":
            running.add(task.id)
            most = max(most, len(running))
            await asyncio.Event().wait()
        return b"done"

    made.send(*((b"hangs", b"") for _ in range(20)), partition=0)
    made.send(*((b"k%d" % (n % 50), b"") for n in range(BURST)), partition=0)
    flow = made.flow(step, work={"call": call})

    def rest_done(engine: Engine) -> bool:
        return made.through(engine) and sum(share.tallies.waiting for share in engine.assignment.shares.values()) == 20

    begun = monotonic()
    made.run(flow, until=rest_done)
    assert monotonic() - begun < 30
    assert most == 3
    assert len(made.read()) == BURST
    assert sum(tally["waiting"] for tally in made.tallies().values()) == 20
    assert balanced(made.tallies())


def test_thousands_hang_on_one_thread_and_are_cancelled_within_two_seconds(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    _, step = calling(made, slots=5000)
    hanging, cancelled = [0], [0]

    async def call(_task: Task) -> bytes:
        hanging[0] += 1
        try:
            await asyncio.Event().wait()
        finally:
            cancelled[0] += 1
        return b""

    made.send(*((b"k", b"") for _ in range(BURST)), partition=0)
    flow = made.flow(step, work={"call": call})
    stopped: list[float] = []

    def all_hang(_: Engine) -> bool:
        if hanging[0] == BURST:
            stopped.append(monotonic())
        return bool(stopped)

    made.run(flow, until=all_hang)
    assert monotonic() - stopped[0] < 2
    assert cancelled == [BURST]


def test_a_retry_is_one_transaction_more(kafka: str, tmp_path: Path) -> None:
    def commits(retries: int) -> int:
        made = bench(kafka, tmp_path / str(retries))
        tries, commits, last = [0], [0], [0]

        def step(_: Record, batch: Batch) -> Verdict | None:
            tries[0] += 1
            return Retry(batch.now_ms, AWAY) if tries[0] <= retries else None

        def count(done: int) -> None:
            commits[0] += done == 3 and tries[0] != last[0]  # those that only tell tallies do not count
            last[0] = tries[0] if done == 5 else last[0]

        made.send((b"k", b"v"))
        made.run(made.flow(each(step)), after=count, until=lambda engine: through_all(made, engine))
        return commits[0]

    assert commits(5) - commits(0) == 5


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_crash_over_a_result_repeats_the_call_and_not_what_it_leads_to(kafka: str, tmp_path: Path, step: int) -> None:
    made = bench(kafka, tmp_path)
    seen, decide = calling(made)
    calls: list[bytes] = []

    async def call(task: Task) -> bytes:
        calls.append(task.id)
        return b"done"

    def dies(done: int) -> None:
        if done == step and seen:
            raise Crash

    flow = made.flow(decide, work={"call": call})
    made.send((b"a", b"v"), (b"a", b"w"), partition=3)
    with pytest.raises(Crash):
        made.run(flow, after=dies, until=lambda _: False)
    (tmp_path / "data" / "state" / flow.name).rename(tmp_path / "lost")  # the next worker is on another machine
    made.run(flow, until=lambda engine: through_all(made, engine))
    assert [read.value for read in made.read()] == [b"done", b"done"]
    assert (len(calls) == 2) == (step >= 3 and len(seen) == 2)
    (tally,) = made.tallies().values()
    assert (tally["in"], tally["out"], tally["waiting"]) == (2, 2, 0)


def test_a_call_that_was_out_when_the_worker_was_told_to_go_is_made_again(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    seen, decide = calling(made)
    calls: list[bytes] = []

    async def call(task: Task) -> bytes:
        calls.append(task.id)
        if len(calls) == 1:
            await asyncio.Event().wait()
        return b"done"

    flow = made.flow(decide, work={"call": call})
    made.send((b"a", b"v"))
    made.run(flow, until=lambda _: bool(calls))
    assert seen == []
    made.run(flow, until=lambda engine: through_all(made, engine))
    assert len(calls) == 2
    assert [read.value for read in made.read()] == [b"done"]


def test_a_record_stands_back_until_it_is_recalled_and_its_bytes_are_logged_once(kafka: str, tmp_path: Path) -> None:
    clock = ManualClock()
    made = bench(kafka, tmp_path, clock=clock)
    release = Event()

    def recall(batch: Batch) -> None:
        for timer in batch.due:
            record = batch.recall(timer.partition, int(timer.payload))
            assert record is not None
            assert record not in batch.records
            assert batch.recall(timer.partition, int(timer.payload)) is None
            release.set()

    def hold(record: Record, batch: Batch) -> Verdict | None:
        if not release.is_set():
            batch.timers(record.partition).set(b"wake", batch.now_ms + HOUR_MS, b"%d" % record.offset)
            return Hold("its turn has not come")
        if record.header(ATTEMPT) is None:
            return Retry(batch.now_ms, AWAY)
        batch.emit(record, Output(made.target, record.key, record.value))
        return None

    flow = made.flow(recall, each(hold))
    made.send((b"k", b"x" * 10_000), partition=1)
    made.run(flow)
    assert [t["waiting"] for t in made.tallies().values()] == [1]
    clock.advance(HOUR_MS)
    made.run(flow, until=lambda engine: through_all(made, engine))
    assert [read.value for read in made.read()] == [b"x" * 10_000]
    assert sum(len(read.value or b"") >= 10_000 for read in made.read(flow.changelog.name)) == 1
    assert balanced(made.tallies())
