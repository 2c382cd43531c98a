"""Workers as processes see them, on a real Kafka: slots, signals, rebalances, health."""

import os
import signal
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import orjson
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from flows.core.clock import SystemClock
from flows.core.errors import Busy, Unavailable
from flows.engine import Batch
from flows.engine.runtime import Engine
from flows.engine.worker import live, ready, run
from flows.wire.lock import SlotLock
from flows.wire.probe import Probe
from flows.wire.telemetry import Telemetry
from tests.kit.courier import Started
from tests.kit.engine import Bench, balanced, bench, counting, faults
from tests.kit.settings import PARTITIONS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(kafka: str, tmp_path: Path, number: signal.Signals) -> None:
    """What was taken is committed, what was not is left, the tallies are told, the exit code is 0."""
    made = bench(kafka, tmp_path, batch_records="5")
    kept = signal.getsignal(number)

    def told_to_stop(batch: Batch) -> None:
        if len(batch.records):
            os.kill(os.getpid(), number)

    made.send(*((f"k{n % 3}".encode(), b"{}") for n in range(50)))
    assert run(made.flow(counting(made.target), told_to_stop), made.settings, 0) == 0
    assert signal.getsignal(number) is kept
    taken = len(made.read())
    assert 0 < taken < 50
    assert sum(tally["out"] for tally in made.tallies().values()) == taken
    made.run(made.flow(counting(made.target)))
    assert not faults(made.read(), Counter(f"k{n % 3}" for n in range(50)))


@pytest.mark.parametrize(("error", "code"), [(ValueError("a bug"), 1), (Unavailable("Kafka is away."), 8)])
def test_a_step_that_raises_ends_the_worker_with_a_code(kafka: str, tmp_path: Path, error: Exception, code: int) -> None:
    made = bench(kafka, tmp_path)

    def fails(_batch: Batch) -> None:
        raise error

    made.send((b"k", b"v"))
    assert run(made.flow(fails), made.settings, 0) == code


def test_a_slot_runs_once(kafka: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = bench(kafka, tmp_path)
    held = SlotLock(made.settings.data_dir / "state" / made.name / "slot-0.lock", "it")
    try:
        assert run(made.flow(), made.settings, 0) == Busy.exit_code
    finally:
        held.release()
    assert f"Slot 0 of the flow {made.name} runs already, as process {os.getpid()}. Stop that one (`kill {os.getpid()}`), or start" in caplog.text
    assert "choose another port" not in caplog.text


def running(made: Bench, slot: int) -> Started:
    flow = made.flow(counting(made.target))
    return Started(flow, made.engine(flow, slot))


def until(made: Bench, workers: list[Started], held: int) -> None:
    """Wait until each worker holds so many partitions and all that was sent is taken."""
    waited = Event()
    deadline = time.monotonic() + 60
    while True:
        shares = [worker.engine.assignment.shares for worker in workers]
        positions = {number: share.position for own in shares for number, share in own.copy().items()}
        if all(len(own) == held for own in shares) and all(positions.get(number, -1) >= end for number, end in made.ends.items()):
            return
        assert time.monotonic() < deadline, f"{[sorted(own) for own in shares]}, {positions} of {made.ends}"
        waited.wait(0.02)


@pytest.mark.timeout(180)
def test_partitions_move_between_workers_with_their_state(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path, clock=SystemClock(), batch_records="50")
    keys = [f"k{n % 40}" for n in range(400)]

    def more() -> None:
        made.send(*((key.encode(), b"{}") for key in keys))

    more()
    first = running(made, 0)
    until(made, [first], PARTITIONS)
    second = running(made, 1)
    more()
    until(made, [first, second], PARTITIONS // 2)
    more()
    until(made, [first, second], PARTITIONS // 2)
    first.end()
    more()
    until(made, [second], PARTITIONS)
    second.end()
    assert not faults(made.read(), Counter(keys * 4))
    found = made.tallies()
    assert balanced(found)
    assert sum(tally["in"] for tally in found.values()) == 1600


def test_the_probe_tells_the_loop_from_the_broker(kafka: str, tmp_path: Path) -> None:
    made = bench(kafka, tmp_path, clock=SystemClock())
    answers: dict[str, tuple[int, bytes]] = {}
    telemetry = Telemetry()
    made.send((b"k", b"v"))

    def look(engine: Engine) -> bool:
        if not made.through(engine):
            return False
        probe = Probe("127.0.0.1", 0, telemetry, {"live": lambda: live(engine, made.clock), "ready": lambda: ready(engine)})
        for path in ("/health/live", "/health/ready", "/metrics", "/nothing", "/health/"):
            connection = HTTPConnection("127.0.0.1", probe.port, timeout=5)
            connection.request("GET", path)
            answer = connection.getresponse()
            answers[path] = answer.status, answer.read()
            connection.close()
        engine.inlet.broker_away = True
        assert ready(engine) == {"waiting_for": "broker"}
        engine.inlet.broker_away = False
        engine.moved_at -= 1000
        assert (live(engine, made.clock) or {}).keys() == {"still_seconds"}
        probe.close()
        return True

    before = made.engine(made.flow(), 9)
    assert ready(before) == {"waiting_for": "partitions"}
    before.close()
    made.run(made.flow(counting(made.target)), until=look)
    assert {path: status for path, (status, _) in answers.items()} == {
        "/health/live": 200,
        "/health/ready": 200,
        "/metrics": 200,
        "/nothing": 404,
        "/health/": 404,
    }
    assert orjson.loads(answers["/health/live"][1]) == {"status": "ok"}


def test_records_that_were_deleted_before_they_were_read_are_spoken_of(kafka: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = bench(kafka, tmp_path)
    flow = made.flow(counting(made.target))
    made.send((b"k", b"1"), (b"k", b"2"))
    made.run(flow)
    assert "lost a commit" not in caplog.text, "where nothing was committed yet, nothing was lost"
    (partition,) = made.ends
    made.send((b"k", b"3"), (b"k", b"4"))
    admin = AdminClient({"bootstrap.servers": kafka})
    for deleted in admin.delete_records([TopicPartition(made.name, partition, 3)]).values():
        deleted.result(20)
    made.run(flow)
    assert f"Offsets 2 to 2 of {made.name}/{partition} were deleted before they were read" in caplog.text
    assert [orjson.loads(read.value or b"")["n"] for read in made.read()] == [1, 2, 3]
