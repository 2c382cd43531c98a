"""What this ingress counts for each endpoint, and how fast things go."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ingress.status import StatusView

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


@dataclass(slots=True)
class Tally:
    """What one endpoint has seen at this door since the beginning: received = accepted + rejected + those in hand."""

    received: int = 0
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    last_received_ms: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    """When each secret last matched, by its id, milliseconds since the epoch."""
    changed: bool = False

    def reject(self, reason: str) -> None:
        """Count one that was turned away."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        self.changed = True

    def as_json(self) -> dict[str, Any]:
        """Return it as it is published."""
        return {
            "received": self.received,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "last_received_ms": self.last_received_ms,
            "keys": self.keys,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Tally":
        """Go on from what was published before a restart."""
        return cls(
            int(found.get("received", 0)),
            int(found.get("accepted", 0)),
            {str(reason): int(n) for reason, n in found.get("rejected", {}).items()},
            int(found.get("last_received_ms", 0)),
            {str(key): int(ms) for key, ms in found.get("keys", {}).items()},
        )


class Tallies:
    """This process's tallies by endpoint. A kill loses what was counted since they were last published, a second at most."""

    def __init__(self) -> None:
        """Start empty."""
        self._by_resource: dict[str, Tally] = {}

    def restore(self, status: StatusView, instance: str) -> None:
        """Go on from what this instance published before; what was counted meanwhile is kept on top."""
        for resource, found in status.tallies_of("ingress", instance):
            before, mine = Tally.from_json(found), self.of(resource)
            mine.received += before.received
            mine.accepted += before.accepted
            for reason, n in before.rejected.items():
                mine.rejected[reason] = mine.rejected.get(reason, 0) + n
            mine.last_received_ms = max(mine.last_received_ms, before.last_received_ms)
            mine.keys = before.keys | mine.keys

    def of(self, resource: str) -> Tally:
        """Return the tally of an endpoint, `-` for those nobody knows."""
        tally = self._by_resource.get(resource)
        if tally is None:
            tally = self._by_resource[resource] = Tally()
        return tally

    def take_changed(self) -> Iterator[tuple[str, Tally]]:
        """Give those that changed since they were last taken."""
        for resource, tally in self._by_resource.items():
            if tally.changed:
                tally.changed = False
                yield resource, tally
