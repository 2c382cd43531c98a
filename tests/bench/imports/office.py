"""Where files are handed in and jobs ordered: an ingress, and one worker of the flow `imports`, started as `xyra up` starts them."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import psutil
from confluent_kafka import Consumer, TopicPartition

from deploy.local.ports import free_port
from flows.core.imports.progress import ENDED
from tests.bench.imports import data
from tests.bench.imports.memory_of import Watch
from tests.bench.place import Place
from tests.bench.processes import await_ready, check, end, start
from tests.bench.topics import QUIET
from tests.bench.web import ADMIN_KEY, HOST, OWN_START_S, ingress

LOOK_S: Final = 0.05
"""How often a job is asked for: what a figure may be late."""
LIMIT_S: Final = 240.0
ROOM: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Done:
    """A job that has ended."""

    report: dict[str, Any]
    seconds: float
    """From its order to the answer that it is over."""
    cpu_us_per_row: float
    """Of the worker and the process that reads for it."""
    watch: Watch | None
    """What of memory they had, where that was looked at."""

    @property
    def rows_per_s(self) -> float:
        """Rows read, over the whole of it."""
        return float(self.report["rows_read"]) / self.seconds


class Office:
    """What a user of imports sees, and the worker behind it."""

    def __init__(self, place: Place, port: int, env: dict[str, str]) -> None:
        """Take a running ingress; `hire` starts the worker."""
        self._place, self._port, self._env = place, port, env
        self._log = place.data / "imports.log"
        self.worker: subprocess.Popen[bytes]

    def hire(self) -> None:
        """Start the worker, and wait for nothing."""
        self.health = free_port()
        command = [sys.executable, "-m", "deploy.cli.main", "worker", "imports", "--slot", "0", "--port", str(self.health)]
        self.worker = start(command, self._log, self._env)

    def await_worker(self) -> None:
        """Wait until it is ready."""
        await_ready(self.worker, self._log, self.health, OWN_START_S)

    def fresh(self) -> None:
        """Let another worker take over, which has done nothing yet."""
        end(self.worker)
        self.hire()
        self.await_worker()

    def upload(self, path: Path, data_format: str) -> str:
        """Send a file, and return its id once all of it is on the log."""
        hints = urlencode({"data_format": data_format, **data.source(data_format)})
        with path.open("rb") as file:
            found = self._call("POST", f"/integration/import/upload?{hints}", file, {"content-length": str(path.stat().st_size)})
        return str(found["upload_id"])

    def order(self, upload_id: str, data_format: str, **fields: Any) -> str:
        """Order a job, and return its id."""
        told = {
            "name": "bench",
            "job_type": "one_time",
            "data_format": data_format,
            "source_config": {"upload_id": upload_id, **data.source(data_format)},
        } | fields
        return str(self._call("POST", "/integration/import/jobs", json.dumps(told).encode(), {"content-type": "application/json"})["job_id"])

    def look(self, job_id: str) -> dict[str, Any]:
        """Return a job's report."""
        return self._call("GET", f"/integration/import/jobs/{job_id}")

    def until(self, job_id: str, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Look at a job until something is true of it, or it is over; raises TimeoutError."""
        end_at = time.monotonic() + LIMIT_S
        while True:
            report = self.look(job_id)
            if true(report) or report["status"] in ENDED:
                return report
            if time.monotonic() > end_at:
                raise TimeoutError(f"the job is not over within {LIMIT_S:.0f} s: {report}")
            time.sleep(LOOK_S)

    def run(self, upload_id: str, data_format: str, *, watched: bool = False, **fields: Any) -> Done:
        """Order a job and see it through; raises RuntimeError where it does not complete. `watched`: memory is looked at, which costs a tenth of the speed."""
        before, begin = _cpu_s(self.worker), time.monotonic()
        with Watch.over(self.worker.pid) if watched else nullcontext() as watch:
            job_id = self.order(upload_id, data_format, **fields)
            report = self.until(job_id, self._checked)
            seconds = time.monotonic() - begin
        if not report["status"].startswith("completed"):
            raise RuntimeError(f"the job is {report['status']}: {report['trouble']}")
        time.sleep(LOOK_S)  # the reading process is counted with the worker once it was waited for
        return Done(report, seconds, 1e6 * (_cpu_s(self.worker) - before) / report["rows_read"], watch)

    def _checked(self, _: dict[str, Any]) -> bool:
        check(self.worker, self._log)
        return False

    def _call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=LIMIT_S, blocksize=1 << 18)
        try:
            connection.request(method, path, body, {"x-api-key": ADMIN_KEY, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path} was answered with {answer.status}: {text.decode()}")
        found: dict[str, Any] = json.loads(text)
        return found


@contextmanager
def office(place: Place, name: str = "imports") -> Iterator[Office]:
    """Run an ingress and a worker, which may be ended and hired anew."""
    scratch = str(place.data / f"{name}-scratch")
    more = {"INTEGRATION_BATCH_IMPORT_MAX_FILE_SIZE": str(ROOM), "INTEGRATION_BATCH_IMPORT_UPLOAD_DIR": scratch}
    with ingress(place, name, **more) as server:
        made = Office(place, server.port, place.env(name, **more))
        made.hire()
        try:
            made.await_worker()
            yield made
        finally:
            end(made.worker)


def target() -> str:
    """Return the name of a topic that nobody has."""
    return f"bench-rows-{uuid4().hex[:8]}"


def committed(bootstrap: str, topic: str, each: Callable[[bytes], None]) -> int:
    """Hand over the value of every committed record of a topic, and return how many there are."""
    config = {"bootstrap.servers": bootstrap, "group.id": "bench-read", "enable.auto.commit": False, "isolation.level": "read_committed"}
    consumer = Consumer(config | {"enable.partition.eof": True, "auto.offset.reset": "earliest", "log_level": QUIET})
    places = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
    consumer.assign(places)
    left, count = len(places), 0
    while left:
        for message in consumer.consume(10_000, 0.5):
            if message.error():
                left -= 1
            else:
                count += 1
                each(message.value() or b"")
    consumer.close()
    return count


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds of a process, of its children, and of those it had."""
    parent = psutil.Process(process.pid)
    total = sum(parent.cpu_times()[:4])
    for child in parent.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return float(total)
