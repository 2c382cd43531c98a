"""Schedules over changes of the clocks, held against a reference that walks minute by minute."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core.imports.schedule import Schedule, ScheduleConfig, faults
from flows.core.imports.turns import GRACE, take_turn

MINUTE = timedelta(minutes=1)
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("America/St_Johns", datetime(2008, 11, 2, 2, 31, tzinfo=UTC)),  # at one minute past midnight
    ("America/Sao_Paulo", datetime(2017, 10, 15, 3, tzinfo=UTC)),  # a day without a midnight
    ("America/Sao_Paulo", datetime(2018, 2, 18, 2, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),  # by half an hour
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 2, 28, 18, tzinfo=UTC)),  # no change; 45 minutes off the hour
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),  # a day that never was
]
DAYS = {
    "daily": lambda _: True,
    "weekly": lambda wall: wall.weekday() == 6,
    "monthly": lambda wall: (wall + timedelta(days=1)).month != wall.month,
}
Meant = Callable[[datetime], bool]


def reference(place: ZoneInfo, start: datetime, end: datetime, meant: Meant, *, named: bool) -> list[datetime]:
    """Walk every minute: runs where the wall shows a time that is meant; where hours are named, once for each time, or behind the gap that swallowed it."""
    runs: list[datetime] = []
    seen: set[datetime] = set()
    instant = start - timedelta(days=2)
    before = instant.astimezone(place).replace(tzinfo=None) - MINUTE
    while instant <= end:
        wall = instant.astimezone(place).replace(tzinfo=None)
        skipped = (before + MINUTE * step for step in range(1, int((wall - before) / MINUTE)))
        if (named and any(meant(one) for one in skipped)) or (meant(wall) and not (named and wall in seen)):
            runs.append(instant)
        seen.add(wall)
        before, instant = wall, instant + MINUTE
    return [run for run in runs if run > start]


def ours(config: dict[str, Any], start: datetime, end: datetime) -> list[datetime]:
    model = ScheduleConfig.model_validate(config)
    assert faults(model) == ()
    found = []
    for run in Schedule.of(model).runs(start):
        if run > end:
            break
        found.append(run)
    return found


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_frequencies_and_cron_agree_with_a_walk_by_minutes(name: str, change: datetime) -> None:
    place, random_ = ZoneInfo(name), random.Random(f"{name} {change}")  # noqa: S311  no secret
    for _ in range(4):
        start = change - timedelta(minutes=random_.randrange(3000))
        end = change + timedelta(minutes=random_.randrange(3000))
        hour, minute = random_.choice([23, 0, 1, 2, 3]), random_.choice([0, 1, 15, 30, 59])
        at = f"{hour:02}:{minute:02}"
        hourly = {"frequency": "hourly", "time": f"00:{minute:02}", "timezone": name}
        assert ours(hourly, start, end) == reference(place, start, end, lambda wall, m=minute: wall.minute == m, named=False)  # type: ignore[misc]  # bound now
        for frequency, extra in (("daily", {}), ("weekly", {"weekday": "sunday"}), ("monthly", {"day": random_.choice(["last", 31])})):

            def fixed(wall: datetime, day: Meant = DAYS[frequency], time: tuple[int, int] = (hour, minute)) -> bool:
                return day(wall) and (wall.hour, wall.minute) == time

            config = {"frequency": frequency, "time": at, "timezone": name, **extra}
            assert ours(config, start, end) == reference(place, start, end, fixed, named=True), config


CRONS: list[tuple[str, Meant, bool]] = [
    ("*/15 3 * * *", lambda wall: wall.hour == 3 and wall.minute % 15 == 0, False),
    ("*/20 */2 * * *", lambda wall: wall.hour % 2 == 0 and wall.minute % 20 == 0, False),
    ("30 * * * *", lambda wall: wall.minute == 30, False),
    ("* * * * *", lambda _: True, False),
    ("0,30 0-4 * * *", lambda wall: wall.hour <= 4 and wall.minute in {0, 30}, True),
    ("45 1-3,23 * * sun", lambda wall: wall.hour in {1, 2, 3, 23} and wall.minute == 45 and wall.weekday() == 6, True),
    ("5 2 * * 7", lambda wall: (wall.hour, wall.minute) == (2, 5) and wall.weekday() == 6, True),
    ("10 0 L * *", lambda wall: (wall.hour, wall.minute) == (0, 10) and (wall + timedelta(days=1)).day == 1, True),
    ("0 3 1-7 * 0", lambda wall: (wall.hour, wall.minute) == (3, 0) and (wall.day <= 7 or wall.weekday() == 6), True),
]


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_cron_expressions_agree_with_a_walk_by_minutes(name: str, change: datetime) -> None:
    for expression, meant, named in CRONS:
        start, end = change - timedelta(hours=20), change + timedelta(hours=20)
        assert ours({"cron": expression, "timezone": name}, start, end) == reference(ZoneInfo(name), start, end, meant, named=named), expression


@settings(max_examples=50)
@given(st.sampled_from(CHANGES), st.integers(-4000, 4000), st.sampled_from([row[0] for row in CRONS]))
def test_the_run_after_a_moment_is_later_than_it_and_none_is_left_out(change: tuple[str, datetime], minutes: int, expression: str) -> None:
    schedule = Schedule.of(ScheduleConfig(cron=expression, timezone=change[0]))
    start = change[1] + minutes * MINUTE
    runs = list(islice(schedule.runs(start), 4))
    assert runs == sorted(set(runs))
    assert runs[0] > start
    for before, run in pairwise(runs):
        assert next(schedule.runs(before)) == run
        assert next(schedule.runs(run - timedelta(microseconds=1))) == run


@given(st.text(alphabet="0123456789*/,-#LWMONFEB \u0663", min_size=9, max_size=40))
def test_whatever_stands_there_is_a_schedule_or_refused(expression: str) -> None:
    try:
        config = ScheduleConfig(cron=expression)
    except ValueError:
        return
    if not faults(config):
        assert next(Schedule.of(config).runs(datetime(2026, 1, 1, tzinfo=UTC))) > datetime(2026, 1, 1, tzinfo=UTC)


@settings(max_examples=40)
@given(st.sampled_from(["skip", "once", "all"]), st.integers(1, 5), st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), max_size=30))
def test_a_run_begins_once_in_order_or_is_counted(policy: Any, most: int, wakes: list[tuple[int, bool]]) -> None:
    """Whoever asks, at whatever times: begun + skipped + not yet seen = the runs there were."""
    schedule = Schedule.of(ScheduleConfig(cron="*/10 1-20 * * *", timezone="Europe/Berlin"))
    begin = seen = now = datetime(2026, 10, 24, tzinfo=UTC)
    begun, skipped = [], 0
    for seconds, busy in wakes:
        now += timedelta(seconds=seconds)
        turn = take_turn(schedule, seen, now, policy, most, busy=busy)
        assert turn.seen >= seen
        skipped += turn.skipped
        seen = turn.seen
        if turn.run is not None:
            begun.append(turn.run)
            assert policy != "skip" or now - turn.run <= GRACE
        assert busy or turn.next is None or turn.next > now or policy == "all"
    assert begun == sorted(set(begun))
    passed = [run for run in islice(schedule.runs(begin), 1500) if run <= seen]
    assert len(passed) == len(begun) + skipped
