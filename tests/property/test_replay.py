"""A changelog makes the same store however it is read: in any portions, stopped anywhere, compacted or not, from any position."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.testing import ManualClock
from flows.core import codec
from flows.engine import changelog
from flows.engine.state import PartitionState
from flows.wire.replay import Portion
from tests.kit.state import Entry, ListLog, content, from_nothing, opened

NAMES = st.sampled_from([b"", b"a", b"b", b"c"])
ENTRIES = st.tuples(
    st.sampled_from([codec.USER, codec.ENGINE]),
    NAMES,
    st.none() | st.builds(codec.plain, st.binary(max_size=2)) | st.builds(codec.expiring, st.binary(max_size=2), st.integers(0, 5)),
).map(lambda parts: (parts[0] + parts[1], parts[2]))
TIMERS = st.tuples(NAMES, st.none() | st.builds(codec.timer, st.integers(0, 5), st.binary(max_size=2))).map(lambda parts: (codec.TIMER + parts[0], parts[1]))
FOREIGN = st.tuples(st.binary(max_size=2), st.sampled_from([b"", b"\x00", b"\x11short", b"\x1f"]))
LOGS = st.lists(st.none() | ENTRIES | TIMERS | FOREIGN, max_size=30)


class CutError(Exception):
    """The reading ended here, as in a crash."""


class CutLog(ListLog):
    """A log whose reading breaks off after so many portions."""

    cut = 0

    def portions(self, start: int, end: int) -> Iterator[Portion]:
        for number, portion in enumerate(super().portions(start, end)):
            if number == self.cut:
                raise CutError
            yield portion


def state_at(home: Path, clock: ManualClock, places: list[Entry | None]) -> PartitionState:
    state = opened(home, clock)
    changelog.catch_up(ListLog(places), state, "changelog/0")
    return state


@given(LOGS, st.lists(st.tuples(st.integers(1, 7), st.integers(0, 4)), max_size=6))
@settings(max_examples=40)
def test_a_restore_that_is_cut_off_goes_on_where_it_stopped(places: list[Entry | None], cuts: list[tuple[int, int]]) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as home:
        expected = from_nothing(Path(home, "expected"), clock, ListLog(places))
        state = opened(Path(home, "state"), clock)
        for portion, cut in cuts:
            log = CutLog(places, portion=portion)
            log.cut = cut
            before = state.position
            try:
                changelog.catch_up(log, state, "changelog/0")
            except CutError:
                assert state.position == min(len(places), before + portion * cut)
                state.close()
                state = opened(Path(home, "state"), clock)
        changelog.catch_up(ListLog(places), state, "changelog/0")
        assert content(state) == expected
        assert state.position == len(places)
        state.close()


@given(LOGS, st.data())
@settings(max_examples=40)
def test_compaction_changes_nothing(places: list[Entry | None], data: st.DataObject) -> None:
    clock = ManualClock()
    position = data.draw(st.integers(0, len(places)))
    last = {entry[0]: at for at, entry in enumerate(places) if entry is not None}
    superseded = [at for at, entry in enumerate(places) if entry is not None and last[entry[0]] != at]
    removed = data.draw(st.sets(st.sampled_from(superseded))) if superseded else set()
    compacted = [None if at in removed else entry for at, entry in enumerate(places)]
    with tempfile.TemporaryDirectory() as home:
        expected = from_nothing(Path(home, "expected"), clock, ListLog(places))
        assert from_nothing(Path(home, "compacted"), clock, ListLog(compacted)) == expected
        state = state_at(Path(home, "state"), clock, places[:position])
        changelog.catch_up(ListLog(compacted), state, "changelog/0")
        assert content(state) == expected
        state.close()
