"""Rows that were turned away, as records on `xyra.rejects`: the bytes of the row, and every reason in a header."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

import orjson

from flows.core import topics
from flows.core.files.rejects import Reject
from flows.core.record import Output, Record

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


def outputs(job_id: str, turn: int, rejects: Iterable[Reject], of_run: OfRun | None = None) -> Iterator[Output]:
    """Yield a record for each row; rejects of one row follow one another."""
    for _, group in groupby(rejects, key=attrgetter("ordinal")):
        found = list(group)
        first = found[0]
        told = {
            "job_id": job_id,
            "turn": turn,
            "ordinal": first.ordinal,
            "line": first.line,
            "offset": first.offset,
            "reasons": [(reject.column, reject.code, reject.rule, reject.value) for reject in found[:MOST_REASONS]],
            **(of_run._asdict() if of_run is not None else {}),
        }
        yield Output(topics.REJECTS.name, job_id.encode(), first.raw, ((REJECT, orjson.dumps(told)),))


def read(record: Record) -> Turned | None:
    """Read a record of `xyra.rejects`; None when it is none of ours."""
    try:
        found: Mapping[str, Any] = orjson.loads(record.header(REJECT) or b"")
        return Turned(**{**found, "reasons": [tuple(reason) for reason in found["reasons"]]}, raw=record.value or b"")
    except (ValueError, TypeError, KeyError):
        return None
