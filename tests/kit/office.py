"""The flow `imports` over batches, with real state and real files on disk, without a broker: slow work is done on demand, and rows are plain lines."""

import hashlib
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import orjson
from confluent_kafka import Message as ClientMessage

from connectors.testing import ManualClock
from flows import imports
from flows.core import topics
from flows.core.files.rejects import Reject
from flows.core.imports.jobs import JOB, JobDefinition, StoredJob
from flows.core.imports.portion import Place, Portion
from flows.core.imports.progress import Report
from flows.core.imports.run import Run
from flows.core.record import Output, Record
from flows.core.settings import load
from flows.engine import Task
from flows.engine.batch import Batch
from flows.engine.contents import Taken
from flows.engine.definitions import Definitions
from flows.engine.share import Share
from flows.engine.work import Finished
from flows.steps.asks import FIND_WORK, PARSE, STAGE_WORK
from flows.steps.find import Finder
from flows.steps.jobs import Jobs
from flows.steps.runs import run_of
from flows.steps.shelve import shelve
from flows.steps.stage import Stager
from flows.wire.messages import Message
from tests.kit.state import opened

LIMIT = 1 << 20
JOB_ID = "j-1"


class Office:
    """One partition of the flow, one job, and a folder that it may read. What the flow writes is in `written`, as far as its batches were committed."""

    def __init__(self, home: Path, **schedule: Any) -> None:
        """Take where it may write, and the schedule of the job."""
        self.clock = ManualClock()
        self.folder = home / "in"
        self.folder.mkdir(parents=True)
        self.written: list[Output] = []
        self.rows: list[tuple[str, bytes]] = []
        """Id and value of every row that went out."""
        self.uploads: list[Record] = []
        self.away = False
        """Whether every portion fails."""
        self._state = home / "state"
        self._config = Definitions(imports.FLOW.definitions, frozenset((JOB,)))
        settings = load({}, import_roots=str(self.folder))
        self._handlers: dict[str, Callable[[Task], bytes]] = {FIND_WORK: Finder(settings), STAGE_WORK: Stager(settings), PARSE: self._parse}
        self._read = 0
        self._begin()
        self.definition: dict[str, Any] = {
            "name": "orders",
            "job_type": "scheduled",
            "data_format": "csv",
            "source_config": {"file_path": f"{self.folder}/*.csv", "header": False},
            "schedule_config": schedule or {"frequency": "hourly"},
        }
        self.turn, self.extra, self.cancelled = 1, 0, False

    def _begin(self) -> None:
        self._share = Share("imports", opened(self._state, self.clock), 0, 1)
        self._step = Jobs(1)

    def crash(self) -> None:
        """End the worker and start it again: what was not committed is forgotten, work that was not finished is done once more."""
        self._share.close()
        self._begin()

    def close(self) -> None:
        """Let go of the state."""
        self._share.close()

    def order(self, only: Literal["rest", "rejected"] = "rest", **definition: Any) -> None:
        """Put the job on `xyra.config` as it stands now, with some things changed in its definition."""
        self.definition |= definition
        now_ms = self.clock.now_ms()
        told: dict[str, Any] = {"turn": self.turn, "extra": self.extra, "cancelled": self.cancelled, "only": only, "by": "test"}
        stored = StoredJob(job_id=JOB_ID, definition=JobDefinition.model_validate(self.definition), created_at_ms=now_ms, updated_at_ms=now_ms, **told)
        self.put(stored.model_dump_json(by_alias=True).encode())

    def put(self, stored: bytes) -> None:
        """Put something on `xyra.config` as the job."""
        self._config.apply(f"{JOB}/{JOB_ID}", stored, 0)

    def again(self, only: Literal["rest", "rejected"] = "rest") -> None:
        """Order another turn."""
        self.turn, self.cancelled = self.turn + 1, False
        self.order(only)

    def cancel(self) -> None:
        """Order the end."""
        self.cancelled = True
        self.order()

    def file(self, name: str, text: str) -> None:
        """Put a file where the job looks for it."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def tick(self, seconds: float = 0, *, commit: bool = True) -> None:
        """Let time pass, and the flow do what is due and what came in; without `commit` all of it is forgotten."""
        self.clock.advance(int(seconds * 1000))
        self._share.state.now_ms = self.clock.now_ms()
        _, due = self._share.take_due(self.clock.now_ms())
        fresh, read = self.uploads[self._read :], len(self.uploads)
        self._run(Taken({0: list(map(_message, fresh))} if fresh else {}, due=due), commit=commit)
        if commit:
            self._read = read

    def work(self, *, commit: bool = True) -> bool:
        """Do one piece of slow work, and let the flow take what came of it; tells whether there was any."""
        for item in list(self._share.work.unfinished())[:1]:
            payload = (self._share.state.internal.get(b"work/" + item.id) or b"").partition(b"\n")[2]
            self._share.state.internal.delete(b"work/" + item.id)
            result = None if self.away else self._handlers[item.kind](Task(item.id[1:], payload))
            error = "Unavailable: away" if self.away else None
            self._run(Taken({}, finished=[Finished(0, item.id[1:], item.kind, payload, result, error)]), commit=commit)
            return True
        return False

    def settle(self) -> None:
        """Go on until nothing is left to do at this time."""
        for _ in range(500):
            self.tick()
            if not self.work() and self._read == len(self.uploads):
                self.tick()
                if not list(self._share.work.unfinished()):
                    return
        raise AssertionError("it does not come to rest")

    @property
    def run(self) -> Run | None:
        """The job as it stands in state."""
        return run_of(self._batch(Taken({})), 0, JOB_ID)

    @property
    def report(self) -> Report:
        """The job's report, as last told."""
        return Report.of(orjson.loads(self.reports[-1]))

    @property
    def reports(self) -> list[bytes]:
        """All that was told of it."""
        return [out.value or b"" for out in self.written if out.topic == topics.STATUS.name and out.key == f"{JOB}/{JOB_ID}".encode()]

    def begun(self) -> list[tuple[int, int | None]]:
        """Return the runs that began, and when each was due, as they were told."""
        told = [Report.of(orjson.loads(text)) for text in self.reports]
        return list(dict.fromkeys((report.run, report.due_at_ms) for report in told if report.run))

    def _batch(self, taken: Taken) -> Batch:
        return Batch(taken, {0: self._share}, self._config, lambda _: LIMIT, self.clock.now_ms())

    def _run(self, taken: Taken, *, commit: bool) -> None:
        self._share.state.now_ms = self.clock.now_ms()
        batch = self._batch(taken)
        for step in (shelve(lambda: None), self._step):
            step(batch)
            batch.settle()
        if not commit:
            self.crash()
            return
        self.written += batch.published
        for many in [many for many in batch.many if many.topic != topics.REJECTS.name]:
            self.rows += [((dict(headers)["ce_id"] or b"").decode(), value) for value, headers in zip(many.values, many.headers, strict=True)]
        for out in batch.published:
            if out.topic == topics.UPLOADS.name:
                self.uploads.append(Record(out.topic, 0, len(self.uploads), self.clock.now_ms(), out.key, out.value, tuple(out.headers)))
        self._share.state.apply(len(self.written) + len(self.uploads))
        self._share.work.take_submitted()

    def _parse(self, task: Task) -> bytes:
        """Read a line as a row: `bad` is turned away, and nothing can be read behind `broken`."""
        asked: dict[str, Any] = orjson.loads(task.payload)
        pieces = [record for record in self.uploads[asked["first"] : asked["last"] + 1] if record.text("x-upload") == asked["upload"]]
        line = b"".join(record.value or b"" for record in pieces)[asked["at"] :].partition(b"\n")[0]
        at, ordinal = asked["at"] + len(line) + 1, asked["ordinal"]
        over = at >= asked["length"]
        place = Place(min(at, asked["length"]), b64decode(asked["state"]), asked["line"] + 1, ordinal + 1)
        rejects, values, ids = [], [], []
        if line == b"broken":
            return _packed(asked, Portion(place, False, 0, 0, 0, [], [], [], [], ("broken", "The file is broken.")))
        if line == b"bad":
            rejects = [Reject(ordinal, asked["line"], asked["at"], "", "bad", "", "", line)]
        elif line:
            values, ids = [line], [hashlib.sha256(f"{asked['sha256']}:{ordinal}".encode()).hexdigest().encode()]
        count = len(rejects) + len(values)
        return _packed(asked, Portion(place, over, count, 0, len(values), values, [None] * len(values), ids, rejects))


def _packed(asked: dict[str, Any], portion: Portion) -> bytes:
    offset: int = asked["from"]
    return offset.to_bytes(8, "big") + portion.pack()


def _message(record: Record) -> Message:
    headers: list[tuple[str, str | bytes | None]] = [*record.headers]
    stamp = (1, record.timestamp_ms)
    made = ClientMessage(topic=record.topic, partition=0, offset=record.offset, key=record.key, value=record.value, headers=headers, timestamp=stamp)
    return cast("Message", made)


def counts(report: Report) -> tuple[str, int, int, int, int]:
    """Return a report's status, its run, and rows read, accepted and rejected."""
    return report.status, report.run, report.rows_read, report.rows_accepted, report.rows_rejected


def files(report: Report) -> tuple[int, int, int]:
    """Return how many files a run has found, read and failed at."""
    return report.files.found, report.files.read, report.files.failed
