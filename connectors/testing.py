"""Fakes that are part of the product: for your connectors' tests and for ours."""


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        """Start at `now_ms`, milliseconds since the Unix epoch."""
        self._now_ms = now_ms
        self._monotonic = 0.0

    def now_ms(self) -> int:
        """The time it was last moved to, in milliseconds since the Unix epoch."""
        return self._now_ms

    def monotonic(self) -> float:
        """Seconds it was moved forward since it was made."""
        return self._monotonic

    def advance(self, milliseconds: int) -> None:
        """Move both times forward."""
        self._now_ms += milliseconds
        self._monotonic += milliseconds / 1000

    def jump(self, milliseconds: int) -> None:
        """Move the wall clock only, as when somebody sets the machine's clock."""
        self._now_ms += milliseconds
