"""The looks at the topics that an event's life is put together from, one after the other, under one budget."""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Final

from flows.core import ids, topics
from flows.core.deadletters.letters import OURS_PREFIX, REPLAYED_LETTER
from flows.core.history import entry_of, fate_of
from flows.core.imports.jobs import row_source
from flows.core.outbound.outcome import DELIVERED
from flows.core.record import CE_ID, CE_SOURCE, Record
from flows.wire.messages import Message, record_of
from flows.wire.window import Bounds, Span, Window
from ingress.life import FLOW, NEAR_MS, SKEW_MS, Entry, Life, Searched

RECEIVED_MS: Final = 3_600_000
"""How long after the time in its id an event is looked for on `xyra.webhooks`, and where it is not there, on the others."""
MOST_LOOKS: Final = 128
"""Stretches of the journal: more than attempts that a definition allows."""
NAMES: Final = frozenset({CE_ID, OURS_PREFIX + "event-id"})
"""Headers that hold an event's id: its own, and where it has none, that of its dead letter."""


class Search:
    """Fills a life. What each look has found says where the next one is to be made."""

    def __init__(self, window: Window, life: Life, now_ms: int, budget: Bounds) -> None:
        """Take the reader, the life to be filled, the time, and what all looks together may cost."""
        self._window, self.life, self._now_ms = window, life, now_ms
        self._id = life.event_id.encode()
        self._mine = frozenset((self._id,))
        self._made_of_place = life.event_id[14:15] == "8"  # ids.origin_id makes UUIDv8
        self._until, self._records, self._bytes = monotonic() + budget.seconds, budget.records, budget.bytes
        self._seen: set[tuple[str, int, int]] = set()
        self._origin: str | None = None
        """Where the record stands whose verdict is looked for; None: any of the event's."""

    def receipt(self, at_ms: int) -> None:
        """Find the record as it was received."""
        self.life.received = self._received(at_ms, RECEIVED_MS, None)

    def row(self, spans: Iterable[Span], part: float = 1.0) -> None:
        """Find a row of an import as it was published, with a part of what is left of the budget."""

        def take(message: Message) -> bool:
            if self._is_it(message):
                self._published(record_of(message))
            return self.life.row is not None

        self._look(spans, take, part)

    def reentry(self, at_ms: int, letter_id: str) -> Record | None:
        """Find the record that a dead letter became when it was replayed."""
        return self._received(at_ms, NEAR_MS, letter_id.encode())

    def _received(self, at_ms: int, for_ms: int, letter_id: bytes | None) -> Record | None:
        found: list[Record] = []

        def take(message: Message) -> bool:
            if self._is_it(message) and (letter_id is None or record_of(message).header(REPLAYED_LETTER) == letter_id):
                found.append(record_of(message))
            return bool(found)

        self._look([Span(topics.WEBHOOKS.name, at_ms - SKEW_MS, at_ms + for_ms)], take)
        return found[0] if found else None

    def verdict(self, at_ms: int, received: Record | None, targets: Sequence[str]) -> None:
        """Find what the flow decided about a record: any one of three topics tells."""
        self._origin = received.origin if received is not None else None
        begin = (received.timestamp_ms if received is not None else at_ms) - SKEW_MS
        keys = frozenset((received.key,)) if received is not None and received.key is not None else None
        count = len(self.life.fates)

        def take(message: Message) -> bool:
            if self._is_it(message):
                self._told(record_of(message))
            return len(self.life.fates) > count or self.life.row is not None

        def look(start: int, until: int | None) -> None:
            spans = [Span(topics.EVENTS.name, start, until, keys), Span(topics.DLQ.name, start, until), Span(topics.JOURNAL.name, start, until, self._mine)]
            self._look([*spans, *(Span(target, start, until) for target in targets if target != topics.EVENTS.name)], take)

        look(begin, begin + NEAR_MS if received is not None else at_ms + RECEIVED_MS)
        if received is not None and len(self.life.fates) == count:  # the flow was behind
            look(begin + NEAR_MS, None)
        self._origin = ""

    def deliveries(self, since_ms: int, endpoint_id: str | None) -> None:
        """Follow its attempts since a time from one to the next, each of which says when the next one is due, to how it ended."""
        life, at_ms = self.life, since_ms
        life.ended = life.due_ms = None
        for _ in range(MOST_LOOKS):
            made = [entry for entry in life.entries if entry[0].timestamp_ms >= since_ms]
            last = next((entry for entry in made if _due_ms(entry) is None), made[-1] if made else None)
            if last is not None:
                if last[1].get("outcome") == DELIVERED.code:
                    life.ended, life.due_ms = "delivered", None
                    return
                life.due_ms = _due_ms(last)
                at_ms = max(at_ms, last[0].timestamp_ms if life.due_ms is None else life.due_ms)
            if at_ms > self._now_ms:
                return
            if last is not None and life.due_ms is None:
                break
            count = len(life.entries)
            self._journal(at_ms)
            if len(life.entries) == count:
                break
        self._burial(at_ms, since_ms, endpoint_id)

    def _journal(self, at_ms: int) -> None:
        """Read the journal from a time on until a while after the first new entry.

        An attempt is made when it is due, or as much later as its target's line is long.
        """
        enough_ms: list[int] = []

        def take(message: Message) -> bool:
            if enough_ms and message.timestamp()[1] > enough_ms[0]:
                return True
            before = len(self.life.entries)
            if self._is_it(message):
                self._told(record_of(message))
            if len(self.life.entries) > before and not enough_ms:
                enough_ms.append(message.timestamp()[1] + SKEW_MS)
            return False

        self._look([Span(topics.JOURNAL.name, at_ms - SKEW_MS, None, self._mine)], take)

    def handed_on(self, at_ms: int, endpoint_id: str) -> None:
        """Find it on its way to its target: written in the transaction that wrote the event."""

        def take(message: Message) -> bool:
            if self._is_it(message):
                self.life.outputs.append(record_of(message))
                return True
            return False

        self._look([Span(topics.DELIVERIES.name, at_ms - SKEW_MS, at_ms + SKEW_MS, frozenset((endpoint_id.encode(),)))], take)

    def _burial(self, at_ms: int, since_ms: int, endpoint_id: str | None) -> None:
        """Find the dead letter of a delivery that was given up, or never begun since its target was gone: it has the key of `xyra.deliveries`."""

        def buried() -> bool:
            return self.life.given_up(since_ms) is not None

        def take(message: Message) -> bool:
            if self._is_it(message):
                self._told(record_of(message))
                return buried()
            return False

        if not buried():  # else it was seen on the way to the verdict
            keys = frozenset((endpoint_id.encode(),)) if endpoint_id is not None else None
            self._look([Span(topics.DLQ.name, at_ms - SKEW_MS, None, keys)], take)
        if buried():
            self.life.ended, self.life.due_ms = "buried", None

    def _is_it(self, message: Message) -> bool:
        if message.topic() == topics.JOURNAL.name:
            return message.key() == self._id
        named = [value for name, value in message.headers() or () if name in NAMES]
        if not named and self._made_of_place:  # its place makes its id
            return ids.origin_id(message.topic(), message.partition(), message.offset()) == self.life.event_id
        return self._id in named

    def _told(self, record: Record) -> None:
        """Take what a record about this event says, once."""
        fate = fate_of(record)
        if fate is not None and fate.flow in {"", FLOW} and self._origin in {None, fate.origin}:
            self.life.fates.append(fate)
            self.life.outputs += [record] if fate.outcome == "kept" else []
            self._origin = ""
        if record[:3] in self._seen:
            return
        if fate is not None and fate.outcome == "buried":
            self._seen.add(record[:3])
            self.life.letters.append(fate)
        if fate is None and record.topic == topics.JOURNAL.name and (entry := entry_of(record)) is not None:
            self._seen.add(record[:3])
            self.life.entries.append((record, entry))
            self.life.entries.sort(key=lambda one: (one[0].timestamp_ms, one[0].offset))
        if fate is None:
            self._published(record)

    def _published(self, record: Record) -> None:
        if (record.text(CE_SOURCE) or "").startswith(row_source()):
            self.life.row = record
            self.life.outputs.append(record)

    def _look(self, spans: Iterable[Span], take: Callable[[Message], bool], part: float = 1.0) -> None:
        spans = tuple(spans)
        bounds = Bounds(max(0.0, self._until - monotonic()) * part, int(max(0, self._records) * part), int(max(0, self._bytes) * part))
        look = self._window.look(spans, take, bounds)
        self._records -= look.records
        self.life.records += look.records
        self._bytes -= look.bytes
        self.life.left += look.left
        self.life.cut |= set(look.cut)
        self.life.searched += [Searched(span.topic, span.from_ms, min(span.until_ms or self._now_ms, self._now_ms)) for span in spans]


def _due_ms(entry: Entry) -> int | None:
    """Return when an attempt says that the next one is due; None: there is none."""
    due_ms = entry[1].get("next_due_ms")
    return due_ms if isinstance(due_ms, int) else None
