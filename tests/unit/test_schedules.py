"""Schedules as a person writes them: what is refused, which day is meant, what is made up for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from flows.core.imports.schedule import Schedule, ScheduleConfig, faults, next_run, upcoming
from flows.core.imports.turns import take_turn


def made(**fields: Any) -> Schedule:
    config = ScheduleConfig(**fields)
    assert faults(config) == ()
    return Schedule.of(config)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(schedule: Schedule, after: str, count: int) -> list[str]:
    return [run.strftime("%Y-%m-%d %H:%M") for run in upcoming(schedule, at(after), count)]


def test_the_seeds_example_runs_on_the_first_of_each_month() -> None:
    assert shown(made(frequency="monthly", day=1, time="02:00"), "2026-01-01T02:00", 3) == ["2026-02-01 02:00", "2026-03-01 02:00", "2026-04-01 02:00"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"frequency": "monthly", "day": 30}, ["2027-12-30", "2028-01-30", "2028-02-29", "2028-03-30"]),
        ({"frequency": "monthly", "day": 31}, ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"]),
        ({"frequency": "monthly", "day": "last"}, ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"]),
        ({"cron": "0 0 31 * *"}, ["2027-12-31", "2028-01-31", "2028-03-31", "2028-05-31"]),
        ({"cron": "0 0 L * *"}, ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"]),
        ({"cron": "0 0 29 2 *"}, ["2028-02-29", "2032-02-29", "2036-02-29", "2040-02-29"]),
        ({"cron": "0 0 LW * *"}, ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"]),
        ({"cron": "0 0 * 2 MON#5"}, ["2044-02-29"]),  # the one after it lies too far ahead
        ({"frequency": "weekly", "weekday": "wednesday"}, ["2027-12-22", "2027-12-29", "2028-01-05", "2028-01-12"]),
    ],
)
def test_which_days_are_meant(fields: dict[str, Any], expected: list[str]) -> None:
    assert [text.split()[0] for text in shown(made(**fields), "2027-12-15T12:00", 4)] == expected


def test_a_time_that_the_clocks_skip_runs_behind_the_gap_and_one_that_comes_twice_runs_once() -> None:
    daily = made(frequency="daily", time="02:30", timezone="Europe/Berlin")
    assert [run.isoformat() for run in upcoming(daily, at("2026-03-28T12:00"), 2)] == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    assert [run.isoformat() for run in upcoming(daily, at("2026-10-24T12:00"), 2)] == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["/"]),
        ({"frequency": "daily", "cron": "0 0 * * *"}, ["/"]),
        ({"frequency": "monthly"}, ["/day"]),
        ({"frequency": "weekly", "day": 3}, ["/day", "/weekday"]),
        ({"frequency": "daily", "weekday": "monday", "day": 1}, ["/day", "/weekday"]),
        ({"frequency": "hourly", "time": "01:30"}, ["/time"]),
        ({"cron": "0 0 * * *", "time": "01:30"}, ["/time"]),
        ({"cron": "0 0 20-31 * 1#1"}, []),
        ({"cron": "0 0 */20 * 1L"}, ["/cron"]),
    ],
)
def test_fields_that_do_not_go_together_are_all_named(fields: dict[str, Any], expected: list[str]) -> None:
    found = faults(ScheduleConfig(**fields))
    assert [error.pointer or "/" for error in found] == expected
    assert all(error.code and error.detail for error in found)


@pytest.mark.parametrize(
    "fields",
    [
        {"frequency": "yearly"},
        {"day": 32},
        {"day": 0},
        {"weekday": "Monday"},
        {"time": "24:00"},
        {"time": "2:00"},
        {"cron": "0 0 30 2 *"},
        {"cron": "61 0 * * *"},
        {"cron": "0 0 0 * * *"},
        {"cron": "@daily and so"},
        *({"timezone": name} for name in ("Europe/Berlinn", "localtime", "America", "../etc/passwd", "posix/UTC", "tzdata.zi", "leapseconds", "zone.tab")),
    ],
)
def test_what_is_no_schedule_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        ScheduleConfig(**fields)
    assert caught.value.errors()[0]["loc"][0] == next(iter(fields))


HOURLY = made(frequency="hourly")
SEEN, NOW = at("2026-05-01T00:30"), at("2026-05-01T05:30")


def test_missed_runs_are_made_up_for_as_the_policy_says() -> None:
    assert take_turn(HOURLY, SEEN, NOW, "skip", 3) == (None, at("2026-05-01T05:00"), 5, at("2026-05-01T06:00"))
    assert take_turn(HOURLY, SEEN, NOW, "once", 3) == (at("2026-05-01T05:00"), at("2026-05-01T05:00"), 4, at("2026-05-01T06:00"))
    assert take_turn(HOURLY, SEEN, NOW, "all", 3) == (at("2026-05-01T03:00"), at("2026-05-01T03:00"), 2, NOW)
    assert take_turn(HOURLY, at("2026-05-01T03:00"), NOW, "all", 3)[:3] == (at("2026-05-01T04:00"), at("2026-05-01T04:00"), 0)


def test_a_run_that_is_a_little_late_was_not_missed() -> None:
    late = at("2026-05-01T05:00") + timedelta(seconds=50)
    assert take_turn(HOURLY, at("2026-05-01T04:00"), late, "skip", 1).run == at("2026-05-01T05:00")


def test_nothing_begins_while_the_run_before_goes_on_nor_when_the_clock_was_set_back() -> None:
    assert take_turn(HOURLY, SEEN, NOW, "all", 3, busy=True) == (None, SEEN, 0, None)
    assert take_turn(HOURLY, NOW, SEEN, "all", 3) == (None, NOW, 0, at("2026-05-01T06:00"))


@pytest.mark.parametrize("cron", ["* * * * *", "*/30 * * * *", "30 5 * * *"])
def test_years_of_missed_runs_are_not_all_gone_through(cron: str) -> None:
    turn = take_turn(made(cron=cron), at("2020-01-01T00:00"), NOW, "once", 1)
    assert turn.run == NOW
    assert 1000 <= turn.skipped < 5000
    all_ = take_turn(made(cron=cron), at("2020-01-01T00:00"), NOW, "all", 1000)
    assert take_turn(made(cron=cron), all_.seen, NOW, "all", 1000).skipped == 0
    assert all_.run is not None
    assert len(upcoming(made(cron=cron), all_.run, 100)) == 100


def test_the_next_run_is_later_than_the_moment_it_is_asked_for() -> None:
    assert next_run(HOURLY, at("2026-05-01T05:00")) == at("2026-05-01T06:00")


@pytest.mark.parametrize(
    ("cron", "sentence"),
    [
        *((text, "give five fields: minute, hour, day of the month, month, day of the week") for text in ("", "* * * *", "@daily", "0 0 0 * * *")),
        ("61 * * * *", "the field for the minute cannot be read: it takes 0 to 59"),
        ("0 24 * * *", "the field for the hour cannot be read: it takes 0 to 23"),
        ("0 0 0 * *", "the field for the day of the month cannot be read, or no day is ever meant by it: it takes 1 to 31"),
        ("0 0 30 2 *", "the field for the day of the month cannot be read, or no day is ever meant by it: it takes 1 to 31"),
        ("0 0 1 13 *", "the field for the month cannot be read: it takes 1 to 12"),
        ("0 0 * * 8", "the field for the day of the week cannot be read: it takes 0 to 7"),
        ("*/0 * * * *", "the field for the minute cannot be read: it takes 0 to 59"),
    ],
)
def test_a_cron_expression_that_is_none_is_told_what_it_takes(cron: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ScheduleConfig(cron=cron)
    assert sentence in caught.value.errors()[0]["msg"]


def test_cron_is_no_frequency_and_the_refusal_says_where_it_goes() -> None:
    with pytest.raises(ValidationError, match="give the five fields as cron"):
        ScheduleConfig.model_validate({"frequency": "cron", "cron": "0 2 * * *"})
