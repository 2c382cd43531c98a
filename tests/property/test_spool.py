"""The spill log on the disk: whatever fails and whenever the process dies, each acknowledged entry comes out once, in order."""

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flows.wire.entry import HEAD_BYTES, Entry, decode, encode, whole
from flows.wire.segment import MOST_DAMAGED
from flows.wire.spool import Place, Spool

MOST = 16 * 1024
HEADERS = st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=4)


def entry(number: int, size: int = 20) -> Entry:
    return Entry(1000 + number, "topic", b"key", b"%d:" % number + b"x" * size, [("n", b"1")])


def number_of(found: Entry) -> int:
    return int((found.value or b"").partition(b":")[0])


class Killed(BaseException):
    """The process ended here."""


class Disk:
    """The machine's own, until it is told to fail: it then takes some bytes of a write, or does not sync, and raises what it was given."""

    def __init__(self) -> None:
        self.write_dies: tuple[int, BaseException] | None = None
        self.sync_dies: BaseException | None = None

    def write(self, file: int, data: memoryview) -> int:
        if self.write_dies is None:
            return os.write(file, data)
        (after, error), self.write_dies = self.write_dies, None
        os.write(file, data[:after])
        raise error

    def sync(self, file: int) -> None:
        os.fdatasync(file)
        error, self.sync_dies = self.sync_dies, None
        if error is not None:
            raise error

    def spool(self, folder: Path) -> Spool:
        """Open a spool on it, mended."""
        self.write_dies = self.sync_dies = None
        return Spool(folder, MOST, self.write, self.sync)


@given(st.integers(0, 2**62), st.text(), st.none() | st.binary(), st.none() | st.binary(), HEADERS)
def test_an_entry_comes_back_as_it_was(at: int, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    given_one = Entry(at, topic, key, value, list(headers))
    data = encode(given_one)
    assert [decode(data[start:stop]) for start, stop in whole(data)] == [given_one]


def test_a_tail_that_is_torn_at_any_byte_is_cut_off(tmp_path: Path) -> None:
    numbers, last = [1, 2], encode(entry(3))
    for cut in range(len(last) + 1):
        folder = tmp_path / str(cut)
        disk = Disk()
        spool = disk.spool(folder)
        spool.append([entry(number) for number in numbers])
        disk.write_dies = cut, Killed()
        with pytest.raises(Killed):
            spool.append([entry(3)])
        spool.close()
        again = Spool(folder, MOST)
        found, place = again.read(10, MOST)
        assert [number_of(one) for one in found] == [*numbers, *([3] if cut == len(last) else [])]
        again.append([entry(4)])
        again.drop(place, len(found))
        assert [number_of(one) for one in again.read(10, MOST)[0]] == [4]
        again.close()


@given(st.data())
def test_one_changed_byte_is_noticed(data: st.DataObject) -> None:
    good = encode(entry(1)) + encode(entry(2))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytes([*good[:at], good[at] ^ data.draw(st.integers(1, 255)), *good[at + 1 :]])
    assert len(list(whole(bad))) == (0 if at < len(good) // 2 else 1)


def test_a_segment_that_the_disk_damaged_is_kept_and_passed_over(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MOST)
    for number in range(100):
        spool.append([entry(number)])
    first, second = sorted(tmp_path.glob("*.spill"))[:2]
    in_first = len(list(whole(first.read_bytes())))
    with first.open("r+b") as file:
        file.seek(3 * len(encode(entry(0))) + HEAD_BYTES + 5)
        file.write(b"\xff\xff")
    assert drained(spool) == [0, 1, 2, *range(in_first, 100)]
    assert [path.name for path in tmp_path.glob("*.damaged")] == [first.with_suffix(".damaged").name]
    assert not second.exists()
    spool.close()


def drained(spool: Spool) -> list[int]:
    numbers = list[int]()
    while True:
        found, place = spool.read(7, 500)
        if not found:
            return numbers
        numbers += [number_of(one) for one in found]
        spool.drop(place, len(found))


def test_what_does_not_fit_is_told_and_room_comes_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MOST)
    fits = [spool.append([entry(number, 500)])[0] for number in range(60)]
    assert fits == sorted(fits, reverse=True)
    room = MOST - spool.bytes
    assert (spool.full, spool.append([entry(60, 20_000), entry(61, 0)])) == (True, [False, len(encode(entry(61, 0))) <= room])
    assert len(drained(spool)) >= sum(fits)
    spool.rest()
    assert (spool.full, spool.bytes, spool.entries, spool.oldest_ms, list(tmp_path.iterdir())) == (False, 0, 0, None, [])
    spool.close()


def test_a_record_larger_than_all_the_room_does_not_make_an_empty_log_full(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MOST)
    assert (spool.append([entry(1, MOST)]), spool.full) == ([False], False)
    spool.close()


def test_a_place_behind_what_the_disk_has_kept(tmp_path: Path) -> None:
    """It was drained before it was synced, by a process that was killed in between; then the power went, and the file was shorter."""
    spool = Spool(tmp_path, MOST)
    spool.append([entry(number) for number in range(3)])
    found, place = spool.read(3, MOST)
    spool.close()
    (path,) = tmp_path.glob("*.spill")
    os.truncate(path, path.stat().st_size - 1)
    again = Spool(tmp_path, MOST)
    again.append([entry(3)])
    assert (len(found), again.skip(place)) == (3, 2)
    assert drained(again) == [3]
    again.close()


def test_room_that_could_not_be_given_back_is_given_back_later(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MOST)
    for number in range(60):
        spool.append([entry(number)])
    first, *_ = sorted(tmp_path.glob("*.spill"))
    found, place = spool.read(60, MOST)
    first.rename(tmp_path / "aside")
    first.mkdir()  # it cannot be deleted as a file can
    with pytest.raises(OSError, match=first.name):
        spool.drop(place, len(found))
    assert spool.entries == 60 - len(found)
    first.rmdir()
    assert drained(spool) == list(range(len(found), 60))
    spool.rest()
    assert (spool.bytes, spool.entries, spool.oldest_ms) == (0, 0, None)
    spool.close()


def test_a_bounded_number_of_torn_files_is_kept(tmp_path: Path) -> None:
    for number in range(MOST_DAMAGED + 3):
        spool = Spool(tmp_path, MOST)
        spool.append([entry(number)])
        spool.close()
        (path,) = tmp_path.glob("*.spill")
        with path.open("ab") as file:
            file.write(b"torn")
        spool = Spool(tmp_path, MOST)
        assert drained(spool) == [number]
        spool.close()
    assert len(list(tmp_path.iterdir())) == MOST_DAMAGED


def test_the_folder_and_those_above_it_are_its_owners_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spill" / "one", MOST)
    spool.append([entry(1)])
    spool.close()
    assert [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "spill", *(tmp_path / "spill").rglob("*"))] == ["0o700", "0o700", "0o600"]


class Machine(RuleBasedStateMachine):
    """A spool and what is on the topic, with a process between them that may die anywhere."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="xyra-spool-"))
        self.disk = Disk()
        self.spool = self.disk.spool(self.folder)
        self.asked = 0
        self.acknowledged: list[int] = []
        self.topic: list[int] = []
        self.place: Place | None = None

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.restart()
            while self.spool.entries:
                self.move(5, dies=False)
            assert self.topic == sorted(set(self.topic)), "each once, in order"
            assert set(self.acknowledged) <= set(self.topic), "nothing that was acknowledged is lost"
            self.spool.close()
            shutil.rmtree(self.folder)

    def some(self, sizes: list[int]) -> list[Entry]:
        first, self.asked = self.asked, self.asked + len(sizes)
        return [entry(first + n, size) for n, size in enumerate(sizes)]

    @rule(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=6))
    def append(self, sizes: list[int]) -> None:
        entries = self.some(sizes)
        for one, kept in zip(entries, self.spool.append(entries), strict=True):
            if kept:
                self.acknowledged.append(number_of(one))

    @rule(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=3), after=st.integers(0, 3000), number=st.sampled_from([errno.ENOSPC, errno.EIO]))
    def write_fails(self, sizes: list[int], after: int, number: int) -> None:
        self.disk.write_dies = after, OSError(number, "it fails")
        with contextlib.suppress(OSError):
            self.spool.append(self.some(sizes))
        self.disk.write_dies = None  # nothing was written where nothing had room

    @rule(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=3))
    def sync_fails(self, sizes: list[int]) -> None:
        self.disk.sync_dies = OSError(errno.EIO, "it fails")
        with contextlib.suppress(OSError):
            self.spool.append(self.some(sizes))
        self.disk.sync_dies = None  # as above

    @rule(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=3), after=st.integers(0, 3000))
    def dies_in_a_write(self, sizes: list[int], after: int) -> None:
        self.disk.write_dies = after, Killed()
        with contextlib.suppress(Killed):
            self.spool.append(self.some(sizes))
        self.restart()

    @rule(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=3))
    def dies_in_a_sync(self, sizes: list[int]) -> None:
        self.disk.sync_dies = Killed()
        with contextlib.suppress(Killed):
            self.spool.append(self.some(sizes))
        self.restart()

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = self.disk.spool(self.folder)
        if self.place is not None:
            self.spool.skip(self.place)

    @precondition(lambda self: self.spool.entries)
    @rule(most=st.integers(1, 10), dies=st.booleans())
    def move(self, most: int, dies: bool) -> None:
        """Move a batch to the topic; the process may die when it is there, and nothing has been deleted here."""
        found, place = self.spool.read(most, 2000)
        assert found
        self.topic += [number_of(one) for one in found]
        self.place = place
        if dies:
            self.restart()
        else:
            self.spool.drop(place, len(found))

    @rule()
    def rest(self) -> None:
        self.spool.rest()

    @invariant()
    def it_counts_right(self) -> None:
        if hasattr(self, "spool"):
            assert self.spool.bytes <= MOST
            assert (self.spool.oldest_ms is None) == (self.spool.entries == 0)
            assert 0 <= self.spool.waiting <= self.spool.bytes
            assert (self.spool.waiting == 0) == (self.spool.entries == 0)
            assert self.spool.entries >= len(set(self.acknowledged) - set(self.topic))


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestSpool = Machine.TestCase
