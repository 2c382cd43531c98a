"""How far an order about dead letters has come on one partition: what stands in state and is told on `xyra.status`."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson

LEAST_CREDIT = 1.0


@dataclass(slots=True)
class Job:
    """One order on one partition. selected = done + already + failed + those in hand."""

    at_ms: int
    """When its credit was last reckoned."""
    cursor: int = 0
    """The next offset to be looked at."""
    selected: int = 0
    done: int = 0
    """Letters replayed, or discarded."""
    already: int = 0
    """Letters that another order was faster with."""
    failed: int = 0
    """Letters that could not be replayed; they stay buried, and their summaries say why."""
    credit: float = 0.0
    """Letters that the rate allows now."""
    in_hand: tuple[int, ...] = ()
    """Offsets whose letters are being read."""
    looked: bool = False
    """Whether all letters were looked at."""
    trouble: str = ""
    """Why it does not get on at the moment."""

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.looked and not self.in_hand

    def earn(self, now_ms: int, per_second: float | None, most: int) -> int:
        """Reckon the credit up to now, and return how many letters may be taken, `most` at most.

        Over any time t no more than t x `per_second` and one second's worth are taken: a clock that is set back earns nothing, and a worker that was away
        does not make up for it at once.
        """
        if per_second is None:
            return most
        passed_s = max(0, now_ms - self.at_ms) / 1000
        self.credit = min(self.credit + passed_s * per_second, max(LEAST_CREDIT, per_second))
        self.at_ms = now_ms
        return min(most, int(self.credit))

    def spend(self, count: int, per_second: float | None) -> None:
        """Take note that letters were taken."""
        if per_second is not None:
            self.credit = max(0.0, self.credit - count)

    def text(self) -> bytes:
        """Write it as it stands in state."""
        return orjson.dumps(asdict(self))

    @classmethod
    def read(cls, text: bytes) -> "Job":
        """Read what `text` wrote."""
        found: dict[str, Any] = orjson.loads(text)
        return cls(**found | {"in_hand": tuple(found["in_hand"])})

    def told(self) -> bytes:
        """Write what operators see of it."""
        names = ("selected", "done", "already", "failed", "trouble")
        return orjson.dumps({**{name: getattr(self, name) for name in names}, "over": self.over})
