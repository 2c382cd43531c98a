"""Begins the runs of scheduled jobs: when they are due, or were asked for beside the schedule, and never two of a job at once.

What a schedule was asked last, and the timer for the next time, stand in state with the run itself. So a run begins once, wherever a worker dies and whatever
the clock is set to.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flows.core.imports.history import Files
from flows.core.imports.jobs import StoredJob
from flows.core.imports.progress import Report
from flows.core.imports.run import SCHEDULED, Run
from flows.core.imports.schedule import Schedule, next_run
from flows.core.imports.staged import Staged
from flows.core.imports.turns import take_turn
from flows.engine import Batch
from flows.steps.asks import advance
from flows.steps.files import at_file
from flows.steps.runs import DUE, keep

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)


def first(order: StoredJob, report: Report, **changes: object) -> Run:
    """Return a run at the beginning of its first file; that of a pattern is looked for first."""
    sought = order.definition.pattern is not None
    files = Files() if sought else Files(found=1)
    path = "" if sought else order.definition.source_config.file_path or ""
    return at_file(order, Run(report.now(report.updated_at_ms, files=files), ""), 0, path).on(**changes)


def take(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """Begin the run that a job's schedule asks for now, or wait until it asks again; while a run goes on nothing is done, since its end asks."""
    config = order.definition.schedule_config
    waits = run.report.over or not run.report.run
    if config is None or not run.scheduled or not waits:
        return
    schedule, now = Schedule.of(config), _time(batch.now_ms)
    turn = take_turn(schedule, _time(run.seen_ms), now, config.catch_up, config.catch_up_most)
    report = run.report.now(batch.now_ms, turn=order.turn, runs_skipped=run.report.runs_skipped + turn.skipped)
    timer, seen_ms = DUE + order.job_id.encode(), _ms(turn.seen)
    if turn.run is not None or order.extra > run.extra:
        following = next_run(schedule, max(turn.seen, now))
        begun = report.next_run(batch.now_ms, _ms(turn.run) if turn.run is not None else None)
        begun = begun.now(batch.now_ms, next_run_at_ms=_ms(following) if following is not None else None)
        batch.timers(number).cancel(timer)
        advance(batch, number, order, first(order, begun, scheduled=True, seen_ms=seen_ms, extra=order.extra, mended=run.mended, former=_former(order, run)))
        return
    if turn.next is not None:
        batch.timers(number).set(timer, _ms(turn.next))
    phase = report.phase if report.run else SCHEDULED
    next_ms = _ms(turn.next) if turn.next is not None else None
    keep(batch, number, run.on(report=report.now(batch.now_ms, phase=phase, next_run_at_ms=next_ms), seen_ms=seen_ms))


def _former(order: StoredJob, run: Run) -> Mapping[str, Any]:
    """Return what tells the state of a URL's file that the last run has read to its end; nothing after one that failed, so that it is read again."""
    if order.definition.source_config.url is None or run.report.status not in {"completed", "completed_with_errors"}:
        return {}
    staged = Staged.of(run.staged) if run.staged is not None else Staged()
    return {"etag": staged.etag, "modified": staged.modified, "version": [*staged.version]} if staged.over else run.former


def _time(ms: int) -> datetime:
    return EPOCH + ms * MILLISECOND


def _ms(time: datetime) -> int:
    return (time - EPOCH) // MILLISECOND
