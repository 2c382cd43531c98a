"""The life of one event, put together from the topics that tell of it. Blocking: called beside the event loop.

Nothing is read from a log's start. An id made here holds its time, the broker finds offsets by time, and every further step of the way
gives the time near which the next one stands: the record when it was received, the flow's verdict soon after, each attempt to deliver
when the one before said it was due.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, NamedTuple

from flows.core import ids, topics
from flows.core.history import Fate, entry_of, fate_of
from flows.core.letters import OURS_PREFIX
from flows.core.record import CE_ID, Record
from flows.core.settings import Settings
from flows.wire.messages import Message, record_of
from flows.wire.window import Bounds, Left, Span, Window, committed

SKEW_MS: Final = 5_000
"""How far two machines' clocks may be apart."""
RECEIVED_MS: Final = 3_600_000
"""How long after the time in its id an event is looked for on `xyra.webhooks`, and where it is not there, on the others."""
NEAR_MS: Final = 60_000
"""How soon a flow most often comes to a record; looked at first."""
ATTEMPT_MS: Final = 600_000
"""How long after it was due an attempt to deliver is looked for."""
BUDGET: Final = Bounds(seconds=10.0, records=400_000, bytes=256 << 20)
"""What one answer may cost, all its looks together."""
MOST_LOOKS: Final = 128
"""Stretches of the journal: more than attempts that a definition allows."""
NAMES: Final = frozenset({CE_ID, OURS_PREFIX + "event-id"})
"""Headers that hold an event's id: its own, and where it has none, that of its dead letter."""
FLOW: Final = "webhooks"
GROUP: Final = "xyra-webhooks"

Entry = tuple[Record, Mapping[str, Any]]
"""A record of the journal, and what it says."""


class Ways(NamedTuple):
    """Where events of a record's endpoint go by its present definition."""

    target: str | None = None
    """The topic, where that is not `xyra.events`."""
    delivers: str | None = None
    """The endpoint's id, where it has a `url`."""


NOWHERE: Final = Ways()


class Searched(NamedTuple):
    """A stretch of a topic that was looked at."""

    topic: str
    from_ms: int
    until_ms: int


@dataclass
class Life:
    """What was found of an event, and what was not looked at."""

    event_id: str
    received: Record | None = None
    fate: Fate | None = None
    """What the flow webhooks decided."""
    outputs: list[Record] = field(default_factory=list)
    """What it wrote of it: the event, and where its endpoint has a `url` the same on its way there."""
    read: bool = True
    """Whether that flow has read as far as the record; true where there is no record to ask for."""
    entries: list[Entry] = field(default_factory=list)
    """Of the journal, about its deliveries, in their order."""
    letters: list[Fate] = field(default_factory=list)
    """Its dead letters."""
    due_ms: int | None = None
    """When its next attempt is due."""
    records: int = 0
    """Records that were looked at."""
    searched: list[Searched] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    """Topics whose records of that time are gone, some or all."""

    @property
    def found(self) -> bool:
        """Whether anything was."""
        return self.received is not None or self.fate is not None or bool(self.letters or self.entries)


def look_up(settings: Settings, event_id: str, at_ms: int, now_ms: int, ways_of: Callable[[Record], Ways], budget: Bounds = BUDGET) -> Life:
    """Find the life of an event; blocks for the budget's seconds and what questions to the broker take.

    Args:
        settings: names the cluster.
        event_id: its id.
        at_ms: about when it was received.
        now_ms: the time.
        ways_of: tells where the events of a received record's endpoint go.
        budget: what it may cost.

    Raises:
        Unavailable: the broker is away.

    """
    window = Window(settings)
    try:
        search = _Search(window, Life(event_id), now_ms, budget)
        search.receipt(at_ms)
        received = search.life.received
        if received is not None:
            search.life.read = committed(settings, GROUP, received.topic, received.partition) > received.offset
        ways = ways_of(received) if received is not None else NOWHERE
        search.verdict(at_ms, ways.target)
        search.deliveries(ways.delivers)
        return search.life
    finally:
        window.close()


class _Search:
    """The looks at the topics, one after the other, under one budget."""

    def __init__(self, window: Window, life: Life, now_ms: int, budget: Bounds) -> None:
        self._window, self.life, self._now_ms = window, life, now_ms
        self._id = life.event_id.encode()
        self._mine = frozenset((self._id,))
        self._made_of_place = life.event_id[14:15] == "8"  # ids.origin_id makes UUIDv8
        self._until, self._records, self._bytes = monotonic() + budget.seconds, budget.records, budget.bytes
        self._seen: set[tuple[str, int, int]] = set()

    def receipt(self, at_ms: int) -> None:
        """Find the record as it was received."""

        def take(message: Message) -> bool:
            if self._is_it(message):
                self.life.received = record_of(message)
            return self.life.received is not None

        self._look([Span(topics.WEBHOOKS.name, at_ms - SKEW_MS, at_ms + RECEIVED_MS)], take)

    def verdict(self, at_ms: int, target: str | None) -> None:
        """Find what the flow decided about it: any one of three topics tells."""
        received = self.life.received
        if received is not None and not self.life.read:
            return
        begin = (received.timestamp_ms if received is not None else at_ms) - SKEW_MS
        keys = frozenset((received.key,)) if received is not None and received.key is not None else None

        def take(message: Message) -> bool:
            if self._is_it(message):
                self._told(record_of(message))
            return self.life.fate is not None

        def look(start: int, until: int | None) -> None:
            spans = [Span(topics.EVENTS.name, start, until, keys), Span(topics.DLQ.name, start, until), Span(topics.JOURNAL.name, start, until, self._mine)]
            self._look([*spans, *([Span(target, start, until)] if target is not None and target != topics.EVENTS.name else ())], take)

        look(begin, begin + NEAR_MS if received is not None else at_ms + RECEIVED_MS)
        if received is not None and self.life.fate is None:  # the flow was behind
            look(begin + NEAR_MS, None)

    def deliveries(self, endpoint_id: str | None) -> None:
        """Follow its attempts from one to the next; each says when the next one is due."""
        fate = self.life.fate
        if fate is not None and fate.outcome == "kept":
            at_ms = fate.told.timestamp_ms
            if endpoint_id is not None:
                self._handed_on(at_ms, endpoint_id.encode())
        elif self.life.entries:
            at_ms = self.life.entries[-1][0].timestamp_ms
        else:
            return
        for _ in range(MOST_LOOKS):
            record, last = self.life.entries[-1] if self.life.entries else (None, {})
            due_ms = last.get("next_due_ms")
            if isinstance(due_ms, int):
                self.life.due_ms = due_ms  # where it lies in the past, and no attempt is found: the flow has not come to it
                at_ms = max(at_ms, due_ms)
            elif record is not None:
                self.life.due_ms = None
                if last.get("kind") == "attempt":
                    self._burial(record.timestamp_ms)
                if last.get("kind") in {"attempt", "delivered"}:
                    return
                at_ms = max(at_ms, record.timestamp_ms)
            count = len(self.life.entries)
            if at_ms <= self._now_ms:
                self._journal(at_ms)
            if len(self.life.entries) == count or self._until <= monotonic():
                return

    def _journal(self, at_ms: int) -> None:
        """Read the journal from a time on until a while after the first new entry."""
        enough_ms: list[int] = []

        def take(message: Message) -> bool:
            if self._is_it(message):
                before = len(self.life.entries)
                self._told(record_of(message))
                if len(self.life.entries) > before and not enough_ms:
                    enough_ms.append(message.timestamp()[1] + SKEW_MS)
            return bool(enough_ms) and message.timestamp()[1] > enough_ms[0]

        self._look([Span(topics.JOURNAL.name, at_ms - SKEW_MS, at_ms + ATTEMPT_MS, self._mine)], take)

    def _handed_on(self, at_ms: int, endpoint_id: bytes) -> None:
        """Find it on its way to its target: written in the transaction that wrote the event."""

        def take(message: Message) -> bool:
            if self._is_it(message):
                self.life.outputs.append(record_of(message))
            return len(self.life.outputs) > 1

        self._look([Span(topics.DELIVERIES.name, at_ms - SKEW_MS, at_ms + SKEW_MS, frozenset((endpoint_id,)))], take)

    def _burial(self, at_ms: int) -> None:
        """Find the dead letter of a delivery that was given up; one that was accepted in the end has none."""

        def take(message: Message) -> bool:
            before = len(self.life.letters)
            if self._is_it(message):
                self._told(record_of(message))
            return len(self.life.letters) > before

        self._look([Span(topics.DLQ.name, at_ms - SKEW_MS, at_ms + SKEW_MS)], take)

    def _is_it(self, message: Message) -> bool:
        if message.topic() == topics.JOURNAL.name:
            return message.key() == self._id
        named = [value for name, value in message.headers() or () if name in NAMES]
        if not named and self._made_of_place:  # its place makes its id
            return ids.origin_id(message.topic(), message.partition(), message.offset()) == self.life.event_id
        return self._id in named

    def _told(self, record: Record) -> None:
        """Take what a record about this event says, once."""
        if record[:3] in self._seen:
            return
        self._seen.add(record[:3])
        fate, received = fate_of(record), self.life.received
        mine = fate is not None and (received is None or fate.origin == received.origin)
        if fate is not None and fate.outcome == "buried":
            self.life.letters.append(fate)
        if fate is not None and mine and fate.flow in {"", FLOW} and self.life.fate is None:
            self.life.fate = fate
            self.life.outputs += [record] if fate.outcome == "kept" else []
        if fate is None and record.topic == topics.JOURNAL.name and (entry := entry_of(record)) is not None:
            self.life.entries.append((record, entry))
            self.life.entries.sort(key=lambda one: (one[0].timestamp_ms, one[0].offset))

    def _look(self, spans: Iterable[Span], take: Callable[[Message], bool]) -> None:
        spans = tuple(spans)
        look = self._window.look(spans, take, Bounds(max(0.0, self._until - monotonic()), max(0, self._records), max(0, self._bytes)))
        self._records -= look.records
        self.life.records += look.records
        self._bytes -= look.bytes
        self.life.left += look.left
        self.life.cut |= set(look.cut)
        self.life.searched += [Searched(span.topic, span.from_ms, min(span.until_ms or self._now_ms, self._now_ms)) for span in spans]
