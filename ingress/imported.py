"""Where a row of an import may stand. Its id is made of its file and its number and holds no time; but the jobs say when they ran, and where their rows go."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from flows.core import topics
from flows.core.imports.progress import Report
from flows.wire.window import Span
from ingress.life import NEAR_MS, SKEW_MS

ROW: Final = re.compile(r"[0-9a-f]{64}")
"""What ids of rows look like; a producer's own may look so, too."""
AROUND_MS: Final = 3_600_000
"""How far from the time that was named a job may have run."""
MOST_RUNS: Final = 32


class Places(NamedTuple):
    """Stretches of topics that a row is looked for in."""

    near: tuple[Span, ...] = ()
    """Right behind the time that was named; of each topic one."""
    runs: tuple[Span, ...] = ()
    """Of the runs of jobs, the newest first; each is a look of its own."""


NOT_A_ROW: Final = Places()


class _Run(NamedTuple):
    job_id: str
    began_ms: int
    ended_ms: int | None


def is_row(event_id: str) -> bool:
    """Tell whether an id may be a row's."""
    return ROW.fullmatch(event_id) is not None


def places(reports: Mapping[str, Report], topic_of: Callable[[str], str | None], at_ms: int | None) -> Places:
    """Return where a row may stand, as far as there are reports of jobs.

    Args:
        reports: by job.
        topic_of: where a job's rows go; None: to `xyra.events`.
        at_ms: about when it was published; None: nobody says.

    """
    runs = sorted((run for job_id, report in reports.items() for run in _runs(job_id, report) if _is_near(run, at_ms)), key=_began, reverse=True)[:MOST_RUNS]
    names = {job_id: topic_of(job_id) or topics.EVENTS.name for job_id in dict.fromkeys(run.job_id for run in runs)}
    stretches = (Span(names[run.job_id], run.began_ms - SKEW_MS, run.ended_ms + SKEW_MS if run.ended_ms is not None else None) for run in runs)
    return Places(tuple(_near((topics.EVENTS.name, *names.values()), at_ms)) if at_ms is not None else (), tuple(dict.fromkeys(stretches)))


def _near(names: Iterable[str], at_ms: int) -> Iterator[Span]:
    return (Span(name, at_ms - SKEW_MS, at_ms + NEAR_MS) for name in dict.fromkeys(names))


def _runs(job_id: str, report: Report) -> Iterator[_Run]:
    """Give the runs that a job tells of: the latest, and those of its schedule before."""
    if report.started_at_ms is not None:
        yield _Run(job_id, report.started_at_ms, report.ended_at_ms)
    yield from (_Run(job_id, past.started_at_ms, past.ended_at_ms) for past in report.past if past.started_at_ms is not None)


def _began(run: _Run) -> int:
    return run.began_ms


def _is_near(run: _Run, at_ms: int | None) -> bool:
    if at_ms is None:
        return True
    return run.began_ms - AROUND_MS <= at_ms and (run.ended_ms is None or at_ms <= run.ended_ms + AROUND_MS)
