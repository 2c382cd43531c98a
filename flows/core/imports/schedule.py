"""When a scheduled job is due: every hour, day, week or month, or by a cron expression, in a time zone, right over changes of the clocks.

One rule for both ways of writing it, which is that of Debian's cron. A schedule that names its hours (`daily` at 02:30, `30 2 * * *`) runs once for each
of them: a time that the clocks skip runs at the first instant behind the gap, one that comes twice runs the first time. A schedule whose minutes or hours
are a star (`hourly`, `*/15 * * * *`) runs whenever the clock on the wall says so: not in a gap, and in a repeated hour both times.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from pydantic import Field, StringConstraints, field_validator

from flows.core.errors import FieldError
from flows.core.fields import Model

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
SEARCHED_DAYS: Final = 366 * 41
"""How far the next run is looked for: 29 February on a given weekday comes round every 28 years, and after 40 where a century has none."""
CRON_FIELDS: Final[Mapping[str, str]] = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of the month": "1 to 31, L or LW",
    "month": "1 to 12, or JAN to DEC",
    "day of the week": "0 to 7, or SUN to SAT",
}
"""Each field, in order, and the values it takes."""
MOST_UPCOMING: Final = 100
_PLACES: Final = frozenset({"localtime", "posixrules", "Factory"})
"""Names in a time zone database that are no zone of their own: they mean what the machine is set to."""


class ScheduleConfig(Model):
    """When a job runs: `frequency` with what belongs to it, or `cron`."""

    frequency: Literal["hourly", "daily", "weekly", "monthly"] | None = None
    """How often. `hourly` takes the minute from `time`, `weekly` needs `weekday`, `monthly` needs `day`."""
    day: Annotated[int, Field(ge=1, le=31)] | Literal["last"] | None = None
    """For `monthly`: the day. A month that has no such day runs on its last one."""
    weekday: Weekday | None = None
    """For `weekly`: the day's English name."""
    time: TimeOfDay | None = None
    """`HH:MM`, from 00:00 to 23:59; absent: 00:00. For `hourly`, `00:MM` is the minute of each hour."""
    cron: Annotated[str, StringConstraints(max_length=256)] | None = None
    """Minute, hour, day of the month, month, day of the week; lists, ranges, steps, names, and `L`, `LW`, `MON#1`, `5L` for days."""
    timezone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", max_length=64)] = "UTC"
    """A name of the time zone database, such as Europe/Berlin."""
    catch_up: Literal["skip", "once", "all"] = "once"
    """What becomes of runs that were missed: none is made up for; one stands for all; or each of the latest `catch_up_most` is made up for."""
    catch_up_most: int = Field(default=10, ge=1, le=1000)
    """Missed runs that `all` makes up for; older ones are counted and left out."""

    @field_validator("frequency", mode="before")
    @classmethod
    def _not_cron(cls, value: object) -> object:
        if value == "cron":
            raise ValueError('leave frequency out, and give the five fields as cron, such as {"cron": "0 2 * * *"}')
        return value

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        zone(value)
        return value

    @field_validator("cron")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            _cron(value)
        return value


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its name; reads the zone's file once, wherever the system or the package `tzdata` has it.

    Raises:
        ValueError: there is none of this name.

    """
    if name not in _PLACES and not name.startswith(("posix/", "right/")):
        try:
            return ZoneInfo(name)
        except (ValueError, KeyError, OSError):  # KeyError: no such name; OSError: a folder of zones; ValueError: another file beside them
            pass
    raise ValueError(f"there is no time zone {name}; give a name of the time zone database, such as Europe/Berlin or UTC")


def _cron(expression: str) -> CronSim:
    if len(expression.split()) != len(CRON_FIELDS):
        raise ValueError(f"give five fields: {', '.join(CRON_FIELDS)}")
    try:
        return CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        name = str(error).removeprefix("Bad ").replace("-of-", " of the ")
        never = ", or no day is ever meant by it" if name == "day of the month" else ""
        raise ValueError(f"the field for the {name} cannot be read{never}: it takes {CRON_FIELDS[name]}, as one, a list, a range, a step or *") from error


def faults(config: ScheduleConfig) -> tuple[FieldError, ...]:
    """Return what is wrong between the fields of a schedule, each of which is valid; pointers begin at the schedule."""
    if (config.frequency is None) == (config.cron is None):
        return (FieldError("", "value_error", "give frequency or cron, one of them"),)
    found = [FieldError(f"/{name}", "not_here", sentence) for name, sentence in _strangers(config)]
    if config.frequency == "monthly" and config.day is None:
        found.append(FieldError("/day", "missing", "give the day of the month, from 1 to 31, or last"))
    if config.frequency == "weekly" and config.weekday is None:
        found.append(FieldError("/weekday", "missing", "give the day of the week, such as monday"))
    if config.frequency == "hourly" and config.time is not None and not config.time.startswith("00:"):
        found.append(FieldError("/time", "wrong_form", "give 00:MM, the minute of each hour"))
    if config.cron is not None and next(Schedule.of(config).runs(datetime(2000, 1, 1, tzinfo=UTC)), None) is None:
        found.append(FieldError("/cron", "never", "no day is ever meant by this expression"))
    return tuple(found)


def _strangers(config: ScheduleConfig) -> Iterator[tuple[str, str]]:
    if config.day is not None and config.frequency != "monthly":
        yield "day", "day is for a monthly schedule; leave it out"
    if config.weekday is not None and config.frequency != "weekly":
        yield "weekday", "weekday is for a weekly schedule; leave it out"
    if config.time is not None and config.cron is not None:
        yield "time", "the expression in cron says the time; leave time out"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule made ready: which days, which times of the day, in which zone."""

    times: tuple[tuple[int, int], ...]
    """Hours and minutes, in order."""
    named: bool
    """The hours are named, so each runs once whatever the clocks do."""
    zone: ZoneInfo
    cron: CronSim | None
    """Which days; None: `day` and `weekday` say it."""
    day: int | None = None
    weekday: int | None = None

    @classmethod
    def of(cls, config: ScheduleConfig) -> "Schedule":
        """Make one of a definition without faults."""
        place = zone(config.timezone)
        if config.cron is not None:
            cron = _cron(config.cron)
            minute, hour = config.cron.split()[:2]
            times = tuple((h, m) for h in sorted(cron.hours) for m in sorted(cron.minutes))
            return cls(times, not (minute.startswith("*") or hour.startswith("*")), place, cron)
        hour_of, minute_of = map(int, (config.time or "00:00").split(":"))
        if config.frequency == "hourly":
            return cls(tuple((h, minute_of) for h in range(24)), False, place, None)
        day = 31 if config.day == "last" else config.day
        weekday = WEEKDAYS.index(config.weekday) if config.weekday is not None else None
        return cls(((hour_of, minute_of),), True, place, None, day, weekday)

    def runs(self, after: datetime) -> Iterator[datetime]:
        """Yield the runs later than `after`, in order and in UTC; ends where none is left within `SEARCHED_DAYS`.

        Args:
            after: with a time zone, any.

        """
        after = after.astimezone(UTC)
        first = after.astimezone(self.zone).date() - timedelta(days=1)
        waiting: set[datetime] = set()
        for number in range(SEARCHED_DAYS):
            today = first + timedelta(days=number)
            if self._meant(today):
                waiting.update(run for run in self._of(today) if run > after)
            if waiting:  # clocks set back behind midnight make the first runs of a day earlier than the last ones of the day before
                noon = datetime(today.year, today.month, today.day, 12, tzinfo=self.zone)
                until = min(noon.astimezone(UTC), noon.replace(fold=1).astimezone(UTC))  # the day itself may be one that never was
                ready = sorted(run for run in waiting if run < until)
                waiting.difference_update(ready)
                yield from ready

    def _meant(self, today: date) -> bool:
        if self.cron is not None:
            return today.month in self.cron.months and self.cron.match_day(today)
        if self.weekday is not None:
            return today.weekday() == self.weekday
        return self.day is None or today.day == self.day or (today.day < self.day and (today + timedelta(days=1)).day == 1)

    def _of(self, today: date) -> set[datetime]:
        """Return the runs of one day; the day may have 23, 25 or no hours."""
        found: set[datetime] = set()
        for hour, minute in self.times:
            wall = datetime(today.year, today.month, today.day, hour, minute, tzinfo=self.zone)
            first, second = wall.astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
            if first == second or first.astimezone(self.zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
                found.add(first)
                if not self.named:
                    found.add(second)
            elif self.named:
                found.add(_behind_the_gap(second, first, self.zone))
        return found


def _behind_the_gap(before: datetime, behind: datetime, place: ZoneInfo) -> datetime:
    """Return the first instant behind a change of the clocks that lies between two instants; changes come on whole seconds."""
    offset = before.astimezone(place).utcoffset()
    while behind - before > timedelta(seconds=1):
        middle = (before + (behind - before) / 2).replace(microsecond=0)
        if middle.astimezone(place).utcoffset() == offset:
            before = middle
        else:
            behind = middle
    return behind


def next_run(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first run later than `after`, in UTC; None: there is none within forty years."""
    return next(schedule.runs(after), None)


def upcoming(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the next runs, `MOST_UPCOMING` at most, as the clock on the wall of the schedule's zone says them."""
    return [run.astimezone(schedule.zone) for run in islice(schedule.runs(after), min(count, MOST_UPCOMING))]
