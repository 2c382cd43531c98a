"""Whether a scheduled job runs now: late runs, missed runs, and never two at once."""

from collections import deque
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final, Literal, NamedTuple

from flows.core.imports.schedule import Schedule, next_run

GRACE: Final = timedelta(minutes=1)
"""A run that is no later than this was not missed: a worker was started again, or a clock was set."""
ENOUGH: Final = 1000
"""Missed runs that are gone through at least, where there are so many, and most that are made up for; of more, only the latest are looked at."""
LOOKED_BACK: Final = timedelta(days=1)
"""How far they are looked for at first; four times as far while that finds too few."""

CatchUp = Literal["skip", "once", "all"]


class Turn(NamedTuple):
    """What is to be done now."""

    run: datetime | None
    """The run to begin, by the time it was due; None: none."""
    seen: datetime
    """Up to here every run has begun or was left out; to be kept, and handed in the next time."""
    skipped: int
    """Missed runs that nobody makes up for, at least."""
    next: datetime | None
    """When to ask again; None: never."""


def take_turn(schedule: Schedule, seen: datetime, now: datetime, catch_up: CatchUp, most: int, *, busy: bool = False) -> Turn:
    """Decide what a schedule asks for now.

    Args:
        schedule: when it runs.
        seen: from the turn before; at first the time of the definition, so that nothing before it counts as missed.
        now: the time; one that lies before `seen`, after a clock was set back, asks for nothing.
        catch_up: what becomes of runs that were missed.
        most: how many of them `all` makes up for.
        busy: the run before has not ended. Nothing begins, and what falls due meanwhile is judged when it has: ask again then.

    """
    if busy:
        return Turn(None, seen, 0, None)
    due, passed, older = _due(schedule, seen, now, most if catch_up == "all" else 1)
    if catch_up == "skip" and due and now - due[-1] > GRACE:
        older += len(due)
        due.clear()
    if not due:
        seen = max(seen, passed) if passed is not None else seen
        return Turn(None, seen, older, next_run(schedule, max(seen, now)))
    first = due.popleft()
    return Turn(first, first, older, now if due else next_run(schedule, max(first, now)))


def _due(schedule: Schedule, seen: datetime, now: datetime, kept: int) -> tuple[deque[datetime], datetime | None, int]:
    """Return the latest runs that are due, the very latest, and how many older ones there are, at least."""
    back = LOOKED_BACK
    while True:
        begin = max(seen, now - back)
        runs = list(takewhile(lambda run: run <= now, schedule.runs(begin)))
        if begin == seen or len(runs) >= max(kept, ENOUGH):
            return deque(runs[-kept:]), runs[-1] if runs else None, max(len(runs) - kept, 0)
        back *= 4
