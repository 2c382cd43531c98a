"""The runs of import jobs in the state of their partition: kept, told on `xyra.status`, and ended."""

from typing import Final

from flows.core import topics
from flows.core.imports.jobs import JOB, StoredJob
from flows.core.imports.progress import Event, outcome, too_wrong, way_on
from flows.core.imports.run import KEPT_MS, RUN, Run
from flows.core.record import Output
from flows.engine import Batch
from flows.steps.memory import pass_on, remember_file, remember_run

DUE: Final = b"due/"
"""The timer by which a job's schedule is asked what comes next begins with it."""
UNREAD: Final = 'The rejected rows were run again, but the file was not read to its end; retry the job with {"only": "rest"} for what is left of it.'


def run_of(batch: Batch, number: int, job_id: str) -> Run | None:
    """Return how a job stands, None where nothing is known of it."""
    text = batch.state(number).get(RUN + job_id.encode())
    return Run.of(text) if text is not None else None


def under_way(batch: Batch, number: int, job_id: str) -> tuple[StoredJob, Run] | None:
    """Return a job and its run, None where there is none or it is over."""
    run, order = run_of(batch, number, job_id), batch.config.get(JOB, job_id)
    return (order, run) if run is not None and order is not None and not run.report.over else None


def upload_of(order: StoredJob, run: Run, file: int, anew: int = 0) -> str:
    """Return what the pieces of a file belong to that a job fetches itself: a name for each turn, run and file, and each time that one is begun anew."""
    return f"{order.job_id}.{order.turn}.{run.report.run}.{file}" + (f".{anew}" if anew else "")


def found_path(order: StoredJob, run: Run) -> str:
    """Return the path of a run's file where a pattern has found it; nothing where the job itself says which file it is."""
    return run.path if order.definition.pattern is not None else ""


def keep(batch: Batch, number: int, run: Run) -> None:
    """Put it into state and tell it; it is forgotten a while after nothing more can come of it."""
    batch.touch(number)
    key = run.report.job_id.encode()
    batch.state(number).put(RUN + key, run.text(), expires_at_ms=batch.now_ms + KEPT_MS if run.report.over and not run.scheduled else None)
    order = batch.config.get(JOB, run.report.job_id) if run.report.over else None
    if order is not None:
        pass_on(batch, number, order)
    batch.publish(Output(topics.STATUS.name, f"{JOB}/{run.report.job_id}".encode(), run.report.text()))


def end(batch: Batch, number: int, run: Run, event: Event, trouble: str = "") -> None:
    """End a run; nothing more is done for it in this turn, and its schedule is asked what comes next."""
    if run.scheduled:
        batch.timers(number).set(DUE + run.report.job_id.encode(), batch.now_ms)
    keep(batch, number, run.on(report=run.report.after(event, batch.now_ms, trouble)))


def finish(batch: Batch, number: int, order: StoredJob, run: Run) -> None:
    """End a run that has nothing left to do in this turn."""
    trouble = UNREAD
    if run.read:
        wrong = too_wrong(order.definition, run.counted, over=True)
        trouble = f"{wrong} {way_on(order.definition, run.report)}" if wrong is not None else ""
    files = run.report.files.one_failed(trouble, found_path(order, run)) if trouble else run.report.files.one_read()
    if not trouble:
        remember_file(batch, number, order, run)
        remember_run(batch, number, order, run)
    end(batch, number, run.on(report=run.report.now(batch.now_ms, files=files)), "fail" if trouble else outcome(run.report), trouble)
