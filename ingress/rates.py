"""How fast things go."""

import math
from typing import Final

TICK_S: Final = 5.0
WINDOWS_S: Final = {"1m": 60.0, "5m": 300.0, "15m": 900.0}


class Meter:
    """A rate as an exponentially weighted moving average over 1, 5 and 15 minutes, like a Unix load average; costs no timer."""

    __slots__ = ("_last", "_rates", "_total")

    def __init__(self, now: float, total: int = 0) -> None:
        """Start at rest at `now` (monotonic seconds), with `total` counted already."""
        self._last, self._total = now, total
        self._rates = dict.fromkeys(WINDOWS_S, 0.0)

    def rates(self, now: float, total: int) -> dict[str, float]:
        """Take the count as it is now and return the rates per second; call it every few seconds, or seldom: both are right."""
        passed = now - self._last
        if passed >= TICK_S:
            rate = max(0, total - self._total) / passed
            for name, window in WINDOWS_S.items():
                self._rates[name] += (1 - math.exp(-passed / window)) * (rate - self._rates[name])
            self._last, self._total = now, total
        return {name: round(rate, 3) for name, rate in self._rates.items()}
