"""Compares what went in with what came out. A finding is a sentence; none means the promises held."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from deploy.cli.ledger import Row
from flows.core import ids, record, topics
from tests.chaos.plan import Report, Sent
from tests.kit.topics import Read, topic_reader

SHOWN: Final = 5


def some(names: Iterable[str]) -> str:
    """Return a few of many."""
    every = sorted(names)
    return ", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN:,} more" if len(every) > SHOWN else "")


def sender_id(read: Read) -> str:
    """Return the id its sender gave a record."""
    return str(json.loads(read.value or b"{}")["id"])


def compare(bootstrap: str, sent: Sent, report: Report) -> None:
    """Read every topic from its beginning and hold it against what the senders know."""
    received, events, dead = (topic_reader(bootstrap, topic.name, timeout_s=120) for topic in (topics.WEBHOOKS, topics.EVENTS, topics.DLQ))
    report.counts |= {"received": len(received), "events": len(events), "dead letters": len(dead)}
    report.wrong += [*acknowledged(sent, received), *complete(sent, received, events), *buried(sent, received, dead)]


def acknowledged(sent: Sent, received: Sequence[Read]) -> Iterable[str]:
    """Every 2xx is on the log."""
    on_log = {read.header(record.CE_ID) for read in received}
    if missing := {event for events in sent.accepted.values() for event in events} - on_log:
        yield f"lost at the door: {len(missing):,} webhooks were answered with 2xx and are not on {topics.WEBHOOKS.name}: {some(missing)}"


def complete(sent: Sent, received: Sequence[Read], events: Sequence[Read]) -> Iterable[str]:
    """One event for each sender's id, none lost, none twice; each the bytes and the id of a record that was received."""
    came = Counter(map(sender_id, events))
    if lost := sent.accepted.keys() - came.keys():
        yield f"lost: {len(lost):,} ids have no event: {some(lost)}"
    if twice := {name for name, n in came.items() if n > 1}:
        yield f"duplicated: {len(twice):,} ids have more than one event: {some(twice)}"
    if strange := came.keys() - sent.accepted.keys():
        yield f"invented: {len(strange):,} events have an id that nobody sent: {some(strange)}"
    origins = {(sender_id(read), read.header(record.CE_ID) or ids_by_place(read)) for read in received}
    if foreign := {sender_id(event) for event in events if (sender_id(event), event.header(record.CE_ID)) not in origins}:
        yield f"misnamed: {len(foreign):,} events carry the id of no record received for them: {some(foreign)}"


def ids_by_place(read: Read) -> str:
    """Return the id of a record that came without one."""
    return ids.origin_id(topics.WEBHOOKS.name, read.partition, read.offset)


def buried(sent: Sent, received: Sequence[Read], dead: Sequence[Read]) -> Iterable[str]:
    """Every record for the endpoint nobody has registered is a dead letter, each time it was written, and nothing else is."""
    wanted = Counter(name for read in received if (name := sender_id(read)) in sent.bad)
    found = Counter(map(sender_id, dead))
    if found != wanted:
        yield f"dead letters: {some((found - wanted).keys()) or 'none'} too many, {some((wanted - found).keys()) or 'none'} missing"


def balanced(rows: Sequence[Row], report: Report) -> None:
    """The ledger adds up, and to what was counted on the logs."""
    counts = report.counts
    totals = {
        "in": sum(row.arrived for row in rows),
        "out": sum(row.out for row in rows),
        "dropped": sum(sum(row.dropped.values()) for row in rows),
        "buried": sum(sum(row.buried.values()) for row in rows),
        "waiting": sum(row.waiting for row in rows),
    }
    report.counts |= {f"ledger {name}": n for name, n in totals.items()}
    report.wrong += [f"unbalanced: {row}" for row in rows if not row.balanced]
    told = (totals["in"], totals["out"], totals["buried"], totals["dropped"], totals["waiting"])
    real = (counts["received"], counts["events"], counts["dead letters"], counts["received"] - counts["events"] - counts["dead letters"], 0)
    if told != real:
        report.wrong.append(f"the ledger says in, out, buried, dropped, waiting are {told}; the logs say {real}")
