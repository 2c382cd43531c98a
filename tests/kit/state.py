"""Helpers for tests of state: a changelog in memory, what a store holds, small stores."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from connectors.testing import ManualClock
from flows.core.errors import StateDamaged
from flows.engine import changelog
from flows.engine.state import PartitionState
from flows.wire.replay import Extent, Portion
from flows.wire.rocks import Stores

Entry = tuple[bytes, bytes | None]
STORES = Stores(lock_wait_s=0.0)
"""Shared by all tests of a process, as a worker shares it; a store that is held is an error at once."""


def copy_as_killed(store: Path, to: Path) -> None:
    """Copy a store that is in use, as kill -9 would leave it: again, where RocksDB made or removed a file meanwhile."""
    names: set[Path] | None = None
    while names != (names := set(store.rglob("*"))):
        shutil.rmtree(to, ignore_errors=True)
        with contextlib.suppress(shutil.Error):  # a file was removed before its turn had come
            shutil.copytree(store, to)


class ListLog:
    """A changelog in memory: one place for each offset, None where a transaction marker or a compacted record stands."""

    def __init__(self, places: Sequence[Entry | None], *, portion: int = 5, start: int = 0) -> None:
        """Take what stands at each offset, how much one reading brings, and the first offset that is still there."""
        self.places = places
        self.portion = portion
        self.start = start

    def extent(self) -> Extent:
        """Return the offsets there are."""
        return Extent(self.start, len(self.places))

    def portions(self, start: int, end: int) -> Iterator[Portion]:
        """Give the records from `start` to `end`."""
        for at in range(start, end, self.portion):
            stop = min(end, at + self.portion)
            found = [entry for entry in self.places[at:stop] if entry is not None]
            yield Portion(dict(found), len(found), stop)


def opened(directory: Path, clock: ManualClock, reasons: list[str] | None = None) -> PartitionState:
    """Open the store of partition 0; why it was rebuilt, if it was, goes to `reasons`."""
    return PartitionState.open(directory, 0, STORES, clock, (reasons if reasons is not None else []).append)


def content(state: PartitionState) -> list[tuple[bytes, bytes]]:
    """Return every row of a store, the derived ones too, but for those about the store itself."""
    return list(state._db.rows(b"\x01", b"\xff"))  # noqa: SLF001  the rows are what these tests are about


def healed(directory: Path, clock: ManualClock, log: ListLog, reasons: list[str] | None = None) -> PartitionState:
    """Open a store that may be damaged, bring it up to date and read all of it, as often as a supervisor would start a worker again."""
    for _ in range(3):
        state = opened(directory, clock, reasons)
        try:
            changelog.catch_up(log, state, "changelog/0")
            content(state)
        except StateDamaged:
            state.close()
            continue
        return state
    raise AssertionError("a store that is thrown away must come out whole")


def from_nothing(directory: Path, clock: ManualClock, log: ListLog) -> list[tuple[bytes, bytes]]:
    """Return what a store holds that is made from the log alone."""
    shutil.rmtree(directory, ignore_errors=True)
    state = opened(directory, clock)
    changelog.catch_up(log, state, "changelog/0")
    rows = content(state)
    state.close()
    return rows
