"""The one clock: everything that asks for the time is handed one of these."""

import time
from typing import Protocol


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
