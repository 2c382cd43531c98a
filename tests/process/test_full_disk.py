"""The disk under a worker's state is full: the worker says so and ends, and once there is room nothing is lost and nothing doubled.

A flow that counts keys fills its stores until a batch no longer goes in. That batch is committed by then: writing it down is the checkpoint's
step 4, behind Kafka's commit, so the next start has to mend it from the changelog.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from deploy.local.broker import running
from flows.core.errors import AWAY
from tests.kit.door import until
from tests.kit.engine import Bench, balanced, bench, faults

PARTITIONS: Final = "2"
ROOM_MIB: Final = 12
BLOCKS_OF_A_MIB: Final = 2048
BURST: Final = 500
KEY_BYTES: Final = 350
"""Keys are random, so that they cannot be packed, and the store has each."""
SENTENCE: Final = re.compile(r"The state store \S+ cannot be used: .*(No space left on device|File too large).*Make room or mend the rights")


class Disk:
    """A small file system, or, where none may be mounted or `files` is wanted, a limit on how large a file may grow: writes fail in both."""

    def __init__(self, place: Path, *, files: bool) -> None:
        place.mkdir(parents=True)
        self._place = place
        self.mounted = not files and self._mount(f"size={ROOM_MIB}m")
        self.limit = "unlimited" if self.mounted else str(BLOCKS_OF_A_MIB)

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self._place)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def make_room(self) -> None:
        self.limit = "unlimited"
        assert not self.mounted or self._mount("remount,size=512m")

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self._place)], check=True)


class Worker:
    """The one worker, on that disk."""

    def __init__(self, made: Bench, disk: Disk, log: Path) -> None:
        self._made, self._disk, self._log = made, disk, log
        self.keys: list[str] = []
        self._dice = Random(5)  # noqa: S311  keys are no secret
        self.start()

    def start(self) -> None:
        settings = self._made.settings
        own = {"KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers, "DATA_DIR": str(settings.data_dir), "KAFKA_PARTITIONS": PARTITIONS}
        env = {**os.environ, **{f"INTEGRATION_{name}": value for name, value in own.items()}}
        count = [sys.executable, "-m", "tests.process.count_worker", self._made.name, self._made.target, "0"]
        command = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', self._disk.limit, *count]
        self._begun = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(command, env=env, stderr=out)

    def said(self) -> str:
        """Return what it has said since it was started."""
        return self._log.read_bytes()[self._begun :].decode()

    def whole_log(self) -> str:
        return self._log.read_text()

    def fill(self) -> None:
        """Send until the worker has said that its disk is full."""
        until(self._full, why=self.said)

    def _full(self) -> bool:
        if not self.ended:
            self.send()
        return SENTENCE.search(self.said()) is not None

    def send(self) -> None:
        burst = [self._dice.randbytes(KEY_BYTES).hex() for _ in range(BURST)]
        self._made.send(*((key.encode(), b"x") for key in burst))
        self.keys += burst

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> int:
        """Wait until it has ended by itself; return its exit code."""
        return self._process.wait(30)

    def drain(self) -> int:
        self._process.terminate()
        return self.end()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(params=[False, True], ids=["disk", "files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "data" / "state", files=request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def few_partitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own: elsewhere the topics that all flows share have more partitions."""
    with running(tmp_path_factory.mktemp("kafka"), os.environ) as broker:
        yield broker.bootstrap


@pytest.fixture
def worker(few_partitions: str, tmp_path: Path, disk: Disk) -> Iterator[tuple[Bench, Worker]]:
    made = bench(few_partitions, tmp_path, kafka_partitions=PARTITIONS)
    started = Worker(made, disk, tmp_path / "log")
    yield made, started
    started.close()


def test_a_full_disk_ends_the_worker_and_room_brings_everything_back(worker: tuple[Bench, Worker], disk: Disk) -> None:
    made, one = worker
    one.fill()
    assert one.end() == AWAY
    one.start()
    one.fill()  # a partition that cannot be opened waits; where it can, it is full once more
    disk.make_room()
    if not disk.mounted and not one.ended:  # a limit stays with the process that was given it
        assert one.drain() == 0, one.said()
    if one.ended:
        one.start()
    one.send()
    until(lambda: made.committed() >= len(one.keys), why=one.said)
    assert any(int(count) for count in re.findall(r"(\d+) entries restored", one.whole_log())), "the batch whose step 4 failed was committed"
    assert one.drain() == 0, one.said()
    assert not faults(made.read(), Counter(one.keys))
    tallies = made.tallies()
    assert balanced(tallies)
    assert sum(tally["in"] for tally in tallies.values()) == len(one.keys)
    for word in ("Traceback", "Rebuilding"):
        assert word not in one.whole_log(), "a disk without room is no bug, and no damage"
