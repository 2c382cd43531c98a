"""Carries out import jobs: which are begun, gone on with, run once more and cancelled.

The partition that an upload's pieces stand on owns the jobs that read it; where it goes, they go. Jobs that remember earlier runs are owned by the partition
of their name, so that all of a name find one memory.
"""

from typing import Final

from flows.core.imports.history import Files
from flows.core.imports.jobs import JOB, StoredJob, home
from flows.core.imports.progress import Report
from flows.core.imports.run import KEPT_MS, NEVER, RUN, SCHEDULED, UNCHANGED, Run
from flows.core.imports.staged import Staged
from flows.core.murmur import partition_of
from flows.engine import Batch
from flows.steps.asks import advance, waiting
from flows.steps.due import first, take
from flows.steps.files import file_over
from flows.steps.portions import came_back
from flows.steps.runs import DUE, end, keep, run_of, under_way, upload_of
from flows.steps.shelve import arrived

FORGOTTEN: Final = "It is not known any more which rows of the job were rejected, because it was over too long ago. Order a new job."
LATER_MS: Final = 60_000
"""How soon a schedule is asked again whose job this version cannot read: a newer one may have written it, and be started here."""


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
        """Begin what was ordered or is due, end what was cancelled, go on with what came back or has arrived; costs nothing where there is nothing."""
        now = (batch.config.revision, batch.held)
        if now != self._seen:
            self._seen = now
            self._look(batch)
        for timer in batch.due:
            if timer.id.startswith(RUN):
                _go_on(batch, timer.partition, timer.id[len(RUN) :].decode())
            elif timer.id.startswith(DUE):
                _due(batch, timer.partition, timer.id[len(DUE) :].decode())
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
            if run is None:
                if batch.now_ms < order.updated_at_ms + KEPT_MS or (_scheduled(order) and not order.cancelled):
                    _begin(batch, number, order)
            elif order.cancelled:
                _cancel(batch, number, order, run)
            elif order.turn > run.report.turn:
                _turn(batch, number, order, run)
            elif order.extra > run.extra:
                take(batch, number, order, run)


def _scheduled(order: StoredJob) -> bool:
    return order.definition.job_type == "scheduled" and order.definition.schedule_config is not None


def _begin(batch: Batch, number: int, order: StoredJob) -> None:
    """Begin a job, or wait for what its schedule says; one that was cancelled before that is over."""
    report = Report(job_id=order.job_id, turn=order.turn, updated_at_ms=batch.now_ms)
    if order.cancelled:
        end(batch, number, first(order, report), "cancel")
    elif order.only == "rejected":
        end(batch, number, first(order, report), "fail", FORGOTTEN)
    elif _scheduled(order):
        take(batch, number, order, Run(report.now(batch.now_ms, phase=SCHEDULED), "", scheduled=True, seen_ms=order.updated_at_ms))
    else:
        advance(batch, number, order, first(order, report))


def _cancel(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """End what is under way, and have the schedule ask for nothing more; a turn that was asked for and taken back at once is over with it."""
    if run.report.over and not run.scheduled and run.report.turn >= order.turn:
        return
    name = run.report.job_id.encode()
    batch.work(number).cancel(RUN + name)
    batch.timers(number).cancel(RUN + name)
    batch.timers(number).cancel(DUE + name)
    report = run.report if run.report.over else run.report.after("cancel", batch.now_ms)
    keep(batch, number, run.on(report=report.now(batch.now_ms, turn=max(report.turn, order.turn), next_run_at_ms=None), scheduled=False))


def _turn(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """Do another turn of a job that is over: the rest of its file, or its rejected rows. Where there is neither, its schedule was cancelled, and goes on."""
    report = run.report
    if not report.over:  # a run has begun by the schedule while this was asked for: that is the next turn
        keep(batch, number, run.on(report=report.now(batch.now_ms, turn=order.turn)))
        return
    after = run.on(scheduled=_scheduled(order), seen_ms=run.seen_ms if run.scheduled else max(run.seen_ms, order.updated_at_ms))
    several = report.files.found > 1
    rejected = order.only == "rejected"
    rest = report.status == "cancelled" or (report.status == "failed" and not several)
    if report.status == "completed" or (several if rejected else not rest):
        take(batch, number, order, after)
        return
    files = report.files if several else Files(found=report.files.found, passed=report.files.passed)
    after = after.on(
        report=report.after("retry", batch.now_ms).now(batch.now_ms, turn=order.turn, files=files), failures=0, until=-1, asked=NEVER, mending=rejected
    )
    if _scheduled(order) and not report.run:
        take(batch, number, order, after)
    else:
        advance(batch, number, order, _staged_anew(order, after))


def _staged_anew(order: StoredJob, run: Run) -> Run:
    """Return a run whose file on disk is brought in from its beginning, unless it was to its end: what has come of it may not be what it is now."""
    if not run.path or run.staged is None or Staged.of(run.staged).over:
        return run
    return run.on(staged=None, upload=upload_of(order, run, run.file))


def _go_on(batch: Batch, number: int, job_id: str) -> None:
    """Go on with a job whose time has come, or for which something has arrived."""
    found = under_way(batch, number, job_id)
    if found is None:
        return
    order, run = found
    if run.read and run.report.phase == UNCHANGED:
        file_over(batch, number, order, run)
    else:
        advance(batch, number, order, run)


def _due(batch: Batch, number: int, job_id: str) -> None:
    """Ask a job's schedule what comes next."""
    run, order = run_of(batch, number, job_id), batch.config.get(JOB, job_id)
    if run is not None and order is not None and not order.cancelled:
        take(batch, number, order, run)
    elif run is not None and order is None and job_id in batch.config.names(JOB):
        batch.timers(number).set(DUE + job_id.encode(), batch.now_ms + LATER_MS)
