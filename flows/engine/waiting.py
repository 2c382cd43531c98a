"""The records of one partition that wait: each one's bytes stand in state once, however often it waits, beside one small entry that says for what.

    held/<offset>   resource, record      while it waits, for whatever
    timer           attempt               until a time (`Retry`)
    work/<item>     attempt, what to do   for slow work (`Await`)
    still/<offset>  attempt               until a step recalls it (`Hold`)

A record that comes back is still held while the batch is at work on it: it is let go of when the batch is booked, unless it waits again.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from flows.core import codec
from flows.core.errors import StateDamaged
from flows.core.record import ATTEMPT, Record
from flows.core.verdict import Await, Hold, Retry, Waiting
from flows.engine.entries import Entries
from flows.engine.letters import attempt, with_header
from flows.engine.timers import DueTimer, Timers
from flows.engine.work import Item, Task, Work, payload_of

HELD: Final = b"held/"
STILL: Final = b"still/"
RETRY: Final = b"r"
"""First byte of the id of a timer that the engine has set for a record."""
LENGTH: Final = 2


class Waited(NamedTuple):
    """A record that has been waiting, and the resource it was counted under."""

    resource: str
    record: Record


class Waits:
    """Puts records into state and takes them out again, as part of the batch in hand."""

    def __init__(self, entries: Entries, timers: Timers, work: Work) -> None:
        """Take the engine's own entries of the partition, its timers and its work."""
        self._entries = entries
        self._timers = timers
        self._work = work

    def keep(self, resource: str, record: Record, verdict: Waiting, *, held: bool) -> None:
        """Let a record wait; `held` says that it has been waiting before, so that its bytes are there."""
        offset = record.offset
        if not held:
            name = resource.encode()
            self._entries.put(HELD + _key(offset), len(name).to_bytes(LENGTH, "big") + name + codec.pack_record(record))
        tried = attempt(record)
        match verdict:
            case Retry(due_ms, _, counts):
                self._timers.set(RETRY + _key(offset), max(0, due_ms), b"%d" % (tried + counts))
            case Await():
                self._work.await_for(offset, tried, verdict)
            case Hold():
                self._entries.put(STILL + _key(offset), b"%d" % tried)

    def forget(self, offset: int) -> None:
        """Let go of a record that waits no more."""
        self._entries.delete(HELD + _key(offset))

    def due(self, timers: Sequence[DueTimer]) -> list[Waited]:
        """Return the records of due timers; those whose id begins with `RETRY`."""
        return self._found([timer.id[1:] for timer in timers], [timer.payload for timer in timers])

    def awaited(self, offset: int, tried: int) -> Waited:
        """Return the record that has waited for slow work."""
        return self._found([_key(offset)], [b"%d" % tried])[0]

    def recall(self, offset: int) -> Waited | None:
        """Return a record that was held, None when none is at that offset; it is held no more."""
        tried = self._entries.get(STILL + _key(offset))
        if tried is None:
            return None
        self._entries.delete(STILL + _key(offset))
        return self._found([_key(offset)], [tried])[0]

    def task(self, item: Item) -> Task:
        """Return what the handler of an item is given."""
        record = self._found([item.id[1:]], [b"0"])[0].record if item.awaited else None
        return Task(item.id[1:], payload_of(item), record)

    def _found(self, offsets: Sequence[bytes], tries: Sequence[bytes]) -> list[Waited]:
        found = self._entries.get_many([HELD + offset for offset in offsets])
        return [_waited(offset, packed, tried) for offset, packed, tried in zip(offsets, found, tries, strict=True)]


def _key(offset: int) -> bytes:
    return offset.to_bytes(8, "big")


def _waited(offset: bytes, packed: bytes | None, tried: bytes) -> Waited:
    if packed is None:
        raise StateDamaged(f"The record at offset {int.from_bytes(offset, 'big')} waits, and its bytes are not in state.")
    length = LENGTH + int.from_bytes(packed[:LENGTH], "big")
    record = codec.unpack_record(packed[length:])
    if int(tried) != attempt(record):
        record = with_header(record, ATTEMPT, tried)
    return Waited(packed[LENGTH:length].decode(), record)
