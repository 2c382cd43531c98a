"""Timers against a sorted list: set, moved, cancelled, taken in portions, applied, discarded, and after a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.testing import ManualClock
from flows.engine.state import PartitionState
from flows.engine.timers import DueTimer
from tests.kit.state import opened

IDS = st.sampled_from([b"", b"a", b"b", b"c"])
TIMES = st.integers(0, 3)
Step = tuple[str, bytes | int | None, int | None]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("set"), IDS, TIMES),
    st.tuples(st.just("cancel"), IDS, st.none()),
    st.tuples(st.just("due"), st.integers(1, 3), TIMES),
    st.tuples(st.sampled_from(["apply", "discard", "restart"]), st.none(), st.none()),
)


class Holder:
    """A store that is used again and again: to make one takes longer than an example."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state: PartitionState = opened(directory, ManualClock())

    def restart(self) -> None:
        self.state.close()
        self.state = opened(self.directory, ManualClock())

    def begin(self, timers: dict[bytes, int]) -> None:
        """Hold these timers and no others."""
        self.state.discard()
        for name in (b"", b"a", b"b", b"c"):
            self.state.timers.cancel(name)
        for name, due_ms in timers.items():
            self.state.timers.set(name, due_ms, b"%d" % due_ms)
        self.state.apply(1)


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holder]:
    made = Holder(tmp_path_factory.mktemp("timers"))
    yield made
    made.state.close()


@given(applied=st.dictionaries(IDS, TIMES), steps=st.lists(STEPS, max_size=12))
@example({b"a": 1, b"b": 2}, [("set", b"", 0), ("set", b"c", 0), ("due", 2, 3)])
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_timers_are_a_sorted_list(holder: Holder, applied: dict[bytes, int], steps: list[Step]) -> None:
    holder.begin(applied)
    model = dict(applied)
    for step, what, time_ms in steps:
        timers = holder.state.timers
        match step, what, time_ms:
            case "set", bytes(name), int(due_ms):
                timers.set(name, due_ms, b"%d" % due_ms)
                model[name] = due_ms
            case "cancel", bytes(name), _:
                timers.cancel(name)
                model.pop(name, None)
            case "due", int(limit), int(now_ms):
                expected = sorted((due_ms, name) for name, due_ms in model.items() if due_ms <= now_ms)[:limit]
                assert timers.due(now_ms, limit) == [DueTimer(name, due_ms, b"%d" % due_ms) for due_ms, name in expected]
                for _, name in expected:
                    del model[name]
            case "apply", _, _:
                holder.state.apply(1)
                applied = dict(model)
            case "discard", _, _:
                holder.state.discard()
                model = dict(applied)
            case _:
                holder.restart()
                model = dict(applied)
        assert holder.state.timers.next_due_ms() == min(model.values(), default=None)
        assert holder.state.timers.pending_count == len(applied)
