"""How far a job has come: its report as it stands on `xyra.status`, the statuses it goes through, and when too much is wrong with a file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple

import orjson

from flows.core.errors import Conflict
from flows.core.imports.history import Files, Past, behind, read_past
from flows.core.imports.jobs import JobFields
from flows.core.imports.rates import Rates

Status = Literal["queued", "running", "completed", "completed_with_errors", "failed", "cancelled"]
Event = Literal["start", "complete", "complete_with_errors", "fail", "cancel", "retry", "due"]
"""`due`: a schedule begins its next run."""
MOVES: Final[Mapping[tuple[Status, Event], Status]] = {
    ("queued", "start"): "running",
    ("queued", "fail"): "failed",
    ("queued", "cancel"): "cancelled",
    ("running", "complete"): "completed",
    ("running", "complete_with_errors"): "completed_with_errors",
    ("running", "fail"): "failed",
    ("running", "cancel"): "cancelled",
    ("completed", "due"): "queued",
    ("completed_with_errors", "due"): "queued",
    ("completed_with_errors", "retry"): "queued",
    ("failed", "due"): "queued",
    ("failed", "retry"): "queued",
    ("cancelled", "retry"): "queued",
}
"""Every move there is. A cancelled job is never due again; who retries it takes the cancelling back."""
ENDED: Final[frozenset[Status]] = frozenset({"completed", "completed_with_errors", "failed", "cancelled"})
MOST_CODES: Final = 64
OTHER: Final = "other"
"""Under this code count the rejects of further codes, where there are more than `MOST_CODES`."""
MOST_TEXT: Final = 1000
_ASKED: Final[Mapping[Event, str]] = {"start": "started", "cancel": "cancelled", "retry": "retried", "due": "started by its schedule"}


def move(status: Status, event: Event) -> Status:
    """Return the status that follows.

    Raises:
        Conflict: nothing of that kind can happen now; the text says what can.

    """
    after = MOVES.get((status, event))
    if after is None:
        possible = sorted({_ASKED[known] for before, known in MOVES if before == status and known in {"cancel", "retry"}})
        raise Conflict(f"The job is {status}: it cannot be {_ASKED.get(event, event)}" + (f"; it can be {' or '.join(possible)}." if possible else "."))
    return after


class Checkpoint(NamedTuple):
    """Up to where a file has been dealt with; what comes next begins here."""

    file: str = ""
    """Which one: its sha256 where that is known, else its name."""
    offset: int = 0
    """Bytes."""
    line: int = 0
    """The line that begins there, from 1; 0 where lines mean nothing."""
    ordinal: int = 0
    """The row that comes next, from 0."""
    path: str = ""
    """Where the job has fetched the file; empty: it was sent."""


BEGINNING: Final = Checkpoint()


class Gain(NamedTuple):
    """What one portion has brought. One of rows that were rejected before takes from `rejected` and `codes` what it adds elsewhere."""

    accepted: int
    rejected: int
    skipped: int
    bytes_read: int
    codes: Mapping[str, int]
    """Rejects by their code; a row may have several."""


NOTHING: Final = Gain(0, 0, 0, 0, {})
NONE: Final = Files()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How far a job has come. rows_read = rows_accepted + rows_rejected + rows_skipped, always: no other report can be made."""

    job_id: str
    status: Status = "queued"
    turn: int = 1
    """The retry it is about."""
    run: int = 0
    """Which run of its schedule the counts are of; 0: none has begun, or it has no schedule."""
    due_at_ms: int | None = None
    """When the schedule wanted this run; None: nobody but who asked for it."""
    files: Files = NONE
    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0
    bytes_read: int = 0
    bytes_total: int | None = None
    """None: not known, while an upload is still coming in or a source does not say."""
    rate_rows_s: float = 0.0
    rate_bytes_s: float = 0.0
    eta_s: int | None = None
    """None: not known, or over."""
    phase: str = "waiting"
    """What is being done, in a word or two."""
    errors_by_code: Mapping[str, int] = field(default_factory=dict)
    checkpoint: Checkpoint = BEGINNING
    read_as: Mapping[str, Any] = field(default_factory=dict)
    """How the file is read, by the names of `source_config`: as the job says, or as was found out."""
    trouble: str = ""
    """Why it failed, or does not get on."""
    started_at_ms: int | None = None
    ended_at_ms: int | None = None
    next_run_at_ms: int | None = None
    """When its schedule begins the next run."""
    runs_skipped: int = 0
    """Runs of its schedule that were missed and are not made up for."""
    past: Sequence[Past] = ()
    """The last runs of its schedule that are over, the latest first."""
    updated_at_ms: int = 0

    def __post_init__(self) -> None:
        """Refuse counts that do not add up: raises ValueError."""
        counts = (self.rows_accepted, self.rows_rejected, self.rows_skipped)
        if min(*counts, self.bytes_read, self.runs_skipped) < 0 or self.rows_read != sum(counts):
            raise ValueError(f"{self.rows_read} rows were read, but {' + '.join(map(str, counts))} were accepted, rejected and skipped")
        if len(self.errors_by_code) > MOST_CODES + 1:
            raise ValueError(f"there are more than {MOST_CODES} codes and {OTHER!r}")

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it unless somebody asks for it."""
        return self.status in ENDED

    def after(self, event: Event, now_ms: int, trouble: str = "") -> "Report":
        """Return it after something has happened to the job; raises Conflict where that cannot be."""
        status = move(self.status, event)
        ended = status in ENDED
        began = now_ms if event == "start" and self.started_at_ms is None else self.started_at_ms
        after = replace(
            self,
            status=status,
            trouble=trouble[:MOST_TEXT],
            started_at_ms=began,
            ended_at_ms=now_ms if ended else None,
            updated_at_ms=now_ms,
            rate_rows_s=0.0,
            rate_bytes_s=0.0,
            eta_s=None,
            turn=self.turn + (event == "retry"),
        )
        return replace(after, past=behind(self.past, Past.of(after, after.files, after.trouble, now_ms))) if ended and self.run else after

    def now(self, now_ms: int, **changes: Any) -> "Report":
        """Return it with what is being done, or known, now; nothing was counted."""
        return replace(self, updated_at_ms=now_ms, **changes)

    def anew(self, now_ms: int, phase: str, before: Gain = NOTHING) -> "Report":
        """Return it for a second reading of the same file, which counts on from what was counted before the file."""
        return replace(
            self,
            phase=phase,
            rows_read=before.accepted + before.rejected + before.skipped,
            rows_accepted=before.accepted,
            rows_rejected=before.rejected,
            rows_skipped=before.skipped,
            bytes_read=before.bytes_read,
            errors_by_code=before.codes,
            checkpoint=BEGINNING,
            trouble="",
            rate_rows_s=0.0,
            rate_bytes_s=0.0,
            eta_s=None,
            updated_at_ms=now_ms,
        )

    def withheld(self, before: Gain) -> "Report":
        """Return it for a file of which nothing goes out: the rows that had passed are skipped ones."""
        passed = self.rows_accepted - before.accepted
        return replace(self, rows_accepted=before.accepted, rows_skipped=self.rows_skipped + passed)

    def next_run(self, now_ms: int, due_ms: int | None = None) -> "Report":
        """Return the report of a schedule's next run, which counts from nothing; raises Conflict while the run before goes on.

        Args:
            now_ms: the time.
            due_ms: when the schedule wanted it; None: it was asked for beside the schedule.

        """
        return Report(
            job_id=self.job_id,
            status=self.status if self.status == "queued" and not self.run else move(self.status, "due"),
            turn=self.turn,
            run=self.run + 1,
            due_at_ms=due_ms,
            runs_skipped=self.runs_skipped,
            past=self.past,
            updated_at_ms=now_ms,
        )

    @property
    def gained(self) -> Gain:
        """What it has counted so far."""
        return Gain(self.rows_accepted, self.rows_rejected, self.rows_skipped, self.bytes_read, self.errors_by_code)

    def since(self, before: Gain) -> "Report":
        """Return it with the rows alone that were counted since: those of one file of several."""
        accepted, rejected, skipped = (now - then for now, then in zip(self.gained[:3], before[:3], strict=True))
        return replace(self, rows_read=accepted + rejected + skipped, rows_accepted=accepted, rows_rejected=rejected, rows_skipped=skipped)

    def plus(self, gain: Gain, checkpoint: Checkpoint, now_ms: int) -> "Report":
        """Return it after one more portion."""
        rows = gain.accepted + gain.rejected + gain.skipped
        rates = Rates(self.rate_rows_s, self.rate_bytes_s).after(rows, gain.bytes_read, now_ms - self.updated_at_ms)
        bytes_read = self.bytes_read + gain.bytes_read
        left = self.bytes_total - bytes_read if self.bytes_total is not None else None
        return replace(
            self,
            rows_read=self.rows_read + rows,
            rows_accepted=self.rows_accepted + gain.accepted,
            rows_rejected=self.rows_rejected + gain.rejected,
            rows_skipped=self.rows_skipped + gain.skipped,
            bytes_read=bytes_read,
            rate_rows_s=rates.rows,
            rate_bytes_s=rates.size,
            eta_s=round(max(left, 0) / rates.size) if left is not None and rates.size >= 1 else None,
            errors_by_code=_added(self.errors_by_code, gain.codes),
            checkpoint=checkpoint,
            updated_at_ms=now_ms,
        )

    def text(self) -> bytes:
        """Write it as it stands in state and on `xyra.status`."""
        return orjson.dumps(asdict(self) | {"checkpoint": self.checkpoint._asdict()})

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Report":
        """Make one of the JSON that `text` wrote; raises TypeError, KeyError or ValueError when it is none."""
        parts = {"checkpoint": Checkpoint(**found["checkpoint"]), "files": Files.of(found["files"]), "past": read_past(found["past"])}
        return cls(**{**found, **parts})


def _added(before: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    counts = dict(before)
    for code, count in more.items():
        name = code if code in counts or len(counts.keys() - {OTHER}) < MOST_CODES else OTHER
        counts[name] = counts.get(name, 0) + count
    return {code: count for code, count in counts.items() if count > 0}


def too_wrong(job: JobFields, report: Report, *, over: bool) -> str | None:
    """Say why a job has to fail for the rows that were rejected; None: it need not.

    Args:
        job: its thresholds.
        report: what was read so far.
        over: the file has been read to its end, so that every row counts.

    """
    rejected, read = report.rows_rejected, report.rows_read
    were = "was" if rejected == 1 else "were"
    rejects = f"{rejected:,} {'row' if rejected == 1 else 'rows'} {were} rejected"
    if job.max_errors is not None and rejected > job.max_errors:
        return f"{rejects}, and max_errors allows {job.max_errors:,}."
    if job.max_error_ratio is not None and rejected > job.max_error_ratio * read and (over or read >= job.min_rows_for_ratio):
        return f"{rejected:,} of {read:,} rows {were} rejected, and max_error_ratio allows {job.max_error_ratio:g} of them."
    if job.all_or_nothing and over and rejected and job.max_errors is None and job.max_error_ratio is None:
        return f"{rejects}, and all_or_nothing publishes a file only when every row has passed."
    return None


def way_on(job: JobFields, report: Report) -> str:
    """Return what to do about a job that has failed for its rejected rows: a plain retry goes on behind them, and fails again."""
    if report.files.found > 1 or job.all_or_nothing:
        return "Order a new job on the file, with rules that these rows pass or with a limit that allows them."
    rerun = 'retry the job with {"only": "rejected"} and transformation_rules that these rows pass'
    return f"A plain retry counts them still: {rerun}, or order a new one with a higher limit."


def outcome(report: Report) -> Event:
    """Return how a job ends whose file was read to its end, and which need not fail."""
    return "complete_with_errors" if report.rows_rejected else "complete"
