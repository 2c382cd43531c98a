"""Puts the life of an event together. Blocking: called beside the event loop."""

from collections.abc import Callable
from typing import Final

from flows.core.record import Record
from flows.core.settings import Settings
from flows.wire.window import Bounds, Window, committed
from ingress.life import NOWHERE, Life, Replayed, Return, Ways
from ingress.search import NEAR_MS, SKEW_MS, Search

BUDGET: Final = Bounds(seconds=10.0, records=400_000, bytes=256 << 20)
"""What one answer may cost, all its looks together."""
MOST_RETURNS: Final = 8
GROUP: Final = "xyra-webhooks"

WaysOf = Callable[[Record], Ways]
"""Tells where the events of a received record's endpoint go."""
ReplayedOf = Callable[[str], Replayed | None]
"""Tells whether a dead letter, by its id, was replayed."""


def look_up(settings: Settings, event_id: str, at_ms: int, now_ms: int, ways_of: WaysOf, replayed_of: ReplayedOf, budget: Bounds = BUDGET) -> Life:
    """Find the life of an event; blocks for the budget's seconds and what questions to the broker take.

    Args:
        settings: names the cluster.
        event_id: its id.
        at_ms: about when it was received.
        now_ms: the time.
        ways_of: knows the definitions.
        replayed_of: knows the dead letters.
        budget: what it may cost.

    Raises:
        Unavailable: the broker is away.

    """
    life, window = Life(event_id), Window(settings)
    search = Search(window, life, now_ms, budget)
    try:
        search.receipt(at_ms)
        record = life.received
        ways = ways_of(record) if record is not None else NOWHERE
        _decided(settings, search, at_ms, record, ways, now_ms)
        for _ in range(MOST_RETURNS):
            replayed = replayed_of(life.fate.letter_id) if life.fate is not None and life.fate.outcome == "buried" else None
            if life.fate is None or replayed is None:
                break
            record = search.reentry(replayed.at_ms, life.fate.letter_id)
            life.returns.append(Return(life.fate.letter_id, replayed, record))
            if record is None or not _decided(settings, search, replayed.at_ms, record, ways, now_ms):
                break
        _delivered(search, life, replayed_of)
    finally:
        window.close()
    return life


def _decided(settings: Settings, search: Search, at_ms: int, record: Record | None, ways: Ways, now_ms: int) -> bool:
    """Find what the flow decided about a record, if it has come to it; tell whether that was found."""
    life, count = search.life, len(search.life.fates)
    read = record is None or committed(settings, GROUP, record.topic, record.partition) > record.offset
    if read:
        search.verdict(at_ms, record, ways.targets)
    found = len(life.fates) > count
    if record is not None and not found:
        # Offsets are committed a moment before the records of the same transaction can be read. What was read longer ago and told nowhere is held in state.
        life.waits = not read or record.timestamp_ms > now_ms - NEAR_MS or (life.complete and ways.all_known)
    return found


def _delivered(search: Search, life: Life, replayed_of: ReplayedOf) -> None:
    """Follow an event to its target, and once more where its dead letter was replayed."""
    if life.fate is not None and life.fate.outcome == "kept":
        at_ms = life.fate.told.timestamp_ms
        if life.endpoint_id is not None:
            search.handed_on(at_ms, life.endpoint_id)
    elif life.entries and life.fate is None:
        at_ms = life.entries[0][0].timestamp_ms
    else:
        return
    if not life.handed_on:
        return
    since_ms = at_ms - SKEW_MS
    search.deliveries(since_ms, life.endpoint_id)
    for _ in range(MOST_RETURNS):
        letter = life.given_up(since_ms) if life.ended == "buried" else None
        replayed = replayed_of(letter.letter_id) if letter is not None else None
        if letter is None or replayed is None:
            return
        life.returns.append(Return(letter.letter_id, replayed, None))
        since_ms = replayed.at_ms
        search.deliveries(since_ms, life.endpoint_id)
