"""Kills workers under load and compares output with input.

Three processes count keys, with state, while records arrive. Whenever the group has committed something more, the
process that has run longest is killed, with SIGKILL or SIGTERM, and started again. Every output names the place of its
input and the count so far, so a record that is lost, doubled or counted on stale state shows; and the tallies must add
up to what was sent.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.door import until
from tests.kit.engine import Bench, balanced, bench, faults

WORKERS = 3
KILLS = 8
BURST = 100
PAUSE_S = 0.1
BETWEEN_S = 0.7
"""Least time between two kills, so that they meet workers in every phase: starting, restoring, at work."""
DRAIN_S = 20.0
"""Far above what is asked for: this test is not about speed, and other tests may run beside it."""


class Crew:
    """Worker processes, one for each slot."""

    def __init__(self, made: Bench, log: Path) -> None:
        self._made = made
        self._log = log.open("a")
        self._random = random.Random(20_240_501)  # noqa: S311  which worker dies next is no secret
        self.exits: Counter[int] = Counter()
        self._next = 0
        self._workers = [self._start(slot) for slot in range(WORKERS)]

    def _start(self, slot: int) -> subprocess.Popen[bytes]:
        settings = self._made.settings
        environ = {
            **os.environ,
            "INTEGRATION_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "INTEGRATION_KAFKA_PARTITIONS": str(settings.kafka_partitions),
            "INTEGRATION_DATA_DIR": str(settings.data_dir),
            "INTEGRATION_BATCH_RECORDS": "500",
        }
        command = [sys.executable, "-m", "tests.process.count_worker", self._made.name, self._made.target, str(slot)]
        return subprocess.Popen(command, env=environ, stderr=self._log)

    def kill_one(self) -> None:
        """End a worker in a good or a bad way, and start it again."""
        slot, self._next = self._next, (self._next + 1) % WORKERS
        number = self._random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        worker = self._workers[slot]
        worker.send_signal(number)
        self.exits[worker.wait(DRAIN_S)] += 1
        self._workers[slot] = self._start(slot)

    def tend(self) -> None:
        """Start again what has ended by itself, as a supervisor does."""
        for slot, worker in enumerate(self._workers):
            if worker.poll() is not None:
                self.exits[worker.returncode] += 1
                self._workers[slot] = self._start(slot)

    def drain(self) -> list[int]:
        """End all in the good way, once all have begun, and return their exit codes."""
        until(lambda: all(_heeds_sigterm(worker.pid) for worker in self._workers))
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        return [worker.wait(DRAIN_S) for worker in self._workers]

    def close(self) -> None:
        """Leave nothing running."""
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self._log.close()


def _heeds_sigterm(pid: int) -> bool:
    """Tell whether a process has come so far as to have a handler of its own for SIGTERM."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def load(made: Bench, crew: Crew) -> list[str]:
    """Write records until the last kill is over, and return their keys."""
    keys: list[str] = []
    kills, seen, last = 0, 0, time.monotonic()
    while kills < KILLS:
        burst = [f"k{n % 97}" for n in range(len(keys), len(keys) + BURST)]
        made.send(*((key.encode(), b"x") for key in burst))
        keys += burst
        crew.tend()
        time.sleep(PAUSE_S)
        committed = made.committed()
        if committed > seen and time.monotonic() > last + BETWEEN_S:
            crew.kill_one()
            kills, seen, last = kills + 1, committed, time.monotonic()
    return keys


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_while_workers_die(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    crew = Crew(made, tmp_path / "workers.log")
    try:
        keys = load(made, crew)
        deadline = time.monotonic() + 90
        while made.committed() < len(keys) and time.monotonic() < deadline:
            crew.tend()
            time.sleep(0.5)
        codes = crew.drain()
    finally:
        crew.close()
    log = (tmp_path / "workers.log").read_text()
    assert not faults(made.read(), Counter(keys)), log[-4000:]
    found = made.tallies()
    assert balanced(found)
    assert sum(tally["in"] for tally in found.values()) == len(keys)
    assert codes == [0] * WORKERS, log[-4000:]
    ended_before_it_began = -signal.SIGTERM
    assert set(crew.exits) <= {0, -signal.SIGKILL, ended_before_it_began}, (crew.exits, log[-4000:])
