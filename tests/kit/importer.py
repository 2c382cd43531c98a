"""Imports on a real Kafka without an ingress: files are cut and written here, jobs put on the log, the flow runs in this process."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import orjson
from confluent_kafka import Message, Producer

from connectors.testing import ManualClock
from flows import imports
from flows.core import topics
from flows.core.clock import Clock
from flows.core.files.cutters import Format, Options, cutter
from flows.core.imports import rejects, shelf
from flows.core.imports.jobs import JOB, JobDefinition, Pieces, StoredJob
from flows.core.imports.progress import Report
from flows.core.imports.run import Run
from flows.core.imports.shelf import End, Shelf
from flows.core.record import CE_SOURCE, Output, Record
from flows.core.settings import load
from flows.engine import Flow
from flows.engine.checkpoint import nothing
from flows.engine.runtime import Engine
from flows.steps.jobs import read_job
from flows.steps.portions import AGAIN_MS
from flows.steps.shelve import PREFIX
from flows.wire.kafka import PARTITIONER, ensure_topics, partition_count
from flows.wire.readers import Readers
from tests.kit.engine import Bench
from tests.kit.settings import settings_for
from tests.kit.topics import Read

BLOCK = 64 * 1024
TRIED_AGAIN = "A portion could not be read, and is tried again"
READERS = Readers(load({}))
"""All workers of a test process have their files read by processes of one and the same, which has loaded once."""


@dataclass
class Importer:
    """A bench for imports."""

    bench: Bench
    producer: Producer = field(init=False)
    orders: dict[str, StoredJob] = field(default_factory=dict)
    """What was ordered, by job."""
    uploads: dict[str, Pieces] = field(default_factory=dict)
    """Where the uploads stand that came whole."""
    failures: dict[str, int] = field(default_factory=dict)
    """How often a portion could not be read, by job."""

    def __post_init__(self) -> None:
        """Make the client."""
        ensure_topics(self.bench.settings, topics.TOPICS)
        self.producer = Producer({"bootstrap.servers": self.bench.settings.kafka_bootstrap_servers, "partitioner": PARTITIONER, "message.max.bytes": 2_000_000})

    @property
    def flow(self) -> Flow:
        """The flow, under a name of its own, which knows of no jobs but those that were ordered here."""
        return replace(imports.prepared(READERS), name=self.bench.name, definitions={JOB: self._ours})

    def _ours(self, stored: bytes) -> StoredJob:
        order = read_job(stored)
        if order.job_id not in self.orders:
            raise ValueError(f"the job {order.job_id} was ordered elsewhere")
        return order

    def upload(self, data: bytes, form: Format = Format.CSV, options: Options = None, *, whole: bool = True) -> str:
        """Write a file as an ingress does, and return the upload's id; without `whole` the last piece and the end are kept back."""
        upload_id = f"u-{uuid4().hex[:12]}"
        cut = cutter(form, options)
        pieces = [piece for at in range(0, len(data), BLOCK) for piece in cut.feed(data[at : at + BLOCK])]
        pieces += cut.finish() if whole else []
        assert cut.refused is None, cut.refused
        places: list[tuple[int, int]] = []
        for piece in pieces:
            self.write(shelf.piece_output(upload_id.encode(), upload_id, piece), places)
        sha256 = hashlib.sha256(data).hexdigest()
        if whole:
            self.write(shelf.end_output(upload_id.encode(), upload_id, End(len(data), sha256)), places)
        assert self.producer.flush(30) == 0
        if whole:
            offsets = sorted(offset for _, offset in places)
            self.uploads[upload_id] = Pieces(partition=places[0][0], first=offsets[0], last=offsets[-1], length=len(data), sha256=sha256)
        return upload_id

    def write(self, output: Output, places: list[tuple[int, int]] | None = None) -> None:
        """Write one record; where it stands is put into `places`."""

        def note(_: object, message: Message) -> None:
            if places is not None:
                places.append((message.partition() or 0, message.offset() or 0))

        self.producer.produce(output.topic, output.value, output.key, headers=list(output.headers), on_delivery=note)
        self.producer.poll(0)

    def order(
        self,
        job_id: str,
        data_format: str = "csv",
        *,
        turn: int = 1,
        only: Literal["rest", "rejected"] = "rest",
        cancelled: bool = False,
        source: dict[str, Any],
        **fields: Any,
    ) -> StoredJob:
        """Put a job on the log of definitions."""
        fields.setdefault("target_topic", f"rows-{job_id}")
        told = {"name": job_id, "job_type": "one_time", "data_format": data_format, "source_config": source} | fields
        now_ms = self.bench.clock.now_ms()
        definition = JobDefinition.model_validate(told)
        upload_id = source.get("upload_id", "")
        stored = StoredJob(
            job_id=job_id,
            definition=definition,
            pieces=self.uploads.get(upload_id) if definition.remembers else None,
            turn=turn,
            only=only,
            standing=turn if only == "rejected" else 1,
            cancelled=cancelled,
            by="test",
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        self.write(Output(topics.CONFIG.name, f"{JOB}/{job_id}".encode(), stored.model_dump_json(by_alias=True).encode()))
        assert self.producer.flush(30) == 0
        self.orders[job_id] = stored
        return stored

    def job(self, data: bytes, data_format: str = "csv", form: Format | None = None, **fields: Any) -> str:
        """Upload a file and order a job on it; returns the job's id."""
        job_id = f"j-{uuid4().hex[:12]}"
        form = form or {"csv": Format.CSV, "tsv": Format.CSV, "ndjson": Format.LINES, "json": Format.JSON}.get(data_format, Format.RAW)
        source = {"upload_id": self.upload(data, form)} | fields.pop("source", {})
        self.order(job_id, data_format, source=source, **fields)
        return job_id

    def run(self, *job_ids: str, turn: int = 1, after: Callable[[int], None] = nothing, until: Callable[[Engine], bool] | None = None) -> list[Report]:
        """Run a worker until these jobs are over, with this turn of theirs, and return their reports. Of what is tried again, a clock that stands is moved."""
        enough = until or (lambda engine: all(self.over(engine, job_id, turn) for job_id in job_ids))

        def over(engine: Engine) -> bool:
            for job_id in self.orders:
                self._go_on(engine, job_id)
            return enough(engine)

        engine = self.bench.run(self.flow, after=after, until=over)
        assert engine is not None
        return [self.report(job_id) for job_id in job_ids]

    def _go_on(self, engine: Engine, job_id: str) -> None:
        """Move a clock that is moved by hand where a portion waits to be read again: a machine that is busy is reason enough."""
        run, clock = self.state(engine, job_id), self.bench.clock
        if run is not None and run.report.trouble.startswith(TRIED_AGAIN) and run.failures > self.failures.get(job_id, 0) and isinstance(clock, ManualClock):
            self.failures[job_id] = run.failures
            clock.advance(AGAIN_MS)

    def state(self, engine: Engine, job_id: str) -> Run | None:
        """Return how a job stands in a worker's state."""
        text = _kept(engine, b"run/" + job_id.encode())
        return Run.of(text) if text is not None else None

    def shelf(self, engine: Engine, upload_id: str) -> Shelf:
        """Return what of an upload has come by at a worker."""
        text = _kept(engine, PREFIX + upload_id.encode())
        return Shelf.of(text) if text is not None else Shelf()

    def over(self, engine: Engine, job_id: str, turn: int = 1) -> bool:
        """Tell whether nothing more comes of a job, in this turn of it or a later one."""
        run = self.state(engine, job_id)
        return run is not None and run.report.over and run.report.turn >= turn

    def report(self, job_id: str) -> Report:
        """Return a job's report as last told."""
        told = [read.value for read in self.bench.read(topics.STATUS.name) if read.key == f"{JOB}/{job_id}".encode()]
        return Report.of(orjson.loads(told[-1] or b""))

    def rows(self, job_id: str) -> list[Read]:
        """Return what a job has published; nothing where its topic was never made."""
        target = self.orders[job_id].definition.target_topic or topics.EVENTS.name
        if partition_count(self.bench.settings, target) is None:
            return []
        return [read for read in self.bench.read(target) if read.header(CE_SOURCE) == f"/imports/{job_id}"]

    def rejects(self, job_id: str) -> list[rejects.Turned]:
        """Return the rows a job has turned away."""
        reads = [read for read in self.bench.read(topics.REJECTS.name) if read.key == job_id.encode()]
        found = [rejects.read(Record(topics.REJECTS.name, 0, 0, 0, read.key, read.value, tuple(read.headers))) for read in reads]
        return [one for one in found if one is not None]


def _kept(engine: Engine, key: bytes) -> bytes | None:
    """Return what a worker has in state under a key, on whichever partition."""
    found = (share.state.user.get(key) for share in list(engine.assignment.shares.values()))
    return next((text for text in found if text is not None), None)


def importer(kafka: str, tmp_path: Path, clock: Clock | None = None, **more: str) -> Importer:
    """Make one, whose jobs may read files in `tmp_path / "in"`; `more` are settings."""
    (tmp_path / "in").mkdir(parents=True)
    settings = {"batch_import_upload_dir": str(tmp_path / "scratch"), "import_roots": str(tmp_path / "in")} | more
    return Importer(Bench(settings_for(kafka, tmp_path, **settings), clock=clock or ManualClock()))


def people(rows: int, bad: int = 0) -> bytes:
    """Write a CSV of so many rows, each `bad`-th of which has an age that is no number."""
    lines = [b"%d,name %d,%s" % (n, n, b"old" if bad and n % bad == 0 else b"%d" % (n % 90)) for n in range(rows)]
    return b"id,name,age\n" + b"\n".join(lines) + b"\n"


def counts(report: Report) -> tuple[str, int, int, int, int]:
    """Return a report's status and counts."""
    return report.status, report.rows_read, report.rows_accepted, report.rows_rejected, report.rows_skipped
