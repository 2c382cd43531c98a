"""Two storms over what looks back: dead letters replayed, and the log judged anew.

How: letters, or webhooks, stand on a log; what is to be done with them is ordered; whenever the one worker has come on, it dies by SIGKILL and is
started again. What is proved then, from the logs: each letter has entered once though two operators ordered it, and the index says so; each event
of the window stands on the replay's topic once, and the report adds up to the window.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson
from confluent_kafka import Producer

from deploy.cli.topics import all_topics
from deploy.local.ports import free_port
from flows.core import ids, topics
from flows.core.clock import SystemClock
from flows.core.record import Record
from flows.core.reruns import Report, StoredRerun
from flows.core.settings import Settings, load
from flows.core.verdict import Bury, Reason
from flows.engine.letters import Where, letter
from flows.wire.kafka import PARTITIONER, client_config, ensure_topics
from tests.bench.place import environment
from tests.bench.processes import await_ready, tail
from tests.chaos.orders import Ordered, all_over, flush, index, order, write
from tests.chaos.orders import told as tell
from tests.chaos.plan import Outcome
from tests.kit.line import stored
from tests.kit.settings import PARTITIONS
from tests.kit.topics import topic_reader

OF_A_KILL: Final = {"letters": 300, "records": 1000}
LETTERS_A_SECOND: Final = 400
RECORDS_A_SECOND: Final = 3000
OPERATORS: Final = 2
DROPPED: Final = 10
"""Every tenth event is dropped anew."""
LOOK_S: Final = 0.05
A_KILL_S: Final = 10.0
REST_S: Final = 90.0
TARGET: Final = "judged.anew"
AS_TESTS_HAVE: Final = {"INTEGRATION_KAFKA_PARTITIONS": str(PARTITIONS)}
"""The broker may be one that tests share."""


class Worker:
    """The one worker of a flow, killed and started again."""

    def __init__(self, flow: str, bootstrap: str, home: Path, **more: str) -> None:
        """Start it; `more` is put into its environment."""
        home.mkdir(parents=True, exist_ok=True)
        self.env = environment(bootstrap, home / "data", **(AS_TESTS_HAVE | more))
        self.log = home / "log"
        self._port = free_port()
        self._command = [sys.executable, "-m", "deploy.cli.main", "worker", flow, "--slot", "0", "--port", str(self._port)]
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(self._command, env=self.env, stdout=out, stderr=out)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def kill(self) -> None:
        """Kill it and start it again."""
        self._process.kill()
        self._process.wait()
        self._process = self._start()

    def drain(self) -> int:
        """End it in the good way and return its exit code; one that has not begun yet would end by the signal, so its readiness is awaited."""
        await_ready(self._process, self.log, self._port, REST_S)
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)

    def close(self) -> None:
        """Leave nothing running."""
        self._process.kill()
        self._process.wait()


def replay_letters(bootstrap: str, home: Path, kills: int) -> Outcome:
    """Have two operators order the same letters, and kill the flow whenever more of them have entered."""
    target = f"t-{uuid4().hex[:10]}"
    letters = OF_A_KILL["letters"] * kills
    settings = load(environment(bootstrap, home, **AS_TESTS_HAVE))
    ensure_topics(settings, [*all_topics(), replace(topics.EVENTS, name=target)])
    orders = _order_letters(settings, target, letters)
    done = 0
    with running("replay", bootstrap, home) as one:
        until = time.monotonic() + A_KILL_S * kills + REST_S
        while time.monotonic() < until:
            if done < kills and len(topic_reader(bootstrap, target)) >= letters * (done + 1) // (kills + 2):
                done += 1
                one.kill()
            elif done == kills and all_over(bootstrap, orders):
                break
            time.sleep(LOOK_S)
        code = one.drain()
    entered = Counter(read.header("x-replayed-letter") for read in topic_reader(bootstrap, target))
    told = tell(bootstrap, orders)
    statuses = Counter(summary.status for summary in index(bootstrap) if summary.resource == target)
    wrong = faults(
        (done, kills, "kills"),
        (code, 0, "exit code of the drain"),
        (len(entered), letters, "letters that have entered"),
        (max(entered.values(), default=0), 1, "times that the most frequent letter has entered"),
        (told["done"], letters, "letters that the orders tell as replayed"),
        (told["selected"], told["done"] + told["already"], "letters selected, and told of"),
        (told["failed"], 0, "letters that have failed"),
        (dict(statuses), {"replayed": letters}, "the index"),
    )
    return Outcome(done, {"letters": letters, "entered": entered.total(), "already": told["already"]}, wrong, tail(one.log))


def judge_anew(bootstrap: str, home: Path, kills: int) -> Outcome:
    """Have a window of the log judged anew, and kill the flow whenever its report has moved; on a broker whose topics nobody else uses."""
    records = OF_A_KILL["records"] * kills
    settings = load(environment(bootstrap, home, INTEGRATION_KAFKA_PARTITIONS="2"))
    ensure_topics(settings, topics.TOPICS)
    producer, began = Producer(client_config(settings, partitioner=PARTITIONER)), SystemClock().now_ms()
    _define(producer, {"endpoint_id": "shop"})
    received = _receive(producer, records)
    done = 0
    with running("webhooks", bootstrap, home, INTEGRATION_KAFKA_PARTITIONS="2") as one:
        _wait(lambda: len(topic_reader(bootstrap, topics.EVENTS.name)) == records, REST_S, f"{records:,} events")
        _define(producer, {"endpoint_id": "shop", "filter": f"body.n % {DROPPED} != 0"})
        now_ms = SystemClock().now_ms()
        wanted = StoredRerun(replay_id="again", from_ms=began, until_ms=now_ms, target_topic=TARGET, rate_per_second=RECORDS_A_SECOND, created_at_ms=now_ms)
        write(producer, "rerun/again", wanted.model_dump_json(exclude_none=True))
        report, seen, until = Report(0), 0, time.monotonic() + A_KILL_S * kills + REST_S
        while time.monotonic() < until and not report.over:
            report = _report(bootstrap, "again") or report
            if report.read > seen and done < kills and not report.over:
                seen, done = report.read, done + 1
                one.kill()
            time.sleep(0.1 * (done % 3))
        code = one.drain()
    written = sorted(read.header("ce_id") or "" for read in topic_reader(bootstrap, TARGET))
    few = records // DROPPED
    wrong = faults(
        (done, kills, "kills"),
        (code, 0, "exit code of the drain"),
        ((report.state, report.trouble), ("done", ""), "the report's state"),
        ((report.total, report.read, report.skipped), (records, records, 0), "records of the window, read, skipped"),
        ((report.kept, report.dropped, report.same, report.unknown), (records - few, {"filtered": few}, records - few, 0), "kept, dropped, same, unknown"),
        ([(change.then, change.now, change.count) for change in report.changes], [("kept", "dropped", few)], "what has changed"),
        (len(written), records - few, "events written"),
        (written == sorted(event_id for n, event_id in enumerate(received) if n % DROPPED), True, "whether they are those that were received"),
    )
    return Outcome(done, {"records": records, "written": len(written)}, wrong, tail(one.log))


@contextlib.contextmanager
def running(flow: str, bootstrap: str, home: Path, **more: str) -> Iterator[Worker]:
    worker = Worker(flow, bootstrap, home, **more)
    try:
        yield worker
    finally:
        worker.close()


def _order_letters(settings: Settings, target: str, letters: int) -> Sequence[Ordered]:
    """Bury records of a topic, and order that they enter once more, as two operators do."""
    producer = Producer(client_config(settings, partitioner=PARTITIONER))
    for n in range(letters):
        record = Record(target, 0, n, 0, b"k%d" % n, b"v%d" % n, (("ce_id", b"%d" % n),))
        made = letter(Where("flow", "step", target), record, Bury((Reason("schema", "wrong"),)), SystemClock().now_ms(), "1")
        producer.produce(made.topic, made.value, made.key, headers=list(made.headers))
        producer.poll(0)
    flush(producer)
    return [order(producer, settings.kafka_bootstrap_servers, {"resource": target}, LETTERS_A_SECOND) for _ in range(OPERATORS)]


def _receive(producer: Producer, records: int) -> list[str]:
    made = [ids.event_id(SystemClock().now_ms()) for _ in range(records)]
    for n, event_id in enumerate(made):
        producer.produce(topics.WEBHOOKS.name, b'{"n": %d}' % n, b"%d" % n, headers={"ce_id": event_id, "ce_source": "/webhooks/shop"})
        producer.poll(0)
    flush(producer)
    return made


def _report(bootstrap: str, replay_id: str) -> Report | None:
    reads = [read for read in topic_reader(bootstrap, topics.STATUS.name) if read.key == f"rerun/{replay_id}".encode()]
    return Report.of(orjson.loads(reads[-1].value or b"")) if reads else None


def _define(producer: Producer, definition: dict[str, Any]) -> None:
    write(producer, f"webhook/{definition['endpoint_id']}", stored(definition))


def _wait(true: Any, seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(LOOK_S)


def faults(*checks: tuple[Any, Any, str]) -> tuple[str, ...]:
    return tuple(f"{what}: {found}, and not {wanted}" for found, wanted, what in checks if found != wanted)
