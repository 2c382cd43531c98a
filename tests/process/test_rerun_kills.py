"""Kills the worker again and again while it judges a window of the log anew, and compares what was written with what was received.

The worker is killed whenever its report has moved on, so it dies between portions and within them. Each event must then stand on
the replay's topic once, whatever happened, and the report must add up to the window.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer

from deploy.local import broker
from flows.core import ids, topics
from flows.core.clock import SystemClock
from flows.core.reruns import Report, StoredRerun
from flows.core.settings import PREFIX, Settings
from flows.wire.kafka import PARTITIONER, client_config, ensure_topics
from tests.kit.line import stored
from tests.kit.settings import settings_for
from tests.kit.topics import topic_reader, wait_for

RECORDS = 4000
KILLS = 4
TARGET = "judged.anew"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with broker.running(tmp_path / "kafka", os.environ) as running:
        yield settings_for(running.bootstrap, tmp_path, kafka_partitions="2")


class Worker:
    """The one worker of the flow."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings, self._log = settings, log.open("ab")
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        own = {"KAFKA_BOOTSTRAP_SERVERS": self._settings.kafka_bootstrap_servers, "DATA_DIR": str(self._settings.data_dir), "KAFKA_PARTITIONS": "2"}
        environ = {**os.environ, **{PREFIX + name: value for name, value in own.items()}}
        return subprocess.Popen([sys.executable, "-m", "deploy.cli.main", "worker", "webhooks", "--slot", "0"], env=environ, stderr=self._log)

    def kill(self) -> None:
        """Kill it and start it again."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def drain(self) -> int:
        """End it in the good way and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    def close(self) -> None:
        """Leave nothing running."""
        self._process.kill()
        self._process.wait()
        self._log.close()


def receive(producer: Producer) -> list[str]:
    """Write what was received; every tenth event is one of those that are to be dropped anew."""
    made = [ids.event_id(SystemClock().now_ms()) for _ in range(RECORDS)]
    for n, event_id in enumerate(made):
        producer.produce(topics.WEBHOOKS.name, b'{"n": %d}' % n, b"%d" % n, headers={"ce_id": event_id, "ce_source": "/webhooks/shop"})
    assert producer.flush(30) == 0
    return made


def report_of(settings: Settings, replay_id: str) -> Report | None:
    """Read what the worker has told last."""
    reads = [read for read in topic_reader(settings.kafka_bootstrap_servers, topics.STATUS.name) if read.key == f"rerun/{replay_id}".encode()]
    return Report.of(orjson.loads(reads[-1].value or b"")) if reads else None


@pytest.mark.timeout(240)
def test_a_replay_is_neither_repeated_nor_cut_short_by_kills(settings: Settings, tmp_path: Path) -> None:
    ensure_topics(settings, topics.TOPICS)
    producer, began = Producer(client_config(settings, partitioner=PARTITIONER)), SystemClock().now_ms()
    producer.produce(topics.CONFIG.name, stored({"endpoint_id": "shop"}), "webhook/shop")
    producer.flush(20)
    received = receive(producer)
    worker = Worker(settings, tmp_path / "worker.log")
    try:
        wait_for(settings.kafka_bootstrap_servers, topics.EVENTS.name, lambda reads: len(reads) == RECORDS, timeout_s=60)
        producer.produce(topics.CONFIG.name, stored({"endpoint_id": "shop", "filter": "body.n % 10 != 0"}), "webhook/shop")
        order = StoredRerun(
            replay_id="again", from_ms=began, until_ms=SystemClock().now_ms(), target_topic=TARGET, rate_per_second=3000, created_at_ms=SystemClock().now_ms()
        )
        producer.produce(topics.CONFIG.name, order.model_dump_json(exclude_none=True), "rerun/again")
        producer.flush(20)
        report = kill_while_it_works(settings, worker)
        code = worker.drain()
    finally:
        worker.close()
    log = (tmp_path / "worker.log").read_text()[-4000:]
    assert (report.state, report.trouble, code) == ("done", "", 0), log
    assert (report.total, report.read, report.skipped) == (RECORDS, RECORDS, 0)
    assert (report.kept, report.dropped, report.same, report.unknown) == (RECORDS * 9 // 10, {"filtered": RECORDS // 10}, RECORDS * 9 // 10, 0)
    assert [(one.then, one.now, one.count) for one in report.changes] == [("kept", "dropped", RECORDS // 10)]
    written = sorted(read.header("ce_id") or "" for read in topic_reader(settings.kafka_bootstrap_servers, TARGET))
    assert written == sorted(event_id for n, event_id in enumerate(received) if n % 10)


def kill_while_it_works(settings: Settings, worker: Worker) -> Report:
    """Kill the worker whenever it has come on, wait for the end, and return the last report."""
    kills = seen = 0
    until = time.monotonic() + 150
    while time.monotonic() < until:
        report = report_of(settings, "again")
        if report is not None and report.over:
            assert kills == KILLS
            return report
        if report is not None and report.read > seen and kills < KILLS:
            seen, kills = report.read, kills + 1
            worker.kill()
        time.sleep(0.1 * (kills % 3))
    raise AssertionError(f"not done in time: {report_of(settings, 'again')}")
