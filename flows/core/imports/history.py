"""What a run of a job is told by beside its counts: its files, and the runs before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

MOST_TROUBLES: Final = 10
"""Files of a run that are named with what was wrong with them; all are counted."""
MOST_PAST: Final = 10
"""Runs that are remembered."""
MOST_TEXT: Final = 500
MOST_PATH: Final = 150
"""Of a path before a sentence; the end of a longer one says more than its beginning."""
MOST_PAST_TEXT: Final = 300
SAME: Final = ("run", "status", "due_at_ms", "started_at_ms", "rows_read", "rows_accepted", "rows_rejected", "rows_skipped")
"""What is told of a run that is over as it was told of it before."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a run. Those that are neither read nor failed are still to come."""

    found: int = 0
    read: int = 0
    """To their ends."""
    failed: int = 0
    """Not read to their ends, or not to be published."""
    troubles: Sequence[str] = ()
    """A sentence on each of the first that failed, behind its path where a pattern has found it."""
    passed: Sequence[str] = ()
    """A sentence on each of the first that are none of them, although the pattern is theirs: links. They change nothing about how the run ends."""

    def one_read(self) -> "Files":
        """Return it after one more file."""
        return replace(self, read=self.read + 1)

    def one_failed(self, sentence: str, path: str = "") -> "Files":
        """Return it after a file that came to nothing; `path`: which, where its run may have several."""
        if path and path not in sentence:
            sentence = at_path(sentence, path)
        return replace(self, failed=self.failed + 1, troubles=(*self.troubles, sentence[:MOST_TEXT])[:MOST_TROUBLES])

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Files":
        """Make it of its JSON; raises TypeError where that is none."""
        return cls(**{**found, "troubles": tuple(found["troubles"]), "passed": tuple(found.get("passed", ()))})

    @property
    def told(self) -> tuple[str, ...]:
        """The sentences on its files: what failed, then what was passed over."""
        return (*self.troubles, *self.passed)[:MOST_TROUBLES]

    def sentence(self) -> str:
        """Say what was wrong with them; nothing where nothing was."""
        if not self.failed or self.found <= 1:
            return next(iter(self.troubles), "")
        return f"{self.failed:,} of {self.found:,} files were not read to their ends, of which the first: {self.troubles[0]}"


def at_path(sentence: str, path: str) -> str:
    """Return a sentence on a file, behind its path."""
    named = path if len(path) <= MOST_PATH else "\u2026" + path[1 - MOST_PATH :]
    return f"{named}: {sentence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One run that is over."""

    run: int
    status: str
    due_at_ms: int | None
    """None: it was asked for beside the schedule."""
    started_at_ms: int | None
    """None: it ended before it began."""
    ended_at_ms: int
    rows_read: int
    rows_accepted: int
    rows_rejected: int
    rows_skipped: int
    files_found: int
    files_failed: int
    trouble: str

    @classmethod
    def of(cls, report: object, files: Files, trouble: str, ended_at_ms: int) -> "Past":
        """Make it of the report of a run that ends."""
        same = {name: getattr(report, name) for name in SAME}
        return cls(**same, ended_at_ms=ended_at_ms, files_found=files.found, files_failed=files.failed, trouble=trouble[:MOST_PAST_TEXT])


def behind(past: Sequence[Past], ended: Past) -> tuple[Past, ...]:
    """Return the runs that are over, the latest first, with one more; a run that was gone on with takes its own place."""
    return (ended, *(one for one in past if one.run != ended.run))[:MOST_PAST]


def read_past(found: Sequence[Mapping[str, Any]]) -> tuple[Past, ...]:
    """Make them of their JSON; raises TypeError where that is none."""
    return tuple(Past(**one) for one in found)
