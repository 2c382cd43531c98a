"""How much of what a flow decides is buried: the arithmetic of a flow that pauses itself."""

from collections import deque
from typing import Final, NamedTuple

WINDOW_S: Final = 60


class _Second(NamedTuple):
    """What was decided within one second."""

    at: int
    decided: int
    buried: int


class Burials:
    """Records decided and buried within the last minute, second by second; holds sixty of them at most.

    A limit stands at every moment: no more than `ratio` of the records decided within the minute are buried, but for the
    first `least - 1`, which always may be.
    """

    def __init__(self, ratio: float, least: int) -> None:
        """Take the part of the records that may be buried (1: all of them), and from how many burials on that counts."""
        self._ratio = ratio
        self._least = least
        self._seconds: deque[_Second] = deque()
        self.decided = 0
        """Within the window, as of the last call."""
        self.buried = 0

    def allow(self, now_s: float, decided: int, wanted: int) -> int:
        """Count a batch and return how many of the burials it wants may be; the others are not decided.

        Args:
            now_s: the time, which only grows.
            decided: records that the batch has decided finally, the wanted burials among them.
            wanted: burials.

        """
        self._forget(int(now_s) - WINDOW_S)
        free = self._ratio >= 1 or self.buried + wanted < self._least
        allowed = wanted if free else min(wanted, max(0, self._most(decided, wanted) - self.buried))
        self._add(int(now_s), decided - wanted + allowed, allowed)
        return allowed

    def clear(self) -> None:
        """Forget the window: somebody has looked, and lets the flow go on."""
        self._seconds.clear()
        self.decided = self.buried = 0

    def _most(self, decided: int, wanted: int) -> int:
        """Return how many burials there may be within the window, this batch counted."""
        whole, buried = self.decided + decided, self.buried + wanted
        if buried <= self._ratio * whole:
            return buried
        # Those that are not decided do not count: with k burials in all, and f records besides, k <= ratio * (f + k).
        besides = whole - buried
        return max(self._least - 1, int(besides * self._ratio / (1 - self._ratio) + 1e-9))

    def _forget(self, until: int) -> None:
        while self._seconds and self._seconds[0].at <= until:
            gone = self._seconds.popleft()
            self.decided -= gone.decided
            self.buried -= gone.buried

    def _add(self, second: int, decided: int, buried: int) -> None:
        self.decided += decided
        self.buried += buried
        if self._seconds and self._seconds[-1].at >= second:
            last = self._seconds.pop()
            self._seconds.append(_Second(last.at, last.decided + decided, last.buried + buried))
        else:
            self._seconds.append(_Second(second, decided, buried))
