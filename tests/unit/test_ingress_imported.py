"""Where a row of an import is looked for."""

import pytest

from flows.core.imports.history import Past
from flows.core.imports.progress import Report
from flows.wire.window import Span
from ingress.imported import AROUND_MS, MOST_RUNS, is_row, places

HOUR = 3_600_000
S = 5_000


def past(began_ms: int | None, ended_ms: int) -> Past:
    counts = dict.fromkeys(("rows_read", "rows_accepted", "rows_rejected", "rows_skipped", "files_found", "files_failed"), 0)
    return Past(run=1, status="completed", due_at_ms=None, started_at_ms=began_ms, ended_at_ms=ended_ms, trouble="", **counts)


REPORTS = {
    "old": Report(job_id="old", status="completed", started_at_ms=10 * HOUR, ended_at_ms=11 * HOUR),
    "new": Report(job_id="new", status="running", started_at_ms=30 * HOUR, past=(past(20 * HOUR, 21 * HOUR), past(None, 22 * HOUR))),
    "waits": Report(job_id="waits"),
}
TARGETS = {"old": "orders"}
OLD = Span("orders", 10 * HOUR - S, 11 * HOUR + S)
BEFORE = Span("xyra.events", 20 * HOUR - S, 21 * HOUR + S)
NOW = Span("xyra.events", 30 * HOUR - S, None)


@pytest.mark.parametrize(
    ("at_ms", "runs"),
    [
        (None, (NOW, BEFORE, OLD)),
        (10 * HOUR - AROUND_MS, (OLD,)),
        (10 * HOUR - AROUND_MS - 1, ()),
        (12 * HOUR, (OLD,)),
        (12 * HOUR + 1, ()),
        (20 * HOUR, (BEFORE,)),
        (99 * HOUR, (NOW,)),
    ],
)
def test_it_is_looked_for_where_jobs_ran_the_newest_first(at_ms: int | None, runs: tuple[Span, ...]) -> None:
    found = places(REPORTS, TARGETS.get, at_ms)
    assert found.runs == runs
    near = dict.fromkeys(["xyra.events", *(span.topic for span in runs)]) if at_ms is not None else {}
    assert found.near == tuple(Span(name, (at_ms or 0) - S, (at_ms or 0) + 60_000) for name in near)


def test_runs_are_bounded() -> None:
    many = {f"j{n}": Report(job_id=f"j{n}", status="completed", started_at_ms=n, ended_at_ms=n) for n in range(2 * MOST_RUNS)}
    assert [span.from_ms for span in places(many, lambda _: None, None).runs] == [n - S for n in reversed(range(MOST_RUNS, 2 * MOST_RUNS))]


@pytest.mark.parametrize(("event_id", "expected"), [("a" * 64, True), ("A" * 64, False), ("a" * 63, False), ("g" * 64, False), ("a" * 64 + "\n", False)])
def test_what_may_be_a_row(event_id: str, expected: bool) -> None:
    assert is_row(event_id) is expected
