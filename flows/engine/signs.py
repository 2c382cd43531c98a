"""When a worker tells what it has counted, and that it is there: both ride on a batch that is committed anyway, or make an empty one."""

from typing import Final

from flows.core import beats, topics
from flows.core.clock import Clock
from flows.core.record import Output
from flows.engine.batch import Batch

TELL_S: Final = 1.0


class Signs:
    """Two timers on the monotonic clock. The first sign of life comes a second after the start, when the worker has opened everything."""

    def __init__(self, flow: str, slot: int, clock: Clock) -> None:
        """Begin to count."""
        self._key = beats.key(flow, str(slot)).encode()
        self._clock = clock
        self._tell_at = self._beat_at = clock.monotonic() + TELL_S

    @property
    def tell(self) -> bool:
        """Whether it is time to tell tallies that have changed."""
        return self.tell_in_s <= 0

    @property
    def tell_in_s(self) -> float:
        """How long until then."""
        return self._tell_at - self._clock.monotonic()

    @property
    def beat(self) -> bool:
        """Whether it is time for a sign of life."""
        return self._clock.monotonic() >= self._beat_at

    def give(self, batch: Batch, *, told: bool) -> None:
        """Put a sign of life into a batch, where it is time for one; `told`: the batch also tells the tallies."""
        now = self._clock.monotonic()
        if told:
            self._tell_at = now + TELL_S
        if now >= self._beat_at:
            self._beat_at = now + beats.EVERY_S
            batch.publish(Output(topics.STATUS.name, self._key, beats.text(batch.now_ms)))
