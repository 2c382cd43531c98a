"""Stores that cannot be used as they are: each has an answer."""

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.testing import ManualClock
from flows.core import codec
from flows.core.errors import Busy, StateDamaged, StateNewer, Unavailable
from flows.engine import changelog
from flows.engine.state import PartitionState
from flows.wire.rocks import MARKS, Rocks
from tests.kit.state import STORES, Entry, ListLog, content, copy_as_killed, healed, opened

HOUR_MS = 3_600_000


def only(directory: Path, pattern: str) -> Path:
    return max((directory / "0").glob(pattern))


def cut(pattern: str, keep: float) -> Callable[[Path], None]:
    def harm(directory: Path) -> None:
        path = only(directory, pattern)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])

    return harm


def flip(pattern: str, place: float) -> Callable[[Path], None]:
    def harm(directory: Path) -> None:
        path = only(directory, pattern)
        data = bytearray(path.read_bytes())
        data[int(len(data) * place)] ^= 0xFF
        path.write_bytes(data)

    return harm


def remove(pattern: str) -> Callable[[Path], None]:
    return lambda directory: only(directory, pattern).unlink()


def row(name: bytes, value: bytes) -> Callable[[Path], None]:
    """Write a row about the store itself, as another version might."""

    def harm(directory: Path) -> None:
        db = Rocks(directory / "0", STORES)
        db.open()
        batch = db.batch()
        batch.put(name, value)
        db.write(batch)
        db.close()

    return harm


DAMAGE: dict[str, Callable[[Path], None]] = {
    "CURRENT missing": remove("CURRENT"),
    "CURRENT empty": cut("CURRENT", 0),
    "CURRENT overwritten": flip("CURRENT", 0),
    "MANIFEST missing": remove("MANIFEST-*"),
    "MANIFEST empty": cut("MANIFEST-*", 0),
    "MANIFEST flipped": flip("MANIFEST-*", 0.1),
    "MANIFEST cut": cut("MANIFEST-*", 0.3),
    "table missing": remove("*.sst"),
    "table cut": cut("*.sst", 0.5),
    "table flipped": flip("*.sst", 0.01),
    "format unreadable": row(b"\x00format", b"one"),
    "head unreadable": row(b"\x00head", b""),
}


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, ListLog]:
    """A store with three tables' worth of entries, closed, and its changelog."""
    state = opened(tmp_path / "state", ManualClock())
    places: list[Entry | None] = []
    for number in range(300):
        state.put(b"%03d" % number, b"v" * 100)
        state.timers.set(b"%03d" % number, number, b"p")
        places += state.pending()
        state.apply(len(places))
    state.close()
    return tmp_path / "state", ListLog(places)


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_store_is_rebuilt_and_says_so(made: tuple[Path, ListLog], kind: str, caplog: pytest.LogCaptureFixture) -> None:
    directory, log = made
    DAMAGE[kind](directory)
    reasons: list[str] = []
    state = healed(directory, ManualClock(), log, reasons)
    assert reasons == ["damaged"]
    assert "damaged" in caplog.text
    assert "Rebuilding it from the changelog now." in caplog.text
    assert [key for key, _ in state.scan()] == [b"%03d" % number for number in range(300)]
    assert state.timers.pending_count == 300
    state.close()


@pytest.mark.parametrize("kind", ["WAL missing", "WAL cut", "WAL flipped"])
def test_a_store_that_lost_its_last_writes_is_behind_and_no_more(tmp_path: Path, kind: str) -> None:
    state = opened(tmp_path / "live", ManualClock())
    places: list[Entry | None] = []
    for number in range(100):
        state.put(b"%03d" % number, b"v" * 100)
        places += state.pending()
        state.apply(len(places))
    copy_as_killed(tmp_path / "live", tmp_path / "killed")
    expected = content(state)
    state.close()
    {"WAL missing": remove("*.log"), "WAL cut": cut("*.log", 0.5), "WAL flipped": flip("*.log", 0.5)}[kind](tmp_path / "killed")
    again = opened(tmp_path / "killed", ManualClock())
    assert content(again) == expected[: again.position]  # as many entries as the position says, one a write
    changelog.catch_up(ListLog(places), again, "changelog/0")
    assert content(again) == expected
    again.close()


def test_a_store_with_a_gap_in_its_writes_is_thrown_away(tmp_path: Path) -> None:
    """The manifest loses a table, and the log behind it is still there: later writes without earlier ones."""
    state = opened(tmp_path / "live", ManualClock())
    rocks = state._db._db  # noqa: SLF001  RocksDB's own flush, for two tables at the places this test needs them
    state.put(b"first", b"")
    state.apply(1)
    rocks.flush()
    manifest = only(tmp_path / "live", "MANIFEST-*").read_bytes()
    state.put(b"second", b"")
    state.apply(2)
    rocks.flush()
    state.put(b"third", b"")
    state.apply(3)
    copy_as_killed(tmp_path / "live", tmp_path / "torn")
    state.close()
    only(tmp_path / "torn", "MANIFEST-*").write_bytes(manifest)
    reasons: list[str] = []
    again = opened(tmp_path / "torn", ManualClock(), reasons)
    assert (reasons, again.position) == (["damaged"], 0)
    again.close()


def test_marks_of_old_writes_make_room_for_new_ones(tmp_path: Path) -> None:
    db = Rocks(tmp_path / "db", STORES)
    db.open()
    for _ in range(MARKS + 10):
        db.write(db.batch())
    db.close()
    again = Rocks(tmp_path / "db", STORES)
    again.open()
    assert again.serial == MARKS + 10
    assert sum(1 for _ in again.rows(b"\x00~", b"\x00\x7f")) == MARKS
    again.close()


def test_damage_found_while_in_use_ends_the_process_and_the_next_start_rebuilds(made: tuple[Path, ListLog]) -> None:
    directory, log = made
    state = opened(directory, ManualClock())
    for path in (directory / "0").glob("*.sst"):
        path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(StateDamaged, match=r"damaged: .* The next start throws it away and rebuilds it"):
        list(state.scan())
    state.close()
    reasons: list[str] = []
    again = opened(directory, ManualClock(), reasons)
    assert (reasons, again.position) == (["damaged"], 0)
    changelog.catch_up(log, again, "changelog/0")
    assert len(list(again.scan())) == 300
    again.close()


def test_a_store_of_an_older_format_is_rebuilt(made: tuple[Path, ListLog]) -> None:
    directory, log = made
    row(b"\x00format", b"\x00\x00")(directory)
    reasons: list[str] = []
    state = healed(directory, ManualClock(), log, reasons)
    assert reasons == ["format"]
    assert len(list(state.scan())) == 300
    state.close()


def test_a_store_of_a_newer_format_is_left_alone(made: tuple[Path, ListLog]) -> None:
    directory, _ = made
    row(b"\x00format", (codec.FORMAT + 1).to_bytes(2, "big"))(directory)
    for _ in range(2):  # it is not held, nor changed
        with pytest.raises(StateNewer, match=rf"has format {codec.FORMAT + 1}; this version reads up to {codec.FORMAT}\. Start the version that wrote it"):
            opened(directory, ManualClock())


def test_a_changelog_of_a_newer_format_is_not_guessed_at(tmp_path: Path) -> None:
    state = opened(tmp_path, ManualClock())
    with pytest.raises(StateNewer, match=r"changelog/0 holds state format 2, and this version reads up to 1"):
        changelog.catch_up(ListLog([(b"ua", codec.plain(b"1")), (b"ub", b"\x20what is this")]), state, "changelog/0")
    assert state.position == 0
    state.close()


def test_a_store_held_by_somebody_else_is_busy(tmp_path: Path) -> None:
    holder = opened(tmp_path, ManualClock())
    with pytest.raises(Busy, match=r"is held by another process.*Stop that process.*INTEGRATION_DATA_DIR"):
        opened(tmp_path, ManualClock())
    holder.close()
    opened(tmp_path, ManualClock()).close()


def test_a_place_that_cannot_hold_a_store_is_not_called_damage(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    with pytest.raises(Unavailable, match=r"cannot be used: .* Make room or mend the rights"):
        opened(tmp_path / "state", ManualClock())


def test_a_closed_store_is_a_mistake_of_ours_and_no_damage(tmp_path: Path) -> None:
    state = opened(tmp_path, ManualClock())
    state.close()
    state.close()
    with pytest.raises(Exception, match="already closed"):
        state.get(b"a")
    reasons: list[str] = []
    opened(tmp_path, ManualClock(), reasons).close()
    assert reasons == []


def test_a_position_behind_the_end_of_the_log_means_another_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reasons: list[str] = []
    state = opened(tmp_path, ManualClock(), reasons)
    state.put(b"old", b"")
    state.apply(50)
    changelog.catch_up(ListLog([(b"unew", codec.plain(b"1"))]), state, "changelog/0")
    assert (reasons, list(state.scan()), state.position) == (["ahead"], [(b"new", b"1")], 1)
    assert "the topic was made anew, or lost records" in caplog.text
    state.close()


def test_a_position_before_the_start_of_the_log_means_lost_changes(tmp_path: Path) -> None:
    reasons: list[str] = []
    state = opened(tmp_path, ManualClock(), reasons)
    state.put(b"old", b"")
    state.apply(1)
    changelog.catch_up(ListLog([None, None, (b"unew", codec.plain(b"1"))], start=2), state, "changelog/0")
    assert (reasons, list(state.scan())) == (["behind"], [(b"new", b"1")])
    state.close()


@pytest.mark.parametrize(("hours", "more", "rebuilt"), [(11, 5, []), (13, 1, []), (13, 2, ["stale"])])
def test_a_store_older_than_tombstones_are_kept_is_rebuilt(tmp_path: Path, hours: int, more: int, rebuilt: list[str]) -> None:
    clock, reasons = ManualClock(), list[str]()
    state = opened(tmp_path, clock, reasons)
    state.put(b"deleted since", b"")
    state.apply(1)
    clock.advance(hours * HOUR_MS)
    changelog.catch_up(ListLog([None] * (1 + more)), state, "changelog/0")
    assert reasons == rebuilt
    assert list(state.scan()) == ([] if rebuilt else [(b"deleted since", b"")])
    state.close()


def test_progress_is_told(tmp_path: Path) -> None:
    state, told = opened(tmp_path, ManualClock()), list[tuple[int, int]]()
    places: list[Entry | None] = [(b"u%d" % number, codec.plain(b"")) for number in range(7)]
    assert changelog.catch_up(ListLog([*places, None], portion=3), state, "changelog/0", lambda done, left: told.append((done, left))) == 7
    assert told == [(3, 5), (6, 2), (7, 0)]
    state.close()


@pytest.mark.parametrize("time_ms", [-1, 1 << 63])
def test_times_that_are_none_are_refused(tmp_path: Path, time_ms: int) -> None:
    state = opened(tmp_path, ManualClock())
    with pytest.raises(ValueError, match="milliseconds since the epoch"):
        state.put(b"a", b"", time_ms)
    with pytest.raises(ValueError, match="milliseconds since the epoch"):
        state.timers.set(b"a", time_ms)
    state.close()


def test_a_scan_is_not_disturbed_by_what_happens_meanwhile(tmp_path: Path) -> None:
    state = opened(tmp_path, ManualClock())
    for name in (b"a", b"b", b"c"):
        state.put(name, name)
    state.apply(1)
    seen = []
    for key, value in state.scan():
        seen.append((key, value))
        state.delete(key)
        state.put(b"z" + key, value)
    assert seen == [(b"a", b"a"), (b"b", b"b"), (b"c", b"c")]
    assert [key for key, _ in state.scan()] == [b"za", b"zb", b"zc"]
    state.close()


def test_more_is_read_than_is_remembered(tmp_path: Path) -> None:
    state = opened(tmp_path, ManualClock())
    for number in range(3):
        state.put(b"big%d" % number, bytes([number]) * (1 << 20))
        state.apply(number)
    for _ in range(2):
        assert [state.get(b"big%d" % number) for number in range(3)] == [bytes([number]) * (1 << 20) for number in range(3)]
        assert state.get(b"absent") is None
    state.close()


def test_a_default_state_needs_nothing_but_a_place(tmp_path: Path) -> None:
    state = PartitionState.open(tmp_path, 7)
    state.put(b"a", b"1")
    state.apply(1)
    state.close()
    assert (tmp_path / "7" / "CURRENT").exists()
