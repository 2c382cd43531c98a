"""One partition that this worker holds: its state, its place in the source, its tallies, timers and work."""

from typing import Final, NamedTuple

from flows.core import codec
from flows.core.record import ATTEMPT, Record
from flows.engine.letters import attempt, with_header
from flows.engine.state import PartitionState
from flows.engine.tally import Tallies
from flows.engine.timers import Timers
from flows.engine.work import Item, Work
from flows.wire.messages import Message

STEPS: Final = b"u"
RETRY: Final = b"r"
"""First byte of a timer's id: set by a step, or by the engine for a record that waits."""
MOST_DUE: Final = 1000
MOST_DUE_BYTES: Final = 8 << 20
DUE_AT_ONCE: Final = 16
LENGTH: Final = 2


class DueTimer(NamedTuple):
    """A timer whose time has come."""

    partition: int
    id: bytes
    due_ms: int
    payload: bytes


class Waited(NamedTuple):
    """A record that has been waiting, and the resource it was counted under."""

    resource: str
    record: Record


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
        self.position = position
        """The offset to commit: the last record taken, and one."""
        self._holding = holding

    def holds(self, item: Item) -> bool:
        """Tell whether a work item was submitted during this holding of the partition."""
        return item.holding == self._holding

    def accept(self, messages: list[Message]) -> list[Message]:
        """Move the position behind these, and return those of them that no checkpoint has dealt with."""
        if messages[0].offset() < self.position:
            messages = [message for message in messages if message.offset() >= self.position]
        if messages:
            self.position = messages[-1].offset() + 1
        return messages

    def keep(self, resource: str, record: Record, due_ms: int) -> None:
        """Keep a record in state until it is due, counted up to its next attempt."""
        waiting = with_header(record, ATTEMPT, b"%d" % (attempt(record) + 1))
        name = resource.encode()
        payload = len(name).to_bytes(LENGTH, "big") + name + codec.pack_record(waiting)
        self.state.timers.set(RETRY + record.offset.to_bytes(8, "big"), max(0, due_ms), payload)

    def take_due(self, now_ms: int) -> tuple[list[Waited], list[DueTimer]]:
        """Take what is due out of state, as part of the batch in hand: records that waited, and timers of steps. Bounded in count and bytes."""
        waited: list[Waited] = []
        due: list[DueTimer] = []
        size, timers = 0, self.state.timers
        while size < MOST_DUE_BYTES and len(waited) + len(due) < MOST_DUE:
            next_ms = timers.next_due_ms()
            if next_ms is None or next_ms > now_ms:
                break
            for timer in timers.due(now_ms, DUE_AT_ONCE):
                size += len(timer.payload)
                if timer.id[:1] == RETRY:
                    waited.append(_waited(timer.payload))
                else:
                    due.append(DueTimer(self.number, timer.id[1:], timer.due_ms, timer.payload))
        return waited, due

    def close(self) -> None:
        """Let go of the state; what is pending is forgotten."""
        self.state.close()


def _waited(payload: bytes) -> Waited:
    length = LENGTH + int.from_bytes(payload[:LENGTH], "big")
    return Waited(payload[LENGTH:length].decode(), codec.unpack_record(payload[length:]))
