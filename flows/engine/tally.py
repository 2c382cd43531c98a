"""Tallies: what became of every record, by partition and resource, counted in the transaction that decided it.

For each of them, always: in = out + dropped + buried + waiting.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from flows.core.verdict import Bury, Drop, Verdict
from flows.engine.entries import Entries

PREFIX: Final = b"tally/"


@dataclass(slots=True)
class Change:
    """What one batch adds to one tally."""

    arrived: int = 0
    """Records read from the topic."""
    returned: int = 0
    """Records that had been waiting."""
    dropped: Counter[str] = field(default_factory=Counter)
    buried: Counter[str] = field(default_factory=Counter)
    waiting: int = 0

    @property
    def out(self) -> int:
        """Records that were kept: all that nothing else became of."""
        return self.arrived + self.returned - self.dropped.total() - self.buried.total() - self.waiting


def changes(arrived: Mapping[str, int], returned: Iterable[str], decided: Iterable[tuple[str, Verdict]]) -> dict[str, Change]:
    """Work out what a batch adds to the tallies of one partition.

    Args:
        arrived: how many records came from the topic, by resource.
        returned: the resource of each record that had been waiting.
        decided: the resource of each record that was not kept, and what was decided.

    """
    found = {resource: Change(arrived=count) for resource, count in arrived.items() if count}
    for resource in returned:
        found.setdefault(resource, Change()).returned += 1
    for resource, verdict in decided:
        change = found.setdefault(resource, Change())
        match verdict:
            case Drop(reason):
                change.dropped[reason] += 1
            case Bury(reasons):
                change.buried[reasons[0].code] += 1
            case _:
                change.waiting += 1
    return found


@dataclass(slots=True)
class Tally:
    """Absolute counts since the flow began."""

    arrived: int = 0
    out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    buried: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    last_in_ms: int = 0
    last_out_ms: int = 0

    @classmethod
    def read(cls, text: bytes) -> "Tally":
        """Read what `text` wrote."""
        found: dict[str, Any] = orjson.loads(text)
        dropped, buried = Counter(found["dropped"]), Counter(found["buried"])
        return cls(found["in"], found["out"], dropped, buried, found["waiting"], found["last_in_ms"], found["last_out_ms"])

    def text(self) -> bytes:
        """Write it as it stands in state and on `xyra.status`."""
        return orjson.dumps(
            {
                "in": self.arrived,
                "out": self.out,
                "dropped": dict(self.dropped),
                "buried": dict(self.buried),
                "waiting": self.waiting,
                "last_in_ms": self.last_in_ms,
                "last_out_ms": self.last_out_ms,
            }
        )

    def add(self, change: Change, now_ms: int) -> None:
        """Add what a batch decided."""
        self.arrived += change.arrived
        self.out += change.out
        self.dropped += change.dropped
        self.buried += change.buried
        self.waiting += change.waiting - change.returned
        if change.arrived:
            self.last_in_ms = now_ms
        if change.out:
            self.last_out_ms = now_ms


class Tallies:
    """The tallies of one partition: kept in its state, told to `xyra.status`."""

    def __init__(self, flow: str, partition: int, entries: Entries) -> None:
        """Read them from the engine's own entries; all of them are told anew, since the last owner may not have come to it."""
        self._key = f"tally/{flow}/{partition}/".encode()
        self._entries = entries
        self._tallies = {key[len(PREFIX) :].decode(): Tally.read(text) for key, text in entries.scan(PREFIX)}
        self.untold: Final[set[str]] = set(self._tallies)
        """Resources whose tally has changed since it was last told."""

    @property
    def waiting(self) -> int:
        """Records of the partition that wait to be tried again."""
        return sum(tally.waiting for tally in self._tallies.values())

    def add(self, found: Mapping[str, Change], now_ms: int) -> None:
        """Add what a batch decided, as part of the batch in hand."""
        for resource, change in found.items():
            tally = self._tallies.setdefault(resource, Tally())
            tally.add(change, now_ms)
            self._entries.put(PREFIX + resource.encode(), tally.text())
        self.untold.update(found)

    def tell(self) -> list[tuple[bytes, bytes]]:
        """Return key and value of each changed tally, for `xyra.status`; they count as told."""
        told = [(self._key + resource.encode(), self._tallies[resource].text()) for resource in sorted(self.untold)]
        self.untold.clear()
        return told
