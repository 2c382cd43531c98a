"""Processes are known by more than their pid; what runs is written down and read back; a data directory has one supervisor."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import record
from deploy.local.processes import Identity, find, identify, memory_bytes, stop
from deploy.local.record import PartRecord, StackRecord
from flows.core.errors import Busy
from tests.kit.door import until

SLEEPER = (sys.executable, "-c", "print(flush=True); import time; time.sleep(600)")
STUBBORN = (sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)")


def _run(command: tuple[str, ...]) -> Iterator[Identity]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        identity = identify(process.pid)
        assert identity
        yield identity
        process.kill()


@pytest.fixture
def sleeper() -> Iterator[Identity]:
    yield from _run(SLEEPER)


@pytest.fixture
def stubborn() -> Iterator[Identity]:
    yield from _run(STUBBORN)


def test_a_process_is_found_by_its_identity_until_it_ends(sleeper: Identity) -> None:
    process = find(sleeper)
    assert process
    assert min(memory_bytes(process)) > 0
    assert stop([sleeper], 10) == 1
    assert find(sleeper) is None
    assert memory_bytes(process) == (0, 0)
    assert stop([sleeper], 10) == 0


def test_a_pid_that_went_to_another_process_is_not_touched(sleeper: Identity) -> None:
    earlier = sleeper._replace(created=sleeper.created - 3600)
    other = sleeper._replace(command=("java", "kafka.Kafka"))
    assert stop([earlier, other], 10) == 0
    assert find(sleeper)


def test_what_does_not_listen_is_killed(stubborn: Identity) -> None:
    assert stop([stubborn], 0.2) == 1
    assert find(stubborn) is None


def test_what_ended_is_not_waited_for_though_its_parent_takes_no_note(sleeper: Identity) -> None:
    careless = f"import subprocess, time; print(subprocess.Popen({SLEEPER!r}, stdout=subprocess.DEVNULL).pid, flush=True); time.sleep(600)"
    with subprocess.Popen((sys.executable, "-c", careless), stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout
            child = identify(int(parent.stdout.readline()))
            assert child
            begun = time.monotonic()
            assert stop([child, sleeper], 30) == 2
            assert time.monotonic() - begun < 15
            until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        finally:
            parent.kill()


def test_the_record_is_read_back(tmp_path: Path, sleeper: Identity) -> None:
    (tmp_path / "run").mkdir()
    own = identify(os.getpid())
    assert own
    parts = (PartRecord("kafka", "ready", sleeper, 2, "127.0.0.1:9092", "killed by SIGKILL"), PartRecord("ingress", "waiting"))
    written = StackRecord(own, "ready", {"http_port": "8000"}, parts, 1.5)
    record.write(tmp_path, written)
    assert record.read(tmp_path) == written
    assert written.lives()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["stack.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"parts": []}', '{"parts": [{}], "supervisor": 1}'])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    record.path(tmp_path).write_text(text)
    assert record.read(tmp_path) is None


def test_the_parts_of_a_dead_supervisor_are_stopped_the_stores_last(sleeper: Identity) -> None:
    dead = Identity(1, 0.0, ("gone",))
    stack = StackRecord(dead, "ready", {}, (PartRecord("kafka", "ready", sleeper), PartRecord("ingress", "ready", dead)))
    assert not stack.lives()
    assert stack.identities() == [dead, sleeper]
    assert stack.stop_parts(10) == 1
    assert find(sleeper) is None


def test_a_data_directory_is_held_by_one(tmp_path: Path) -> None:
    with record.exclusive(tmp_path), pytest.raises(Busy, match=rf"process {os.getpid()}.*INTEGRATION_DATA_DIR"), record.exclusive(tmp_path):
        pass
    with record.exclusive(tmp_path):
        pass
