"""A reading process that is there beforehand: when there is one, whose it is, and that it is bound as any other."""

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flows.core.settings import Settings, load
from flows.wire.scratch import left
from flows.wire.spare import Spare, begin

QUESTION = {"kind": "detect", "name": "orders.csv"}
LINES = (b"id,name\n1,Ada\n2,Bob\n",)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"INTEGRATION_BATCH_IMPORT_UPLOAD_DIR": str(tmp_path), "INTEGRATION_IMPORT_CHILD_MEMORY_BYTES": str(777 << 20)})


def died(home: Path) -> Path:
    """Leave behind what a worker does that ends in the middle of a file."""
    with subprocess.Popen([sys.executable, "-c", ""]) as owner:
        place = home / f"reader-{owner.pid}-abc"
    place.mkdir()
    return place


def limits(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text(encoding="ascii")


def test_it_is_taken_once_and_is_bound_as_any_other(settings: Settings, tmp_path: Path) -> None:
    spare = Spare(settings)
    taken = spare.take()
    assert taken is not None
    assert spare.take() is None
    place, child = taken
    assert place.parent == tmp_path
    spare.close()  # it is somebody else's now
    told = child.ask(QUESTION, LINES)
    assert told.head["found"]["format"] == "csv"
    if sys.platform == "linux":
        usual_place, usual = begin(settings)
        assert usual.ask(QUESTION, LINES) == told
        alike = [[line for line in limits(one.pid).splitlines() if "cpu time" not in line] for one in (child, usual)]
        assert alike[0] == alike[1]
        assert str(777 << 20) in limits(child.pid)
        assert usual_place != place
        usual.close()
    child.close()


def test_one_that_nobody_takes_is_ended_and_cleared_away(settings: Settings, tmp_path: Path) -> None:
    spare = Spare(settings, kept_s=0.0)
    for thread in threading.enumerate():
        if thread.name == "spare":
            thread.join()
    assert spare.take() is None
    assert list(tmp_path.iterdir()) == []


def test_one_that_has_ended_is_not_handed_out(settings: Settings, tmp_path: Path) -> None:
    spare = Spare(settings)
    (place,) = tmp_path.iterdir()
    (process,) = (child for child in psutil.Process().children() if Path(child.cwd()) == place)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody was told
    assert spare.take() is None
    assert not place.exists()


def test_there_is_one_only_where_a_worker_ended_in_the_middle_of_a_file(settings: Settings, tmp_path: Path) -> None:
    assert Spare.where_left(settings) is None
    place, child = begin(settings)
    assert not left(tmp_path)  # it is ours, and we live
    assert Spare.where_left(settings) is None
    child.close()
    place.rmdir()
    died(tmp_path)
    spare = Spare.where_left(settings)
    assert spare is not None
    spare.close()
    assert [path.name.rpartition("-")[2] for path in tmp_path.iterdir()] == ["abc"]  # whoever clears it away is another


def test_where_no_process_can_be_started_there_is_none(settings: Settings, tmp_path: Path) -> None:
    died(tmp_path)
    with few_files():
        assert Spare.where_left(settings) is None
    assert len(list(tmp_path.iterdir())) == 1


@contextmanager
def few_files() -> Iterator[None]:
    """Let this process open one more file, and no pipe."""
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
