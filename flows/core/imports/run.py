"""One run of a job, as the state of its partition keeps it."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import orjson

from flows.core.imports.portion import BEGINNING, Place
from flows.core.imports.progress import NOTHING, Gain, Report
from flows.core.imports.recall import Level, level
from flows.core.topics import DAY_MS

CHECK: Final = "checking"
READ: Final = "reading"
FIND: Final = "looking for files"
STAGE: Final = "fetching"
WAIT: Final = "waiting for the upload"
TURN: Final = "waiting for another job of its name"
AGAIN: Final = "running rejected rows again"
SCHEDULED: Final = "waiting for its first run"
UNCHANGED: Final = "skipped: the file was imported before"
"""Phases of a report: all rows are looked at and none goes out; rows go out; files are looked for; one is brought in; more of it has to come; another job has
the memory; a retry of some rows; a schedule that has begun nothing yet. Or, when it is over: nothing was read."""


RUN: Final = b"run/"
"""A run's key in state, its timer and its slow work begin with it; behind it is the job's id."""
KEPT_MS: Final = 30 * DAY_MS
"""How long it is remembered that a job is over, and with it the keys of its file."""

NEVER: Final = (-2, -2)
"""No portion has been asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """How far a job has come, and what its next portion needs."""

    report: Report
    upload: str
    """Where its pieces come from."""
    next: int = -1
    """The offset on `xyra.uploads` of the next piece to read; -1: of the first."""
    place: Place = BEGINNING
    asked: tuple[int, int] = NEVER
    """With which `next`, and up to which offset, a portion was asked for last."""
    failures: int = 0
    """Attempts in a row at the same portion that came to nothing."""
    staged: Mapping[str, Any] | None = None
    """How far a file that the job fetches itself was brought in; None: it has not begun, or it was sent."""
    read: bool = False
    """Whether the file has been read to its end."""
    mended: int = 0
    """The offset on `xyra.rejects` up to which this job's rejects have been run again."""
    until: int = -1
    """The offset up to which the retry under way does so; -1: it has not been asked yet, or there is none under way."""
    mending: bool = False
    """Whether this is such a retry."""
    path: str = ""
    """Where the file is that is read now; empty: it is sent, or a pattern's files have not been looked for yet."""
    file: int = 0
    """Which one of the run's files that is, from 0."""
    before: Gain = NOTHING
    """What was counted before it."""
    former: Mapping[str, Any] = field(default_factory=dict)
    """What tells the state of the file that the run before has read: in that state it is not read again."""
    scheduled: bool = False
    """Whether a schedule asks for more of its runs."""
    seen_ms: int = 0
    """Up to here every run of the schedule has begun or was left out."""
    extra: int = 0
    """Runs that were asked for beside the schedule, and have begun."""

    @property
    def counted(self) -> Report:
        """The report, with the rows of this file alone."""
        return self.report.since(self.before)

    since: Sequence[Level | None] | None = None
    """The watermark that this run began with, alone in a list, for there may be none before the first run; None: it was not looked up."""
    high: Level | None = None
    """The highest value of the cursor column among the rows that went out: the watermark once the run is complete."""
    known: Sequence[str] | None = None
    """The answers that the portion is asked for again with, in Base64; None: it was not asked for before."""
    rounds: int = 0
    """How often it was."""

    def on(self, **changes: Any) -> "Run":
        """Return it with some things changed; those of the report are told as such."""
        return replace(self, **changes)

    def text(self) -> bytes:
        """Write it as it stands in state."""
        told = asdict(replace(self, former={})) | {
            "report": orjson.Fragment(self.report.text()),
            "since": [[*one] if one is not None else None for one in self.since] if self.since is not None else None,
            "high": [*self.high] if self.high is not None else None,
            "place": [self.place.at, self.place.line, self.place.ordinal, b64encode(self.place.state).decode()],
            "before": [*self.before],
            "former": dict(self.former),
        }
        return orjson.dumps(told)

    @classmethod
    def of(cls, text: bytes) -> "Run":
        """Read what `text` wrote."""
        found: Mapping[str, Any] = orjson.loads(text)
        at, line, ordinal, state = found["place"]
        start, last = found["asked"]
        place = Place(at, b64decode(state), line, ordinal)
        since = found["since"] and [level(one) for one in found["since"]]
        parts = {"report": Report.of(found["report"]), "place": place, "asked": (start, last), "before": Gain(*found["before"])}
        return cls(**{**found, **parts, "since": since, "high": level(found["high"])})
