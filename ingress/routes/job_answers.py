"""What is answered about import jobs."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final, Literal

from flows.core.clock import rfc3339
from flows.core.imports.history import Past
from flows.core.imports.jobs import JobFields, StoredJob
from flows.core.imports.progress import Status
from flows.core.imports.schedule import Schedule, upcoming
from flows.core.imports.uploads import Upload
from ingress.door import Door
from ingress.jobs import shown
from ingress.routes.delivery_answers import Answer, time_or_none

RUNS: Final = 5
"""Runs of a schedule that are shown before they come."""


class CheckpointAnswer(Answer):
    """Up to where the file has been dealt with."""

    file: str
    """Its sha256 where that is known, else its name; empty: nothing has been read."""
    offset: int
    """The byte that comes next."""
    line: int | None
    """The line that begins there, from 1, which is the next to be read: behind a file's last row, one more than it has lines. Null where lines mean nothing."""
    ordinal: int
    """The row that comes next, from 0."""
    path: str | None
    """Where the job has fetched the file; null: it was sent."""


class FilesAnswer(Answer):
    """The files of the run. Those that are neither read nor failed are still to come."""

    found: int
    read: int
    """To their ends."""
    failed: int
    """Not read to their ends, or not to be published: too much was wrong with them."""
    troubles: tuple[str, ...]
    """A sentence on each of the first ten that failed, or that the pattern meets and that are links, which are not followed nor counted."""


class RunAnswer(Answer):
    """A run of the schedule that is over."""

    run: int
    status: Status
    due_at: str | None
    """Null: it was asked for beside the schedule."""
    started_at: str | None
    ended_at: str | None
    rows_read: int
    rows_accepted: int
    rows_rejected: int
    rows_skipped: int
    files_found: int
    files_failed: int
    trouble: str | None

    @classmethod
    def of(cls, past: Past) -> "RunAnswer":
        """Show one."""
        told = asdict(past)
        times = {f"{name}_at": time_or_none(told.pop(f"{name}_at_ms")) for name in ("due", "started", "ended")}
        return cls(**told | times | {"trouble": past.trouble or None})


class JobProgress(Answer):
    """An import job, and how far it has come: of a scheduled one, its latest run. rows_read = rows_accepted + rows_rejected + rows_skipped."""

    job_id: str
    name: str
    job_type: Literal["one_time", "scheduled"]
    status: Status
    phase: str
    """What is being done, in a word or two; empty: the job is over."""
    turn: int
    """1, and one more with each retry."""
    run: int
    """Which run of its schedule all this is about; 0: none has begun, or it has no schedule."""
    due_at: str | None
    """When the schedule wanted this run; null: it was asked for beside it, or there is none."""
    files: FilesAnswer
    rows_read: int
    rows_accepted: int
    """They are on the job's topic, and stay there whatever becomes of the job."""
    rows_rejected: int
    rows_skipped: int
    bytes_read: int
    bytes_total: int | None
    """Null: not known, or not yet."""
    rate_rows_s: float
    rate_bytes_s: float
    eta_s: int | None
    """Null: not known, or over."""
    errors_by_code: dict[str, int]
    """Rejected rows by reason; a row may have several."""
    read_as: dict[str, Any]
    """How the file is read: `encoding`, `delimiter`, `sheet` and the like, as the job says or as was found out; empty before it is read.

    `looks_like`: what format the file is, where the job says another. `unknown_columns`: the first twenty columns that the job speaks of and no row has had;
    of JSON, NDJSON and XML they are told at the end of the file. `notes`: what one should know, such as that the encoding is a guess.
    """
    checkpoint: CheckpointAnswer
    trouble: str | None
    """Why it has failed, or does not get on."""
    created_at: str
    started_at: str | None
    ended_at: str | None
    updated_at: str
    next_run_at: str | None
    """When its schedule begins the next run."""
    runs_skipped: int
    """Runs of its schedule that were missed and are not made up for."""

    @classmethod
    def of(cls, door: Door, order: StoredJob) -> "JobProgress":
        """Show a job and how far it has come."""
        return cls(**_fields(door, order))


class JobAnswer(JobProgress):
    """An import job with its definition."""

    definition: dict[str, Any]
    """As it was ordered, with the rules of the last retry; what is secret in a URL is masked."""
    only: Literal["rest", "rejected"]
    """What the last retry was about."""
    next_runs: tuple[str, ...]
    """The next runs of its schedule, as the clock of its time zone says them."""
    past_runs: tuple[RunAnswer, ...]
    """The last ten runs of its schedule that are over, the latest first."""
    by: str
    """Who ordered it last."""

    @classmethod
    def of(cls, door: Door, order: StoredJob) -> "JobAnswer":
        """Show a job, how far it has come, and what it is."""
        schedule = order.definition.schedule_config if not order.cancelled else None
        runs = upcoming(Schedule.of(schedule), datetime.fromtimestamp(door.clock.now_ms() / 1000, UTC), RUNS) if schedule is not None else []
        told = _fields(door, order)
        if runs and told["next_run_at"] is None:
            told["next_run_at"] = rfc3339(int(runs[0].timestamp() * 1000))
        report = door.status.jobs.get(order.job_id)
        past = tuple(map(RunAnswer.of, report.past)) if report is not None else ()
        coming = tuple(run.isoformat() for run in runs)
        return cls(**told, definition=_definition(order), only=order.only, next_runs=coming, past_runs=past, by=order.by)


class Jobs(Answer):
    """A page of import jobs, the newest first."""

    items: tuple[JobProgress, ...]
    next_cursor: str | None
    """Give it as `cursor` to get the next page, which may come although this one is short; null: there is none."""


def _fields(door: Door, order: StoredJob) -> dict[str, Any]:
    report = shown(order, door.status.jobs.get(order.job_id))
    at, files = report.checkpoint, report.files
    same = ("job_id", "status", "phase", "turn", "run", "bytes_read", "bytes_total", "eta_s", "runs_skipped")
    rows = ("rows_read", "rows_accepted", "rows_rejected", "rows_skipped")
    return {name: getattr(report, name) for name in (*same, *rows)} | {
        "name": order.definition.name,
        "job_type": order.definition.job_type,
        "rate_rows_s": round(report.rate_rows_s, 1),
        "rate_bytes_s": round(report.rate_bytes_s, 1),
        "errors_by_code": dict(report.errors_by_code),
        "read_as": dict(report.read_as),
        "checkpoint": CheckpointAnswer(file=at.file, offset=at.offset, line=at.line or None, ordinal=at.ordinal, path=at.path or None),
        "files": FilesAnswer(found=files.found, read=files.read, failed=files.failed, troubles=files.told),
        "due_at": time_or_none(report.due_at_ms),
        "trouble": report.trouble or None,
        "created_at": rfc3339(order.created_at_ms),
        "started_at": time_or_none(report.started_at_ms),
        "ended_at": time_or_none(report.ended_at_ms),
        "updated_at": rfc3339(max(report.updated_at_ms, order.updated_at_ms)),
        "next_run_at": time_or_none(report.next_run_at_ms) if not order.cancelled else None,
    }


def _definition(order: StoredJob) -> dict[str, Any]:
    """Return it without what was not said; a rule that says null has meant it. What is secret in its source is masked where it is stored."""
    definition = order.definition
    return definition.model_dump(mode="json", by_alias=True, exclude_none=True) | {"transformation_rules": definition.transformation_rules}


async def upload_of(door: Door, wanted: JobFields) -> Upload | None:
    """Return the upload that a job reads; None: it reads none, or there is none of its id. Raises Unavailable."""
    upload_id = wanted.source_config.upload_id
    return await door.uploads.find(upload_id, door.status_topic) if upload_id is not None else None
