"""How fast a file is read, as its job's report tells it."""

from math import exp
from typing import Final, NamedTuple

SMOOTHED_MS: Final = 10_000
"""Rates are those of about the last ten seconds."""
SLOW: Final = 3
LEAST_MS: Final = 1000
"""A portion weighs as one that took `SLOW` times as long as it should have by the rates before it, or `LEAST_MS`, where that is more.

What is beyond is a worker that was away, most often, and says nothing of how fast it reads. Where reading has become slow for good, the rates are there
within some portions.
"""


class Rates(NamedTuple):
    """Each a second."""

    rows: float
    size: float
    """Bytes; 0: nothing is known yet."""

    def after(self, rows: int, size: int, passed_ms: int) -> "Rates":
        """Return them behind one more portion, which came so long after the one before it."""
        passed = max(passed_ms, 1)
        if not self.size:
            return Rates(rows * 1000 / passed, size * 1000 / passed)
        weight = 1 - exp(-min(passed, max(LEAST_MS, SLOW * size * 1000 / self.size)) / SMOOTHED_MS)
        return Rates(self.rows + weight * (rows * 1000 / passed - self.rows), self.size + weight * (size * 1000 / passed - self.size))
