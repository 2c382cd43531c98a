"""Carries out import jobs: which are begun, gone on with, run once more and cancelled.

The partition that an upload's pieces stand on owns the jobs that read it; where it goes, they go. Jobs that remember earlier runs are owned by the partition
of their name, so that all of a name find one memory.
"""

from typing import Final

from flows.core.imports.jobs import JOB, StoredJob, home
from flows.core.imports.progress import Report
from flows.core.imports.run import KEPT_MS, NEVER, RUN, Run
from flows.core.murmur import partition_of
from flows.engine import Batch
from flows.steps.asks import advance, waiting
from flows.steps.portions import came_back
from flows.steps.runs import end, keep, run_of, under_way
from flows.steps.shelve import arrived

FORGOTTEN: Final = "It is not known any more which rows of the job were rejected, because it was over too long ago. Order a new job."


def read_job(stored: bytes) -> StoredJob:
    """Read a job as it stands on `xyra.config`; raises ValueError when it is none."""
    return StoredJob.model_validate_json(stored)


class Jobs:
    """The step; it comes behind `shelve`."""

    def __init__(self, partitions: int) -> None:
        """Take how many partitions share the uploads."""
        self._partitions = partitions
        self._seen: tuple[int, frozenset[int]] = (0, frozenset())

    def __call__(self, batch: Batch) -> None:
        """Begin what was ordered, end what was cancelled, go on with what came back or has arrived; costs nothing where there is nothing."""
        now = (batch.config.revision, batch.held)
        if now != self._seen:
            self._seen = now
            self._look(batch)
        for timer in batch.due:
            if timer.id.startswith(RUN):
                _go_on(batch, timer.partition, timer.id[len(RUN) :].decode())
        for finished in batch.finished:
            came_back(batch, finished)
        for number, upload in arrived(batch):
            for job_id in waiting(batch, number, upload):
                _go_on(batch, number, job_id)

    def _look(self, batch: Batch) -> None:
        for job_id in batch.config.names(JOB):
            order: StoredJob | None = batch.config.get(JOB, job_id)
            number = partition_of(home(order).encode(), self._partitions) if order is not None else -1
            if order is None or number not in batch.held:
                continue
            run = run_of(batch, number, job_id)
            if run is None and batch.now_ms < order.updated_at_ms + KEPT_MS:
                _begin(batch, number, order)
            elif run is not None and order.cancelled and not run.report.over:
                batch.work(number).cancel(RUN + job_id.encode())
                batch.timers(number).cancel(RUN + job_id.encode())
                keep(batch, number, run.on(report=run.report.after("cancel", batch.now_ms)))
            elif run is not None and order.turn > run.report.turn and run.report.over:
                advance(batch, number, order, run.on(report=run.report.after("retry", batch.now_ms), failures=0, until=-1, asked=NEVER))


def _begin(batch: Batch, number: int, order: StoredJob) -> None:
    """Begin a job; one that was cancelled before that is over."""
    report = Report(job_id=order.job_id, turn=order.turn, updated_at_ms=batch.now_ms)
    run = Run(report, order.definition.source_config.upload_id or f"{order.job_id}.{order.turn}")
    if order.cancelled:
        end(batch, number, run, "cancel")
    elif order.only == "rejected":
        end(batch, number, run, "fail", FORGOTTEN)
    else:
        advance(batch, number, order, run)


def _go_on(batch: Batch, number: int, job_id: str) -> None:
    """Go on with a job whose time has come, or for which something has arrived."""
    found = under_way(batch, number, job_id)
    if found is not None:
        advance(batch, number, *found)
