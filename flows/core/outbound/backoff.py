"""When a failed delivery is tried again, and when no more.

Everything is worked out from what is handed in: there is no randomness and no clock, so a decision that is made again after a crash
comes out the same. Times are wall-clock milliseconds since the epoch, because they are kept over restarts and moves to other machines.
So when a machine's clock is set forward by an hour, what is due within that hour is due at once and a record may be given up an hour
sooner; set back by an hour, it all comes an hour later. Nothing is lost or tried more often for it.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from flows.core.outbound.outcome import ATTEMPTS_SPENT, TIME_SPENT
from flows.core.resources import RetryConfig
from flows.core.verdict import Reason

SECOND_MS: Final = 1000
MOST_RETRY_AFTER_MS: Final = 86_400_000
"""One day. A target that asks for more is asked again after a day."""
GRACE_MS: Final = 2 * MOST_RETRY_AFTER_MS
"""What a delivery's life has beyond its waits, for open breakers, lines, clocks that were set forward and slow answers."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How often something is tried, and the waits between."""

    attempts: int
    """The first one counted in."""
    delays_ms: tuple[int, ...]
    """Before the second attempt, the third and so on; the last one repeats. At least one."""
    jitter_percent: int = 0
    """How much longer a wait may be, so that what failed together does not come back together."""

    def delay_ms(self, attempt: int) -> int:
        """Return the wait after the failed attempt of that number, which counts from 1; without jitter. For 0, where nothing was tried, it is the first."""
        return self.delays_ms[min(max(attempt, 1), len(self.delays_ms)) - 1]

    @property
    def life_ms(self) -> int:
        """How long after its first attempt something may be tried: all waits at their longest, since a target may ask for a day each time, and `GRACE_MS`."""
        return sum(max(self._longest_ms(attempt), MOST_RETRY_AFTER_MS) for attempt in range(1, self.attempts)) + GRACE_MS

    def _longest_ms(self, attempt: int) -> int:
        delay_ms = self.delay_ms(attempt)
        return delay_ms + delay_ms * self.jitter_percent // 100


USUAL: Final = Schedule(8, tuple(SECOND_MS * s for s in (5, 300, 1800, 7200, 18_000, 36_000, 36_000)), jitter_percent=10)
"""Where a definition says nothing: 8 attempts over some 28 hours, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h apart, as Svix has them."""


def schedule(config: RetryConfig | None) -> Schedule:
    """Return a definition's schedule; its own delays are kept to the second, without jitter."""
    if config is None:
        return USUAL
    return Schedule(config.max_attempts, tuple(SECOND_MS * delay for delay in config.retry_delays))


def next_due_ms(plan: Schedule, name: str, attempt: int, first_ms: int, now_ms: int, retry_after_ms: int | None = None) -> int | Reason:
    """Return when to try again after a failure that may pass, or the reason to give up.

    Args:
        plan: the schedule.
        name: of what is tried, such as its id: with `attempt` it decides the jitter, the same each time.
        attempt: the number of the attempt that failed, from 1; 0 where nothing was tried, which spends no attempt and waits the first wait.
        first_ms: when the first attempt was made.
        now_ms: when this attempt failed.
        retry_after_ms: the wait the target asked for, as `read_retry_after` gives it; the longer wait counts.

    """
    if attempt >= plan.attempts:
        return ATTEMPTS_SPENT.reason(f"{attempt} of {plan.attempts} attempts")
    own_ms = plan.delay_ms(attempt)
    own_ms += spread(f"{name}/{attempt}", own_ms * plan.jitter_percent // 100)
    due_ms = now_ms + max(own_ms, min(retry_after_ms or 0, MOST_RETRY_AFTER_MS))
    if due_ms > first_ms + plan.life_ms:
        return TIME_SPENT.reason(f"{attempt} of {plan.attempts} attempts")
    return due_ms


def spread(name: str, width: int) -> int:
    """Return a number from 0 to `width`, both included: the same for equal names, even over many names."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") * (width + 1) >> 64


_MOST_DIGITS: Final = 9
"""Of seconds; more of them are years."""
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTH: Final = f"(?P<month>{'|'.join(_MONTHS)})"
_CLOCK: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_CLOCK} GMT",
        rf"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_CLOCK} GMT",
        rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_MONTH} (?P<day>[0-9 ][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})",
    )
)
"""RFC 9110 §5.6.7: the form in use, and the two of old that must be understood; all are UTC."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_CENTURY: Final = 100
_LAST_SECOND: Final = 60  # a leap second


def read_retry_after(text: str, now_ms: int) -> int | None:
    """Return the wait that a `Retry-After` asks for (RFC 9110 §10.2.3), 0 ms to one day; None when it says nothing that can be read.

    A date counts from `now_ms`; one that has passed asks for no wait.
    """
    text = text.strip(" \t")
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0")
        return MOST_RETRY_AFTER_MS if len(digits) > _MOST_DIGITS else min(int(digits or 0) * SECOND_MS, MOST_RETRY_AFTER_MS)
    when_ms = _date_ms(text, now_ms)
    return None if when_ms is None else min(max(0, when_ms - now_ms), MOST_RETRY_AFTER_MS)


def _date_ms(text: str, now_ms: int) -> int | None:
    found = next((match for match in (date.fullmatch(text) for date in _DATES) if match), None)
    if found is None or int(found["second"]) > _LAST_SECOND:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:  # noqa: PLR2004  the two digits of RFC 850
        earliest = (_EPOCH + now_ms * _MILLISECOND).year - 49  # RFC 9110: no such year is more than 50 years ahead
        year = earliest + (year - earliest) % _CENTURY
    try:
        minute = datetime(year, _MONTHS.index(found["month"]) + 1, int(found["day"]), int(found["hour"]), int(found["minute"]), tzinfo=UTC)
    except ValueError:  # no such day or hour
        return None
    return (minute - _EPOCH) // _MILLISECOND + int(found["second"]) * SECOND_MS
