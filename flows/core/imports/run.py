"""One run of a job, as the state of its partition keeps it."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

from flows.core.imports.portion import BEGINNING, Place
from flows.core.imports.progress import Report
from flows.core.imports.recall import Level, level
from flows.core.topics import DAY_MS

CHECK: Final = "checking"
READ: Final = "reading"
STAGE: Final = "fetching"
WAIT: Final = "waiting for the upload"
TURN: Final = "waiting for another job of its name"
AGAIN: Final = "running rejected rows again"
UNCHANGED: Final = "skipped: the file was imported before"
"""Phases of a report, while it runs: all rows are looked at and none goes out; rows go out; the file is brought in; more of it has to come; another job has the
memory; a retry of some. Or, when it is over: nothing was read."""


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
        told = asdict(self) | {
            "report": orjson.Fragment(self.report.text()),
            "since": [[*one] if one is not None else None for one in self.since] if self.since is not None else None,
            "high": [*self.high] if self.high is not None else None,
            "place": [self.place.at, self.place.line, self.place.ordinal, b64encode(self.place.state).decode()],
        }
        return orjson.dumps(told)

    @classmethod
    def of(cls, text: bytes) -> "Run":
        """Read what `text` wrote."""
        found: Mapping[str, Any] = orjson.loads(text)
        at, line, ordinal, state = found["place"]
        start, last = found["asked"]
        since = found["since"] and [level(one) for one in found["since"]]
        told = {"report": Report.of(found["report"]), "place": Place(at, b64decode(state), line, ordinal), "asked": (start, last)}
        return cls(**{**found, **told, "since": since, "high": level(found["high"])})
