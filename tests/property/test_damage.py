"""Whatever happens to a store's files, the state comes out right: as the store was, or from the changelog."""

import shutil
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.testing import ManualClock
from flows.core import codec
from tests.kit.state import Entry, ListLog, content, copy_as_killed, from_nothing, healed, opened


class Image(NamedTuple):
    """The files of a store as a killed worker leaves them, and the changelog it was made from."""

    files: Path
    log: ListLog
    expected: list[tuple[bytes, bytes]]


@pytest.fixture(scope="module", params=["killed", "closed"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    home = tmp_path_factory.mktemp("image")
    clock, random = ManualClock(), Random(7)  # noqa: S311  a fixed seed, so that the image is the same each time
    places: list[Entry | None] = []
    state = opened(home / "live", clock)
    for number in range(120):
        for _ in range(30):
            name = b"%03d" % random.randrange(700)
            match random.randrange(4):
                case 0:
                    state.put(name, random.randbytes(200))
                case 1:
                    state.put(name, random.randbytes(20), clock.now_ms() + random.randrange(1000))
                case 2:
                    state.timers.set(name, random.randrange(10_000), random.randbytes(100))
                case _:
                    state.delete(name)
        places += [*state.pending(), None]
        state.apply(len(places) - 1)
        if number in {30, 60, 90}:
            state._db._db.flush()  # noqa: SLF001  the image is to have several tables
    if request.param == "closed":
        state.close()
    copy_as_killed(home / "live", home / "files")
    state.close()
    log = ListLog(places, portion=500)
    return Image(home / "files", log, from_nothing(home / "expected", clock, log))


@given(data=st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_damaged_file_costs_time_and_nothing_else(image: Image, tmp_path: Path, data: st.DataObject) -> None:
    home = tmp_path / "store"
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(image.files, home)
    files = sorted(path for path in home.rglob("*") if path.is_file())
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=2, unique=True), label="files"):
        harm(path, data)
    state = healed(home, ManualClock(), image.log)
    try:
        assert state.position == len(image.log.places)
        assert content(state) == image.expected
        assert state.timers.pending_count == sum(row[:1] == codec.TIMER for row, _ in image.expected)
    finally:
        state.close()


def harm(path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content)), label="at")
    match data.draw(st.sampled_from(["flip", "cut", "zero", "remove"]), label="harm"):
        case "flip" if at < len(content):
            content[at] ^= data.draw(st.integers(1, 255))
            path.write_bytes(content)
        case "zero":
            path.write_bytes(content[:at] + bytes(len(content) - at))
        case "remove":
            path.unlink()
        case _:
            path.write_bytes(content[:at])
