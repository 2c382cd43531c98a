"""What this ingress counts for each endpoint."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ingress.status import StatusView


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

    def changed(self) -> Iterator[tuple[str, Tally]]:
        """Give those that have changed since they were published."""
        return ((resource, tally) for resource, tally in self._by_resource.items() if tally.changed)
