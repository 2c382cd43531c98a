"""The checkpoint on a real Kafka: all of a batch or nothing of it, wherever the worker dies."""

from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.core.errors import Fatal, Fenced
from flows.engine import Batch, Step
from tests.kit.engine import Bench, Crash, balanced, bench, counting, dies, faults


def fill(made: Bench, count: int) -> dict[str, int]:
    """Write so many records of five keys; returns how often each key comes."""
    keys = [f"key-{n % 5}" for n in range(count)]
    made.send(*((key.encode(), b"{}") for key in keys))
    return Counter(keys)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_a_crash_behind_any_step_leaves_all_or_nothing(kafka: str, tmp_path: Path, step: int) -> None:
    made = bench(kafka, tmp_path, batch_records="7")
    expected = fill(made, 40)
    flow = made.flow(counting(made.target))
    with pytest.raises(Crash):
        made.run(flow, after=dies(step, 2))
    made.run(flow)
    assert not faults(made.read(), expected)
    assert balanced(made.tallies())
    assert sum(tally["in"] for tally in made.tallies().values()) == 40


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crashes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=2, max_size=3), size=st.integers(2, 9), lost_disk=st.booleans())
def test_any_row_of_crashes_leaves_all_or_nothing(kafka: str, tmp_path: Path, crashes: list[tuple[int, int]], size: int, lost_disk: bool) -> None:
    """Also when the worker comes back on another machine, with an empty disk: its state is on the changelog."""
    made = bench(kafka, tmp_path, batch_records=str(size))
    expected = fill(made, 60)
    flow = made.flow(counting(made.target))
    for n, (step, batch) in enumerate(crashes):
        with pytest.raises(Crash):
            made.run(flow, slot=0, after=dies(step, batch))
        if lost_disk:
            state = made.settings.data_dir / "state" / flow.name
            state.rename(state.with_name(f"lost-{made.name}-{n}"))
    made.run(flow)
    assert not faults(made.read(), expected)


def test_an_exception_in_a_step_commits_nothing(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    expected = fill(made, 20)

    def fails(_batch: Batch) -> None:
        raise Crash

    count = counting(made.target)
    with pytest.raises(Crash):
        made.run(made.flow(count, fails))
    assert made.read() == []
    made.run(made.flow(count))
    assert not faults(made.read(), expected)


def test_close_commits_nothing(kafka: str, tmp_path: Path) -> None:
    """Closing the consumer calls the revoke callback; a batch that was taken and not checkpointed must come again."""
    made = bench(kafka, tmp_path)
    expected = fill(made, 20)
    count = counting(made.target)
    taken: list[int] = []

    def interrupted(batch: Batch) -> None:
        taken.append(len(batch.records))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.run(made.flow(count, interrupted))
    assert taken[0] > 0
    made.run(made.flow(count))
    assert not faults(made.read(), expected)


def test_a_second_process_of_the_slot_shuts_the_first_out(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path, batch_records="7")
    expected = fill(made, 30)
    flow = made.flow(counting(made.target))
    other = bench(kafka, tmp_path / "elsewhere")

    def taken_over(done: int) -> None:
        if done == 2:
            successor = Bench(other.settings, made.name).engine(flow)
            successor.open()
            successor.close()

    with pytest.raises(Fatal) as stopped:
        made.run(flow, after=taken_over)
    assert isinstance(stopped.value, Fenced), stopped.value
    made.run(flow)
    assert not faults(made.read(), expected)


def sparing(target: str, met: list[bool]) -> Step:
    """Make a step that counts only the key `rare` in state; the batches without it have nothing but outputs, and their commits overlap the next."""
    count = counting(target)

    def step(batch: Batch) -> None:
        met.append(any(b"rare" in portion.keys for portion in batch.portions()))
        if met[-1]:
            count(batch)
            return
        for portion in batch.portions():
            batch.emit_all(portion, target, [orjson.dumps({"k": "often", "n": 0, "at": portion.place(i)}) for i in range(len(portion.keys))])

    return step


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_commits_that_overlap_the_next_batch_lose_and_double_nothing(kafka: str, tmp_path: Path, step: int) -> None:
    made = bench(kafka, tmp_path, batch_records="9")
    keys = [b"rare" if n % 40 > 36 else b"often" for n in range(400)]
    made.send(*((key, b"{}") for key in keys), partition=0)
    met: list[bool] = []
    flow = made.flow(sparing(made.target, met))
    for batch in (3, 6, 11):
        with pytest.raises(Crash):
            made.run(flow, after=dies(step, batch))
    made.run(flow)
    assert True in met
    assert False in met
    read = [orjson.loads(record.value or b"") for record in made.read()]
    assert sorted(tuple(found["at"]) for found in read) == [(0, n) for n in range(400)]
    counted = [found["n"] for found in read if found["k"] == "rare"]
    assert counted == list(range(1, len(counted) + 1))
    assert len(counted) == keys.count(b"rare")
    assert balanced(made.tallies())


def test_a_commit_that_failed_cannot_be_passed_over(kafka: str, tmp_path: Path) -> None:
    """A step that swallows what the last batch's commit raised gets no further than its own checkpoint."""
    made = bench(kafka, tmp_path, batch_records="5")
    made.send(*((b"k", b"{}") for _ in range(30)), partition=0)
    other = bench(kafka, tmp_path / "elsewhere")
    swallowed: list[BaseException] = []

    def step(batch: Batch) -> None:
        if swallowed or batch.records[0].offset >= 15:
            try:
                batch.state(0).put(b"k", b"v")
            except Fatal as error:
                swallowed.append(error)

    flow = made.flow(step)

    def taken_over(done: int) -> None:
        if done == 2 and not swallowed:
            successor = Bench(other.settings, made.name).engine(flow)
            successor.open()
            successor.close()

    with pytest.raises(Fatal):
        made.run(flow, after=taken_over)
    assert made.run(made.flow(lambda _: None)).assignment.shares == {}
    assert sum(tally["in"] for tally in made.tallies().values()) == 30
