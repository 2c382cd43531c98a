"""What is proved after a storm over deliveries, from the logs and the target's memory. A finding is a sentence; none means the promises held."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

from deploy.cli import ledger
from flows.core import record, topics
from flows.core.deadletters import letters
from flows.core.deadletters.summaries import REPLAYED
from flows.core.settings import Settings
from tests.chaos.orders import index
from tests.chaos.proofs import some
from tests.chaos.receiver import Event, Seen
from tests.kit.topics import Read, topic_reader

PATIENCE_S: Final = 120.0


def compare(settings: Settings, sent: Sequence[str], seen: Seen, counts: dict[str, int]) -> Iterable[str]:
    """Hold the logs against what was sent and what the target saw; counts what it found."""
    bootstrap = settings.kafka_bootstrap_servers
    tried, dead, told = (topic_reader(bootstrap, topic.name, timeout_s=PATIENCE_S) for topic in (topics.DELIVERIES, topics.DLQ, topics.JOURNAL))
    buried = Counter(read.header("x-dlq-event-id") or "" for read in dead)
    counts |= {"events": len(sent), "letters": len(dead), "most lives": 1 + max(buried.values(), default=0)}
    counts |= {"deliveries": sum(map(len, seen.delivered.values()))}
    yield from arrived(sent, seen)
    yield from entered(tried, dead)
    yield from indexed(bootstrap, dead)
    attempts = journal(told)
    for event_id in sent:
        yield from lived(event_id, attempts[event_id], buried[event_id])
    yield from in_order(sent, seen, buried.keys())
    yield from balanced(settings, len(sent), len(dead))


def arrived(sent: Sequence[str], seen: Seen) -> Iterable[str]:
    """Every event was answered with 2xx, and nothing else was."""
    if lost := set(sent) - seen.delivered.keys():
        yield f"lost: {len(lost):,} events were never answered with 2xx: {some(lost)}"
    if strange := seen.delivered.keys() - set(sent):
        yield f"invented: {len(strange):,} deliveries have an id that nobody sent: {some(strange)}"


def entered(tried: Sequence[Read], dead: Sequence[Read]) -> Iterable[str]:
    """Each letter has entered once, as the event that it was."""
    was = {letters.letter_id(read.partition, read.offset): read.header("x-dlq-event-id") for read in dead}
    again = [(name, read.header(record.CE_ID)) for read in tried if (name := read.header(letters.REPLAYED_LETTER)) is not None]
    times = Counter(name for name, _ in again)
    if missing := was.keys() - times.keys():
        yield f"not replayed: {len(missing):,} letters never entered: {some(missing)}"
    if twice := {name for name, n in times.items() if n > 1}:
        yield f"replayed twice: {len(twice):,} letters entered more than once: {some(twice)}"
    if strange := {name for name, event_id in again if was.get(name) != event_id}:
        yield f"misnamed: {len(strange):,} records entered as letters that are other events: {some(strange)}"


def indexed(bootstrap: str, dead: Sequence[Read]) -> Iterable[str]:
    """The index has every letter, as replayed."""
    found = Counter(summary.status for summary in index(bootstrap))
    if found != ({REPLAYED: len(dead)} if dead else {}):
        yield f"the index has {dict(found)}, and there are {len(dead):,} letters"


def journal(told: Sequence[Read]) -> dict[str, list[dict[str, Any]]]:
    """Return the attempts that are told of each event, in the order in which they were committed."""
    attempts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for read in told:
        entry = json.loads(read.value or b"{}")
        if entry["kind"] == "attempt":
            attempts[entry["event_id"]].append(entry)
    return attempts


def lived(event_id: str, entries: Sequence[dict[str, Any]], burials: int) -> Iterable[str]:
    """One life for each burial, which ends with it, and a last one, which ends with the delivery; the attempts of each are told once, none was early."""
    lives: list[list[dict[str, Any]]] = []
    for entry in entries:
        if entry["attempt"] == 1:
            lives.append([])
        if lives:
            lives[-1].append(entry)
    numbers = [[entry["attempt"] for entry in life] for life in lives]
    if numbers != [[*range(1, len(life) + 1)] for life in lives] or sum(map(len, lives)) != len(entries):
        yield f"attempts of {event_id} are told as {[entry['attempt'] for entry in entries]}"
    if len(lives) != burials + 1:
        yield f"{event_id} was buried {burials} times, and tried anew {len(lives)} times"
    wanted = [*(["retried"] * (len(life) - 1) + ["buried"] for life in lives[:-1]), *(["retried"] * (len(life) - 1) + ["delivered"] for life in lives[-1:])]
    if [[_end(entry) for entry in life] for life in lives] != wanted:
        yield f"{event_id} ended as {[[entry['outcome'] for entry in life] for life in lives]}"
    for before, after in (pair for life in lives for pair in pairwise(life)):
        if after["at_ms"] < before.get("next_due_ms", 0):
            yield f"early: attempt {after['attempt']} of {event_id} was made {before['next_due_ms'] - after['at_ms']} ms before it was due"


def _end(entry: dict[str, Any]) -> str:
    if entry["outcome"] == "delivered":
        return "delivered"
    return "retried" if "next_due_ms" in entry else "buried"


def in_order(sent: Sequence[str], seen: Seen, buried: Iterable[str]) -> Iterable[str]:
    """Of a key no event was delivered before the one ahead of it; a burial lets go of the others, and what it buried comes later."""
    last: dict[tuple[int, str], tuple[str, float]] = {}
    free = set(buried)
    for event_id in sent:
        event = Event.read(event_id)
        if event.endpoint % 2 and event_id in seen.delivered and event_id not in free:
            first = seen.delivered[event_id][0]
            ahead = last.get((event.endpoint, event.key))
            if ahead is not None and first < ahead[1]:
                yield f"out of order: {event_id} was delivered {ahead[1] - first:.3f} s before {ahead[0]}"
            last[event.endpoint, event.key] = event_id, first


def balanced(settings: Settings, events: int, dead: int) -> Iterable[str]:
    """The ledgers of both flows add up, and to what was sent and buried."""
    rows = ledger.read(settings, scan=True)
    yield from (f"unbalanced: {row}" for row in rows if not row.balanced)
    for flow, wanted in (("deliveries", (events + dead, events, dead, 0)), ("replay", (dead, dead, 0, 0))):
        mine = [row for row in rows if row.flow == flow]
        parts = ((row.arrived, row.out, sum(row.buried.values()), row.waiting) for row in mine)
        told = tuple(map(sum, zip(*parts, strict=True)))
        if told != wanted:
            yield f"the ledger of {flow} says in, out, buried, waiting are {told}, and not {wanted}"
