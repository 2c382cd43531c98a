"""Kills workers under load and compares output with input.

Three processes count keys, with state, while records arrive. Every second or so one is killed, with SIGKILL or SIGTERM,
and started again. Every output names the place of its input and the count so far, so a record that is lost, doubled or
counted on stale state shows; and the tallies must add up to what was sent.
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

from tests.kit.engine import Bench, balanced, bench, faults

WORKERS = 3
RECORDS = 12_000
KILLS = 8
RATE = 1000
"""Records a second."""
DRAIN_S = 20.0
"""Far above what is asked for: this test is not about speed, and other tests may run beside it."""


class Crew:
    """Worker processes, one for each slot."""

    def __init__(self, made: Bench, log: Path) -> None:
        self._made = made
        self._log = log.open("a")
        self._random = random.Random(20_240_501)  # noqa: S311  which worker dies next is no secret
        self.exits: Counter[int] = Counter()
        self._workers = [self._start(slot) for slot in range(WORKERS)]

    def _start(self, slot: int) -> subprocess.Popen[bytes]:
        settings = self._made.settings
        environ = {
            **os.environ,
            "INTEGRATION_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
            "INTEGRATION_DATA_DIR": str(settings.data_dir),
            "INTEGRATION_BATCH_RECORDS": "500",
        }
        return subprocess.Popen([sys.executable, "-m", "tests.process.count_worker", self._made.name, str(slot)], env=environ, stderr=self._log)

    def kill_one(self) -> None:
        """End a worker in a good or a bad way, and start it again."""
        slot = self._random.randrange(WORKERS)
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
        """End all in the good way and return their exit codes."""
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        return [worker.wait(DRAIN_S) for worker in self._workers]

    def close(self) -> None:
        """Leave nothing running."""
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self._log.close()


def load(made: Bench, crew: Crew, keys: list[str]) -> None:
    """Write the records at a steady rate and kill workers meanwhile."""
    begun, kills = time.monotonic(), 0
    for n in range(0, len(keys), 50):
        made.send(*((key.encode(), b"x") for key in keys[n : n + 50]))
        if n >= len(keys) * (kills + 1) / (KILLS + 1) and kills < KILLS:
            crew.kill_one()
            kills += 1
        crew.tend()
        time.sleep(max(0.0, begun + n / RATE - time.monotonic()))


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_while_workers_die(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path)
    keys = [f"k{n % 97}" for n in range(RECORDS)]
    crew = Crew(made, tmp_path / "workers.log")
    try:
        load(made, crew, keys)
        deadline = time.monotonic() + 90
        while len(made.read()) < RECORDS and time.monotonic() < deadline:
            crew.tend()
            time.sleep(0.5)
        codes = crew.drain()
    finally:
        crew.close()
    log = (tmp_path / "workers.log").read_text()
    assert not faults(made.read(), Counter(keys)), log[-4000:]
    found = made.tallies()
    assert balanced(found)
    assert sum(tally["in"] for tally in found.values()) == RECORDS
    assert codes == [0] * WORKERS, log[-4000:]
    ended_before_it_began = -signal.SIGTERM
    assert set(crew.exits) <= {0, -signal.SIGKILL, ended_before_it_began}, (crew.exits, log[-4000:])
