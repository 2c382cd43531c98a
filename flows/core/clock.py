"""The one clock: everything that asks for the time is handed one of these."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol

_YEAR_9999_MS: Final = 253_402_300_799_000


class Clock(Protocol):
    """Tells the time; a test hands in one that it moves itself."""

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the Unix epoch; may jump when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, for measuring how long something took."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never going back."""
        return time.monotonic()


def rfc3339(ms: int) -> str:
    """Write milliseconds since the epoch as RFC 3339 in UTC, with milliseconds; what lies outside of the years 1970 to 9999 is moved to their edge."""
    ms = min(max(ms, 0), _YEAR_9999_MS)
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=16)  # what comes in one second shares its text
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
