"""Carries out import jobs: a file is read portion by portion as slow work, and what comes of it published.

A portion's rows, its rejects, the place where the next one begins and the report are one transaction with the batch they happen to
fall into. So a worker that dies in the middle repeats nothing and loses nothing: what was not committed is read again. The
partition that an upload's pieces stand on owns the jobs that read it; where it goes, they go.
"""

from base64 import b64encode
from typing import Any, Final

import orjson

from flows.core import topics
from flows.core.imports.again import Again
from flows.core.imports.jobs import JOB, StoredJob
from flows.core.imports.portion import BEGINNING, Portion
from flows.core.imports.progress import MOST_TEXT, Checkpoint, Event, Report, outcome, too_wrong
from flows.core.imports.run import AGAIN, CHECK, READ, STAGE, WAIT, Run
from flows.core.imports.shelf import End, Shelf, end_output, piece_output
from flows.core.murmur import partition_of
from flows.core.record import Output
from flows.engine import Batch, Finished
from flows.steps import stage
from flows.steps.parse import OFFSET_BYTES
from flows.steps.publish import gain_of, publish_rejects, publish_rows, target_of
from flows.steps.shelve import arrived, shelf_of

STAGE_WORK: Final = "stage"
"""The slow work that brings a file in: a request in (`stage.ask`), `stage.Brought` out."""
PARSE: Final = "parse"
"""The slow work that reads a portion: a request in (`ask`), the offset of the next piece and a `Portion` out."""
ANEW: Final = "anew"
"""The slow work that runs rejected rows again: a request in (`ask_again`), an `Again` out."""
DIED: Final = "ReaderDied"
"""What an error begins with when the process that read has died."""
MOST_DEATHS: Final = 3
RUN: Final = b"run/"
WAKE: Final = b"wake/"
AGAIN_MS: Final = 2_000
MOST_FAILURES: Final = 60
"""Attempts to read one portion: two minutes of a broker that does not answer, or a reader that dies."""
FORGOTTEN: Final = "It is not known any more which rows of the job were rejected, because it was over too long ago. Order a new job."
UNREAD: Final = 'The rejected rows were run again, but the file was not read to its end; retry the job with {"only": "rest"} for what is left of it.'
KEPT_MS: Final = 30 * topics.DAY_MS
"""How long it is remembered that a job is over."""
LANE: Final = "parse"


def read_job(stored: bytes) -> StoredJob:
    """Read a job as it stands on `xyra.config`; raises ValueError when it is none."""
    return StoredJob.model_validate_json(stored)


def home(order: StoredJob) -> str:
    """Return the key of the pieces that a job reads: the upload's id, or its own where it fetches the file itself."""
    return order.definition.source_config.upload_id or order.job_id


class Jobs:
    """The step; it comes behind `shelve`."""

    def __init__(self, partitions: int, slots: int) -> None:
        """Take how many partitions share the uploads, and how many portions a worker reads at once."""
        self._partitions = partitions
        self._slots = slots
        self._seen: tuple[int, frozenset[int]] = (0, frozenset())

    def __call__(self, batch: Batch) -> None:
        """Begin what was ordered, end what was cancelled, go on with what came back or has arrived; costs nothing where there is nothing."""
        now = (batch.config.revision, batch.held)
        if now != self._seen:
            self._seen = now
            self._look(batch)
        for timer in batch.due:
            if timer.id.startswith(RUN):
                self._go_on(batch, timer.partition, timer.id[len(RUN) :].decode())
        for finished in batch.finished:
            self._came_back(batch, finished)
        for number, upload in arrived(batch):
            for key, _ in list(batch.state(number).scan(WAKE + upload.encode() + b"\0")):
                self._go_on(batch, number, key.rpartition(b"\0")[2].decode())

    def _look(self, batch: Batch) -> None:
        for job_id in batch.config.names(JOB):
            order: StoredJob | None = batch.config.get(JOB, job_id)
            number = partition_of(home(order).encode(), self._partitions) if order is not None else -1
            if order is None or number not in batch.held:
                continue
            text = batch.state(number).get(RUN + job_id.encode())
            run = Run.of(text) if text is not None else None
            if run is None and batch.now_ms < order.updated_at_ms + KEPT_MS:
                self._begin(batch, number, order)
            elif run is not None and order.cancelled and not run.report.over:
                batch.work(number).cancel(RUN + job_id.encode())
                batch.timers(number).cancel(RUN + job_id.encode())
                self._keep(batch, number, run.on(report=run.report.after("cancel", batch.now_ms)))
            elif run is not None and order.turn > run.report.turn and run.report.over:
                self._advance(batch, number, order, run.on(report=run.report.after("retry", batch.now_ms), failures=0, until=-1))

    def _begin(self, batch: Batch, number: int, order: StoredJob) -> None:
        """Begin a job; one that was cancelled before that is over."""
        report = Report(job_id=order.job_id, turn=order.turn, updated_at_ms=batch.now_ms)
        run = Run(report, order.definition.source_config.upload_id or f"{order.job_id}.{order.turn}")
        if order.cancelled:
            self._end(batch, number, run, "cancel", "")
        elif order.only == "rejected":
            self._end(batch, number, run, "fail", FORGOTTEN)
        else:
            self._advance(batch, number, order, run)

    def _go_on(self, batch: Batch, number: int, job_id: str) -> None:
        """Go on with a job whose time has come, or for which something has arrived."""
        under_way = self._under_way(batch, number, job_id)
        if under_way is not None:
            self._advance(batch, number, *under_way)

    def _came_back(self, batch: Batch, finished: Finished) -> None:
        """Take what slow work has come to, or have it done again after a while."""
        number = finished.partition
        under_way = self._under_way(batch, number, finished.id[len(RUN) :].decode())
        if under_way is None:
            return
        order, run = under_way
        if finished.result is None:
            self._failed(batch, number, run, finished.error or "")
        elif finished.kind == STAGE_WORK:
            self._brought(batch, number, order, run, stage.Brought.unpack(finished.result))
        elif finished.kind == ANEW:
            again = Again.unpack(finished.result)
            self._came(batch, number, order, run, again.portion, again)
        else:
            offset, packed = finished.result[:OFFSET_BYTES], finished.result[OFFSET_BYTES:]
            self._came(batch, number, order, run, Portion.unpack(packed), int.from_bytes(offset, "big"))

    def _under_way(self, batch: Batch, number: int, job_id: str) -> tuple[StoredJob, Run] | None:
        """Return a job and its run, None where there is none or it is over."""
        text, order = batch.state(number).get(RUN + job_id.encode()), batch.config.get(JOB, job_id)
        if text is None or order is None or (run := Run.of(text)).report.over:
            return None
        return order, run

    def _advance(self, batch: Batch, number: int, order: StoredJob, run: Run) -> None:
        """Have the next portion read, or wait until there is one."""
        if order.only == "rejected":
            self._ask(batch, number, run, ANEW, ask_again(order, run, batch.limit(target_of(order))), phase=AGAIN)
            return
        if run.read:
            self._finish(batch, number, order, run.on(report=run.report.after("start", batch.now_ms)))
            return
        staged = stage.Staged.of(run.staged) if run.staged is not None else stage.Staged()
        source = order.definition.source_config
        if source.file_path is not None and not staged.over:
            asked = stage.ask(source.model_dump(mode="json"), order.definition.data_format, staged)
            self._ask(batch, number, run.on(staged=staged.told()), STAGE_WORK, asked, phase=STAGE)
            return
        wake = WAKE + run.upload.encode() + b"\0" + order.job_id.encode()
        shelf = shelf_of(batch, number, run.upload)
        if not shelf.whole:
            batch.state(number).put(wake, b"", expires_at_ms=batch.now_ms + topics.UPLOADS.retention_ms)
            self._keep(batch, number, run.on(report=run.report.now(batch.now_ms, phase=WAIT)))
            return
        batch.state(number).delete(wake)
        first = CHECK if order.definition.all_or_nothing else READ
        phase = run.report.phase if run.report.phase in {CHECK, READ} else first
        self._ask(batch, number, run, PARSE, ask(order, run, shelf, number, batch.limit(target_of(order))), phase=phase, bytes_total=shelf.length)

    def _ask(self, batch: Batch, number: int, run: Run, kind: str, asked: bytes, **told: Any) -> None:
        """Have slow work done for a job that begins with it, or goes on."""
        report = run.report.after("start", batch.now_ms) if run.report.status == "queued" else run.report
        batch.work(number).submit(RUN + report.job_id.encode(), kind, asked, lane=LANE, slots=self._slots)
        self._keep(batch, number, run.on(report=report.now(batch.now_ms, **told)))

    def _brought(self, batch: Batch, number: int, order: StoredJob, run: Run, brought: stage.Brought) -> None:
        """Publish the pieces of a file that were brought in; they come back as those of an upload do."""
        if brought.failed is not None:
            self._end(batch, number, run, "fail", brought.failed)
            return
        staged, key = brought.staged, home(order).encode()
        for piece in brought.pieces:
            batch.publish(piece_output(key, run.upload, piece, staged.cut.encode()))
        if staged.over:
            batch.publish(end_output(key, run.upload, End(staged.at, staged.sha256)))
        self._advance(batch, number, order, run.on(staged=staged.told(), failures=0))

    def _came(self, batch: Batch, number: int, order: StoredJob, run: Run, portion: Portion, behind: Again | int) -> None:
        """Publish a portion; `behind` says what was run again, or the offset of the piece that comes next."""
        limit = batch.limit(target_of(order))
        if not limit:
            self._end(batch, number, run, "fail", f"The topic {target_of(order)} cannot be made; choose another target_topic, or have it made.")
            return
        again = isinstance(behind, Again)
        if max(map(len, portion.values), default=0) > limit:
            self._end(batch, number, run, "fail", f"{target_of(order)} takes records of {limit:,} bytes only since its settings were changed; retry the job.")
            return
        if portion.unreadable is not None and again:
            self._end(batch, number, run, "fail", portion.unreadable[1])
            return
        checking = run.report.phase == CHECK
        if not checking:
            publish_rows(batch, order, portion)
        if checking or again or not order.definition.all_or_nothing:
            publish_rejects(batch, order, portion)
        if isinstance(behind, Again):
            self._mended(batch, number, order, run, behind)
        else:
            self._after(batch, number, order, self._counted(batch, number, run, portion, behind), portion)

    def _mended(self, batch: Batch, number: int, order: StoredJob, run: Run, again: Again) -> None:
        """Count rows that were run again, and go on with the next of them."""
        report = run.report.plus(again.gain(run.report.rows_rejected), run.report.checkpoint, batch.now_ms)
        after = run.on(report=report, mended=again.next, until=again.end, failures=0)
        if not again.portion.over:
            self._advance(batch, number, order, after)
        else:
            self._finish(batch, number, order, after)

    def _finish(self, batch: Batch, number: int, order: StoredJob, run: Run) -> None:
        """End a job that has nothing left to do in this turn."""
        trouble = (too_wrong(order.definition, run.report, over=True) if run.read else UNREAD) or ""
        self._end(batch, number, run, "fail" if trouble else outcome(run.report), trouble)

    def _counted(self, batch: Batch, number: int, run: Run, portion: Portion, offset: int) -> Run:
        """Return a run behind a portion."""
        place, sha256 = portion.place, shelf_of(batch, number, run.upload).sha256
        at = Checkpoint(sha256, place.at, place.line, place.ordinal)
        report = run.report.plus(gain_of(portion, max(0, place.at - run.report.bytes_read)), at, batch.now_ms)
        return run.on(report=report, place=place, next=offset, failures=0, read=portion.over and report.phase != CHECK)

    def _after(self, batch: Batch, number: int, order: StoredJob, run: Run, portion: Portion) -> None:
        """Decide what follows a portion."""
        if portion.unreadable is not None:
            self._end(batch, number, run, "fail", portion.unreadable[1])
        elif (trouble := too_wrong(order.definition, run.report, over=portion.over)) is not None:
            self._end(batch, number, run, "fail", trouble)
        elif not portion.over:
            self._advance(batch, number, order, run)
        elif run.report.phase == CHECK:
            self._advance(batch, number, order, run.on(report=run.report.anew(batch.now_ms, phase=READ), place=BEGINNING, next=-1))
        else:
            self._end(batch, number, run, outcome(run.report), "")

    def _failed(self, batch: Batch, number: int, run: Run, error: str) -> None:
        """Try a portion again after a while, unless it was tried too often."""
        failures = run.failures + 1
        if failures >= (MOST_DEATHS if error.startswith(DIED) else MOST_FAILURES):
            self._end(batch, number, run.on(failures=failures), "fail", f"A portion could not be read {failures} times: {error}")
            return
        batch.timers(number).set(RUN + run.report.job_id.encode(), batch.now_ms + AGAIN_MS)
        self._keep(
            batch,
            number,
            run.on(failures=failures, report=run.report.now(batch.now_ms, trouble=f"A portion could not be read, and is tried again: {error}"[:MOST_TEXT])),
        )

    def _end(self, batch: Batch, number: int, run: Run, event: Event, trouble: str) -> None:
        self._keep(batch, number, run.on(report=run.report.after(event, batch.now_ms, trouble)))

    def _keep(self, batch: Batch, number: int, run: Run) -> None:
        """Put it into state and tell it."""
        batch.touch(number)
        key = run.report.job_id.encode()
        batch.state(number).put(RUN + key, run.text(), expires_at_ms=batch.now_ms + KEPT_MS if run.report.over else None)
        batch.publish(Output(topics.STATUS.name, f"{JOB}/{run.report.job_id}".encode(), run.report.text()))


def ask(order: StoredJob, run: Run, shelf: Shelf, partition: int, most_bytes: int) -> bytes:
    """Return the request for a run's next portion."""
    return orjson.dumps(
        basis(order, run, shelf.sha256, most_bytes)
        | {
            "upload": run.upload,
            "partition": partition,
            "first": shelf.first,
            "from": run.next if run.next >= 0 else shelf.first,
            "last": shelf.last,
            "length": shelf.length,
        }
    )


def ask_again(order: StoredJob, run: Run, most_bytes: int) -> bytes:
    """Return the request to run the next of a job's rejected rows again."""
    return orjson.dumps(basis(order, run, run.report.checkpoint.file, most_bytes) | {"from": run.mended, "end": run.until})


def basis(order: StoredJob, run: Run, sha256: str, most_bytes: int) -> dict[str, Any]:
    """Return what both requests have: how the job's rows are read, and where that stands."""
    return {
        "job": order.model_dump(mode="json", by_alias=True),
        "most_bytes": most_bytes,
        "sha256": sha256,
        "at": run.place.at,
        "line": run.place.line,
        "ordinal": run.place.ordinal,
        "state": b64encode(run.place.state).decode(),
    }
