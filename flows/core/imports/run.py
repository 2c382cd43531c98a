"""One run of a job, as the state of its partition keeps it."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import orjson

from flows.core.imports.portion import BEGINNING, Place
from flows.core.imports.progress import NOTHING, Gain, Report

CHECK: Final = "checking"
READ: Final = "reading"
FIND: Final = "looking for files"
STAGE: Final = "fetching"
WAIT: Final = "waiting for the upload"
AGAIN: Final = "running rejected rows again"
SCHEDULED: Final = "waiting for its first run"
"""Phases of a report: all rows are looked at and none goes out; rows go out; files are looked for; one is brought in; more of it has to come; a retry of some
rows; a schedule that has begun nothing yet."""

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
    known: Mapping[str, Any] = field(default_factory=dict)
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

    def on(self, **changes: Any) -> "Run":
        """Return it with some things changed; those of the report are told as such."""
        return replace(self, **changes)

    def text(self) -> bytes:
        """Write it as it stands in state."""
        told = asdict(replace(self, known={})) | {
            "report": orjson.Fragment(self.report.text()),
            "place": [self.place.at, self.place.line, self.place.ordinal, b64encode(self.place.state).decode()],
            "before": [*self.before],
            "known": dict(self.known),
        }
        return orjson.dumps(told)

    @classmethod
    def of(cls, text: bytes) -> "Run":
        """Read what `text` wrote."""
        found: Mapping[str, Any] = orjson.loads(text)
        at, line, ordinal, state = found["place"]
        start, last = found["asked"]
        place = Place(at, b64decode(state), line, ordinal)
        parts = {"report": Report.of(found["report"]), "place": place, "asked": (start, last), "before": Gain(*found["before"])}
        return cls(**{**found, **parts})
