"""The slow work of a rerun: reads a portion of the log, and what became of its records when they came."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from flows.core import codec, topics
from flows.core.history import Fate, fate_of
from flows.core.record import CE_SOURCE, ORIGIN, Record
from flows.core.reruns import Side
from flows.core.settings import Settings
from flows.engine import Task
from flows.wire.messages import Message, record_of
from flows.wire.window import Bounds, Span, Window

BYTES: Final = 8 << 20
READ_S: Final = 10.0
PAST: Final = Bounds(seconds=20.0, records=500_000, bytes=256 << 20)
"""What it may cost to find out what became of a portion's records; those that are not found by then count as unknown."""
SKEW_MS: Final = 5_000
LENGTH: Final = 4
UNKNOWN: Final = Side("unknown")

Offsets = dict[int, int]


class Wanted(NamedTuple):
    """Which portion is to be read."""

    from_ms: int
    until_ms: int
    at: Offsets | None
    """Where each partition is to be read from; None: from the beginning of the window."""
    ends: Offsets
    """Where each partition's window ends; fixed when the first portion is read."""
    source: str
    """Only records with this `ce_source`; empty: all."""
    targets: Sequence[str]
    """Topics that events may have gone to, beside `xyra.events`."""
    records: int

    def pack(self) -> bytes:
        """Write it as the payload of slow work."""
        return orjson.dumps(self._asdict(), option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def unpack(cls, data: bytes) -> "Wanted":
        """Read what `pack` wrote."""
        found: dict[str, Any] = orjson.loads(data)
        at = offsets(found["at"]) if found["at"] is not None else None
        return cls(**found | {"at": at, "ends": offsets(found["ends"])})


class Past(NamedTuple):
    """A portion, as it was read."""

    at: Offsets
    """Where the next portion begins."""
    ends: Offsets
    read: int
    records: Sequence[Record]
    """Those of the window, with the source that was wanted."""
    sides: Sequence[Side]
    """What became of each of them."""

    @property
    def left(self) -> int:
        """Offsets of the window behind it: as many records at most, since the end of a transaction is an offset too."""
        return sum(max(0, self.ends[number] - at) for number, at in self.at.items())

    def pack(self) -> bytes:
        """Write it as the result of slow work: a line of JSON, then the records."""
        head = {"at": self.at, "ends": self.ends, "read": self.read, "sides": [[s.outcome, s.reason, s.value] for s in self.sides]}
        packed = [codec.pack_record(record) for record in self.records]
        body = b"".join(len(one).to_bytes(LENGTH, "big") + one for one in packed)
        return orjson.dumps(head, option=orjson.OPT_NON_STR_KEYS) + b"\n" + body

    @classmethod
    def unpack(cls, data: bytes) -> "Past":
        """Read what `pack` wrote."""
        line = data.index(b"\n")
        head: dict[str, Any] = orjson.loads(data[:line])
        records, at = [], line + 1
        while at < len(data):
            end = at + LENGTH + int.from_bytes(data[at : at + LENGTH], "big")
            records.append(codec.unpack_record(data[at + LENGTH : end]))
            at = end
        return cls(offsets(head["at"]), offsets(head["ends"]), head["read"], records, [Side(*side) for side in head["sides"]])


def offsets(found: Mapping[str, int]) -> Offsets:
    """Read offsets by partition out of JSON, where all keys are texts."""
    return {int(number): offset for number, offset in found.items()}


def reader(settings: Settings) -> Callable[[Task], bytes]:
    """Make the handler that reads portions: `Wanted` in, `Past` out; raises `Unavailable` when the broker is away."""

    def read(task: Task) -> bytes:
        window = Window(settings)
        try:
            return read_past(window, Wanted.unpack(task.payload)).pack()
        finally:
            window.close()

    return read


def read_past(window: Window, wanted: Wanted) -> Past:
    """Read one portion and the fates of its records; blocks for half a minute at most."""
    at, ends = wanted.at, wanted.ends
    if at is None:
        at, ends = window.extents(topics.WEBHOOKS.name, wanted.from_ms, wanted.until_ms)
    messages, behind = window.read(at, ends, topics.WEBHOOKS.name, Bounds(READ_S, wanted.records, BYTES))
    source = wanted.source.encode()
    in_time = range(wanted.from_ms, wanted.until_ms)  # records that were written late stand among later ones
    records = [one for one in map(record_of, messages) if one.timestamp_ms in in_time and (not source or one.header(CE_SOURCE) == source)]
    return Past(behind, ends, len(messages), records, sides_of(window, records, wanted.targets))


def sides_of(window: Window, records: Sequence[Record], targets: Sequence[str], bounds: Bounds = PAST) -> list[Side]:
    """Find what became of each of these records when it came."""
    if not records:
        return []
    open_ = {record.origin for record in records}
    found: dict[str, Side] = {}

    def take(message: Message) -> bool:
        fate = _about(message, open_)
        if fate is not None:
            open_.discard(fate.origin)
            found[fate.origin] = side_of(fate)
        return not open_

    begin = min(record.timestamp_ms for record in records) - SKEW_MS
    keys = frozenset(record.key for record in records if record.key is not None) if all(record.key is not None for record in records) else None
    spans = [Span(topics.EVENTS.name, begin, keys=keys), *(Span(name, begin) for name in (topics.DLQ.name, topics.JOURNAL.name, *targets))]
    window.look(spans, take, bounds)
    return [found.get(record.origin, UNKNOWN) for record in records]


def side_of(fate: Fate) -> Side:
    """Return what a fate is compared by."""
    return Side("kept", value=hash_of(fate.told.value)) if fate.outcome == "kept" else Side(fate.outcome, fate.reason)


def hash_of(value: bytes | None) -> str:
    """Hash an event's value, so that two can be compared without keeping them."""
    return hashlib.blake2b(value or b"", digest_size=16).hexdigest()


def _about(message: Message, origins: set[str]) -> Fate | None:
    """Read the fate of one of these records; most messages are turned away by one header."""
    if message.topic() not in {topics.DLQ.name, topics.JOURNAL.name}:
        told = next((value for name, value in message.headers() or () if name == ORIGIN), b"")
        if told.decode("utf-8", "replace") not in origins:
            return None
    fate = fate_of(record_of(message))
    return fate if fate is not None and fate.origin in origins else None
