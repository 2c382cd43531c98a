"""Rows that were turned away, as records on `xyra.rejects`: the bytes of the row, and every reason in a header."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

import orjson

from flows.core.files.rejects import Reject
from flows.core.record import Header, Record

REJECT: Final = "x-reject"
"""JSON `{"job_id", "turn", "ordinal", "line", "offset", "reasons": [[column, code, rule, value]]}`, and `run` and `path` where a schedule began it."""
MOST_REASONS: Final = 100
"""Of one row; a wide one may break a rule in each of its columns."""


class Turned(NamedTuple):
    """One row that was turned away."""

    job_id: str
    turn: int
    ordinal: int
    line: int
    offset: int
    reasons: Sequence[tuple[str, str, str, str]]
    """Column, code, rule, value of each."""
    raw: bytes
    run: int = 0
    """Which run of the job's schedule; 0: it has none."""
    path: str = ""
    """Where that run has found the file."""


class OfRun(NamedTuple):
    """What the rejects of a schedule's run have in common."""

    run: int
    path: str


def by_row(rejects: Iterable[Reject]) -> list[list[Reject]]:
    """Put the reasons of each row together; they follow one another."""
    return [list(group) for _, group in groupby(rejects, key=attrgetter("ordinal"))]


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of rows that were turned away, each written when it is asked for: those of a whole portion take several times the memory of its rows."""

    job_id: str
    turn: int
    rows: Sequence[Sequence[Reject]]
    of_run: OfRun | None = None

    def __iter__(self) -> Iterator[list[Header]]:
        """Give those of each row."""
        shared = {"job_id": self.job_id, "turn": self.turn}, self.of_run._asdict() if self.of_run is not None else {}
        return ([(REJECT, _told(row, *shared))] for row in self.rows)


def _told(row: Sequence[Reject], before: Mapping[str, Any], behind: Mapping[str, Any]) -> bytes:
    first = row[0]
    place = {"ordinal": first.ordinal, "line": first.line, "offset": first.offset}
    return orjson.dumps({**before, **place, "reasons": [(one.column, one.code, one.rule, one.value) for one in row[:MOST_REASONS]], **behind})


def read(record: Record) -> Turned | None:
    """Read a record of `xyra.rejects`; None when it is none of ours."""
    try:
        found: Mapping[str, Any] = orjson.loads(record.header(REJECT) or b"")
        return Turned(**{**found, "reasons": [tuple(reason) for reason in found["reasons"]]}, raw=record.value or b"")
    except (ValueError, TypeError, KeyError):
        return None
