"""Reading processes: each is one of its own, bound as it should be; what forks them is there when it is needed and goes when it is not."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flows.core.errors import Unavailable
from flows.core.settings import Settings, load
from flows.wire.child import Child, ReaderDied
from flows.wire.readers import Readers

QUESTION = {"kind": "detect", "name": "orders.csv"}
LINES = (b"id,name\n1,Ada\n2,Bob\n",)
OUTPUT = {"file": "cd" * 32, "shape": "row", "rows_per_record": 1, "key_columns": [], "most_bytes": 1000}
OPENING = {"kind": "open", "format": "csv", "source": {}, "rules": {}, "output": OUTPUT, "at": 0, "line": 1, "ordinal": 0, "path": None}


def settings(**more: str) -> Settings:
    return load({f"INTEGRATION_{name.upper()}": value for name, value in more.items()})


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    made = Readers(settings(import_child_memory_bytes=str(777 << 20)))
    yield made
    made.close()


def finds_csv(child: Child) -> bool:
    return bool(child.ask(QUESTION, LINES).head["found"]["format"] == "csv")


def reads(child: Child, data: bytes) -> None:
    child.ask(OPENING, (b"", data[:100]))
    child.ask({"kind": "pieces", "places": [[0, 1, 0, 60_000, "records"]], "last": True}, (data,))


def server_of(child: Child) -> psutil.Process:
    found = psutil.Process(child.pid).parent()
    assert found is not None
    return found


def test_each_process_is_one_of_its_own(readers: Readers, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("a", "b")]
    for place in places:
        place.mkdir()
    one, other = children = [readers.begin(place) for place in places]
    assert [finds_csv(child) for child in children] == [True, True]
    assert one.pid != other.pid
    assert [Path(psutil.Process(child.pid).cwd()) for child in children] == places
    assert server_of(one) == server_of(other)
    assert server_of(one).ppid() == os.getpid()
    one.close()
    assert not psutil.pid_exists(one.pid)
    assert finds_csv(other)
    other.close()


def test_it_is_bound_and_holds_no_files_but_its_own(readers: Readers, tmp_path: Path) -> None:
    before = readers.begin(tmp_path)
    child = readers.begin(tmp_path)
    assert finds_csv(child)
    limits = Path(f"/proc/{child.pid}/limits").read_text(encoding="ascii")
    assert str(777 << 20) in limits
    assert any(line.startswith("Max core file size") and line.split()[4] == "0" for line in limits.splitlines())
    assert not [path for path in Path(f"/proc/{child.pid}/fd").iterdir() if "socket:" in str(path.readlink())]
    assert psutil.Process(child.pid).environ()["POLARS_MAX_THREADS"] == "2"
    assert os.getsid(child.pid) == child.pid
    child.close()
    before.close()


def test_how_it_ended_is_told(readers: Readers, tmp_path: Path) -> None:
    child = readers.begin(tmp_path)
    os.kill(child.pid, signal.SIGSEGV)
    with pytest.raises(ReaderDied, match="was ended by signal 11"):
        child.ask(QUESTION, LINES)
    child.close()
    child = readers.begin(tmp_path)
    with pytest.raises(ReaderDied, match=r"ended with code 1.*said last: .*Broken"):
        child.ask({**QUESTION, "name": 1, "more": "x" * (65 << 20)})
    child.close()


def test_it_ends_at_its_memory_limit_and_no_other_does(tmp_path: Path) -> None:
    readers = Readers(settings(import_child_memory_bytes=str(64 << 20)))
    child = readers.begin(tmp_path)
    data = b"id\n" + b"".join(b"%d\n" % n for n in range(60_000))
    with pytest.raises(ReaderDied):
        reads(child, data)
    child.close()
    again = readers.begin(tmp_path)
    assert server_of(again).is_running()
    again.close()
    readers.close()


def test_one_that_works_goes_on_when_no_more_may_be_begun_and_its_end_is_told(tmp_path: Path) -> None:
    before = threading.enumerate()
    readers = Readers(settings(), kept_s=0.0)
    child = readers.begin(tmp_path)
    for thread in threading.enumerate():
        if thread.name == "readers" and thread not in before:
            thread.join()
    assert finds_csv(child)
    server = server_of(child)
    other = readers.begin(tmp_path)
    assert finds_csv(other)
    assert server_of(other) != server
    os.kill(child.pid, signal.SIGBUS)
    with pytest.raises(ReaderDied, match="was ended by signal 7"):
        child.ask(QUESTION, LINES)
    _, alive = psutil.wait_procs([server], timeout=30)
    assert alive == []
    for one in (child, other):
        one.close()


def test_where_the_one_that_forks_was_killed_another_does(readers: Readers, tmp_path: Path) -> None:
    child = readers.begin(tmp_path)
    server = server_of(child)
    server.kill()
    psutil.wait_procs([server], timeout=30)
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(ReaderDied, match=r"The process that read the file ended\."):
        child.ask(QUESTION, LINES)
    child.close()
    again = readers.begin(tmp_path)
    assert finds_csv(again)
    again.close()


def test_where_the_one_that_forks_stands_still_who_waits_is_let_go_and_another_does(tmp_path: Path) -> None:
    readers = Readers(settings(), begins_s=0.2)
    before = {one.pid for one in psutil.Process().children()}
    readers.warm()
    (server,) = (one for one in psutil.Process().children() if one.pid not in before)
    server.suspend()
    child = readers.begin(tmp_path)
    with pytest.raises(ReaderDied, match=r"The process that read the file ended\."):
        child.ask(QUESTION, LINES, 0.2)
    child.close()
    other = readers.begin(tmp_path)
    assert finds_csv(other)  # it is asked before anybody looks whether it has begun, which may take longer than is waited for here
    assert server_of(other) != server
    other.close()
    readers.close()


def test_all_end_with_the_process_they_work_for(tmp_path: Path) -> None:
    script = f"""
import time
from pathlib import Path
from flows.core.settings import load
from flows.wire.readers import Readers
child = Readers(load({{}})).begin(Path({str(tmp_path)!r}))
print(child.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        both = [child, child.parent()]
        owner.kill()
    _, alive = psutil.wait_procs([one for one in both if one is not None], timeout=30)
    assert alive == []


def test_a_process_with_many_open_files_may_have_one(readers: Readers, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    opened = [os.dup(0) for _ in range(1100)]
    try:
        child = readers.begin(tmp_path)
        assert finds_csv(child)
        child.close()
    finally:
        for one in opened:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_where_no_process_can_be_started_it_is_said(tmp_path: Path) -> None:
    readers = Readers(settings())
    with few_files():
        readers.warm()  # says nothing: nobody has asked for anything
        with pytest.raises(Unavailable, match="No process can be started that reads files"):
            readers.begin(tmp_path)


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
