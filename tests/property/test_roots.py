"""Somebody who may write below a root moves folders about while files are opened: what lies outside is never read."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from flows.core.errors import Refused
from flows.wire.roots import Roots

ROUNDS = 3000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Make two files of one name, and swap the folder of the one for a link to that of the other, again and again."""
    for name in ("in/day", "out"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.csv").write_text(name)
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    over = Event()

    def swap() -> None:
        day, link, aside = (tmp_path / "in" / name for name in ("day", "link", "aside"))
        while not over.is_set():
            day.rename(aside)
            link.rename(day)
            day.rename(link)
            aside.rename(day)

    thread = Thread(target=swap)
    thread.start()
    yield tmp_path / "in"
    over.set()
    thread.join()


def test_a_folder_that_is_swapped_for_a_link_never_leads_outside(place: Path) -> None:
    roots = Roots((place,), 100)
    read: set[bytes] = set()
    for _ in range(ROUNDS):
        with contextlib.suppress(Refused), roots.open(f"{place}/day/a.csv").file as file:
            read.add(file.read())
        for found in roots.find(f"{place}/*/a.csv", 10).files:
            assert found.version.size == len(b"in/day")
    assert read == {b"in/day"}
    assert not [opened for opened in _opened() if opened.is_relative_to(place)]  # what other tests left open closes when it likes


def _opened() -> Iterator[Path]:
    """Yield what this process has open, as far as it has a place."""
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            yield link.readlink()
