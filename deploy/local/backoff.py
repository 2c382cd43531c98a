"""How long to wait before a part that died is started again."""

from typing import Final

from flows.core.clock import Clock

SHORTEST_S: Final = 0.2
LONGEST_S: Final = 30.0
STABLE_S: Final = 5.0


class Backoff:
    """At once the first time, then 0.2 s, 0.4 s ... 30 s; from the beginning again once it has stayed ready for 5 s."""

    def __init__(self, clock: Clock) -> None:
        """Start with nothing having gone wrong."""
        self._clock = clock
        self._failures = 0
        self._ready_since: float | None = None

    def ready(self) -> None:
        """It became ready now."""
        self._ready_since = self._clock.monotonic()

    def died(self) -> float:
        """It died now; returns the seconds to wait."""
        if self._ready_since is not None and self._clock.monotonic() - self._ready_since >= STABLE_S:
            self._failures = 0
        self._ready_since = None
        self._failures += 1
        return 0.0 if self._failures == 1 else min(LONGEST_S, SHORTEST_S * 2.0 ** min(self._failures - 2, 20))
