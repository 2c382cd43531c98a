"""When a worker tells what it has counted, and that it is there: both ride on a batch that is committed anyway, or make an empty one."""

from collections.abc import Sequence
from typing import Final

from flows.core import beats, topics
from flows.core.clock import Clock
from flows.core.record import Output
from flows.engine.batch import Batch

TELL_S: Final = 1.0


class Signs:
    """Two timers on the monotonic clock. The first sign of life comes a second after the start, when the worker has opened everything.

    A worker that drains says goodbye, unless its flow is one that somebody is always to run: then silence is to be noticed.
    """

    def __init__(self, flow: str, slot: int, clock: Clock, *, standing: bool, can: Sequence[str] | None = None) -> None:
        """Begin to count; `can`: what each sign says that this installation can."""
        self._key = beats.key(flow, str(slot)).encode()
        self._clock = clock
        self._standing, self._can = standing, can
        self._given = False
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

    @property
    def goodbye(self) -> bool:
        """Whether one is to be said at the end: who has given no sign, and told nothing, is missed by nobody."""
        return self._given and not self._standing

    def give(self, batch: Batch, *, told: bool, last: bool = False) -> None:
        """Put a sign of life into a batch, where it is time for one; `told`: the batch also tells the tallies, `last`: no other follows."""
        now, goodbye = self._clock.monotonic(), last and not self._standing
        if told:
            self._tell_at, self._given = now + TELL_S, True
        if goodbye or now >= self._beat_at:
            self._beat_at, self._given = now + beats.EVERY_S, True
            batch.publish(Output(topics.STATUS.name, self._key, beats.text(batch.now_ms, last=goodbye, can=self._can)))
