"""One partition that this worker holds: its state, its place in the source, its tallies, timers and work."""

from typing import Final, NamedTuple

import orjson

from flows.engine.state import PartitionState
from flows.engine.tally import Tallies
from flows.engine.timers import DueTimer as Timer
from flows.engine.timers import Timers
from flows.engine.waiting import RETRY, Waited, Waits
from flows.engine.work import Awaited, Ended, Finished, Item, Task, Work
from flows.wire.messages import Message

PAUSED: Final = b"paused"
STEPS: Final = b"u"
"""First byte of the id of a timer that a step has set."""
MOST_DUE: Final = 1000
MOST_DUE_BYTES: Final = 8 << 20
DUE_AT_ONCE: Final = 16


class DueTimer(NamedTuple):
    """A timer whose time has come."""

    partition: int
    id: bytes
    due_ms: int
    payload: bytes


class Pause(NamedTuple):
    """Why a partition takes no records and nothing of what waits."""

    since_ms: int
    code: str
    """`buried_too_much`, or `ordered`."""
    why: str
    order: str
    """The last order about it that was known; another one ends it."""
    by: str

    def text(self) -> bytes:
        """Write it as it stands in state and on `xyra.status`."""
        return orjson.dumps(self._asdict())


class Alarms:
    """The timers of one partition, as a step sees them."""

    def __init__(self, timers: Timers) -> None:
        """Take the timers of the partition's state."""
        self._timers = timers

    def set(self, timer_id: bytes, due_ms: int, payload: bytes = b"") -> None:
        """Set a timer, or move the one of that id; in the past means with the next batch.

        Raises:
            ValueError: `due_ms` is negative or no 64-bit number.

        """
        self._timers.set(STEPS + timer_id, due_ms, payload)

    def cancel(self, timer_id: bytes) -> None:
        """Remove a timer; one that does not exist is no error."""
        self._timers.cancel(STEPS + timer_id)


class Share:
    """A partition held, from the moment its state is restored."""

    def __init__(self, flow: str, state: PartitionState, position: int, holding: int) -> None:
        """Take a restored state.

        Args:
            flow: the flow's name.
            state: of this partition.
            position: the offset the group has committed, -1 for none.
            holding: a number that no other holding of any partition in this process has.

        """
        self.state: Final = state
        self.number: Final = state.partition
        self.tallies: Final = Tallies(flow, state.partition, state.internal)
        self.alarms: Final = Alarms(state.timers)
        self.work: Final = Work(state.internal, state.partition, holding)
        self.waits: Final = Waits(state.internal, state.timers, self.work)
        self.position = position
        """The offset to commit: the last record taken, and one."""
        stored = state.internal.get(PAUSED)
        self.paused: Pause | None = None if stored is None else Pause(**orjson.loads(stored))
        self._untold_pause = False
        self._pause_key = f"flow/{flow}/{state.partition}".encode()
        self._holding = holding

    def task(self, item: Item) -> Task | None:
        """Return what an item's handler is given; None when it was submitted during another holding, or is not to be done any more."""
        return self.waits.task(item) if item.holding == self._holding and self.work.stands(item) else None

    def finish(self, ended: Ended) -> tuple[Waited, Finished] | Finished | None:
        """Take an ended item out of state, together with the record that has waited for it, if one has; None when it is not wanted any more."""
        found = self.work.take(ended)
        if isinstance(found, Awaited):
            return self.waits.awaited(found.offset, found.attempt), found.finished
        return found

    def pause(self, why: Pause | None) -> None:
        """Let the partition stand, or go on (None), as part of the batch in hand; what waits stays in state meanwhile."""
        self.paused = why
        self._untold_pause = True
        if why is None:
            self.state.internal.delete(PAUSED)
        else:
            self.state.internal.put(PAUSED, why.text())

    def tell_pause(self) -> list[tuple[bytes, bytes | None]]:
        """Return key and value for `xyra.status` where the partition has begun to stand or to go on; counts as told."""
        untold, self._untold_pause = self._untold_pause, False
        return [(self._pause_key, self.paused.text() if self.paused is not None else None)] if untold else []

    def accept(self, messages: list[Message]) -> list[Message]:
        """Move the position behind these, and return those of them that no checkpoint has dealt with."""
        if messages[0].offset() < self.position:
            messages = [message for message in messages if message.offset() >= self.position]
        if messages:
            self.position = messages[-1].offset() + 1
        return messages

    def take_due(self, now_ms: int) -> tuple[list[Waited], list[DueTimer]]:
        """Take what is due out of state, as part of the batch in hand: records that waited, and timers of steps. Bounded in count and bytes."""
        waited: list[Waited] = []
        due: list[DueTimer] = []
        size, timers = 0, self.state.timers
        while size < MOST_DUE_BYTES and len(waited) + len(due) < MOST_DUE:
            found: list[Timer] = timers.due(now_ms, DUE_AT_ONCE)
            again = self.waits.due([timer for timer in found if timer.id[:1] == RETRY])
            waited += again
            due += [DueTimer(self.number, timer.id[1:], timer.due_ms, timer.payload) for timer in found if timer.id[:1] == STEPS]
            size += sum(len(one.record.value or b"") for one in again) + sum(len(timer.payload) for timer in found)
            if len(found) < DUE_AT_ONCE:
                break
        return waited, due

    def close(self) -> None:
        """Let go of the state; what is pending is forgotten."""
        self.state.close()
