"""Puts the life of an event together. Blocking: called beside the event loop."""

from collections.abc import Callable
from typing import Final

from flows.core.record import Record
from flows.core.settings import Settings
from flows.wire.window import Bounds, Left, Window, committed
from ingress.imported import NOT_A_ROW, Places
from ingress.life import NEAR_MS, NOWHERE, SKEW_MS, Life, Replayed, Return, Ways
from ingress.search import Search

BUDGET: Final = Bounds(seconds=10.0, records=400_000, bytes=256 << 20)
"""What one answer may cost, all its looks together."""
HALF: Final = 0.5
"""The part of it that goes on a row of an import, where the id may as well be that of a producer's record."""
MOST_RETURNS: Final = 8
GROUP: Final = "xyra-webhooks"

WaysOf = Callable[[Record], Ways]
"""Tells where the events of a received record's endpoint go."""
ReplayedOf = Callable[[str], Replayed | None]
"""Tells whether a dead letter, by its id, was replayed."""


def look_up(
    settings: Settings,
    event_id: str,
    at_ms: int | None,
    now_ms: int,
    ways_of: WaysOf,
    replayed_of: ReplayedOf,
    budget: Bounds = BUDGET,
    rows: Places = NOT_A_ROW,
) -> Life:
    """Find the life of an event; blocks for the budget's seconds and what questions to the broker take.

    Args:
        settings: names the cluster.
        event_id: its id.
        at_ms: about when it was received; None where nobody says, and it is looked for as a row of an import only.
        now_ms: the time.
        ways_of: knows the definitions.
        replayed_of: knows the dead letters.
        budget: what it may cost.
        rows: where it stands, if it is a row of an import.

    Raises:
        Unavailable: the broker is away.

    """
    life, window = Life(event_id), Window(settings)
    try:
        search = Search(window, life, now_ms, budget)
        left = _named(search, rows)
        if not life.found and at_ms is not None:
            _followed(settings, search, at_ms, now_ms, ways_of, replayed_of)
        life.left += left if not life.found else []
        for span in rows.runs if not life.found else ():
            if not life.left and life.row is None:
                search.row([span])
    finally:
        window.close()
    return life


def _named(search: Search, rows: Places) -> list[Left]:
    """Look for a row near the time that was named; return what was left out, which matters only where nothing else is found."""
    if rows.near:
        search.row(rows.near, HALF)
    left, search.life.left = search.life.left, []
    return left


def _followed(settings: Settings, search: Search, at_ms: int, now_ms: int, ways_of: WaysOf, replayed_of: ReplayedOf) -> None:
    """Find an event as it was received, and follow it from there."""
    life = search.life
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
