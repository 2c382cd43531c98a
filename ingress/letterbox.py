"""Reads dead letters from the log: for one letter's whole story, and for what a replay would do under today's definitions."""

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from flows.core import plans, topics
from flows.core.case import Plan
from flows.core.deadletters.letters import CONNECT_PREFIX, OURS_PREFIX, place_of, restored
from flows.core.deadletters.reentry import foreseen, reentering
from flows.core.deadletters.summaries import Summary
from flows.core.record import HTTP, Record
from flows.core.resources import StoredWebhook
from flows.core.settings import Settings
from flows.core.verdict import Bury, Drop, Reason, Verdict
from flows.wire.pick import pick
from ingress import masks
from ingress.masks import MASK

MOST_SHOWN: Final = 1 << 20
MOST_JUDGED: Final = 200
MOST_JUDGED_BYTES: Final = 32 << 20


class Fate(NamedTuple):
    """What would become of a letter."""

    id: str
    outcome: str
    reasons: tuple[Reason, ...] = ()


def read_letter(settings: Settings, partition: int, offset: int) -> Record | None:
    """Read one dead letter, None when it is not there any more; blocks for seconds at most.

    Raises:
        Unavailable: the broker is away.

    """
    found = pick(settings, topics.DLQ.name, partition, [offset])
    return found[0] if found else None


def headers_of(letter: Record) -> dict[str, str]:
    """Return a letter's own headers as text, without what burying has added and with credentials masked."""
    shown = {}
    for name, value in letter.headers:
        if not name.startswith((OURS_PREFIX, CONNECT_PREFIX)):
            text = MASK if masks.masked(name) else (value or b"").decode("utf-8", "backslashreplace")
            shown[name] = _request(value or b"") if name == HTTP else text
    return shown


def body_of(value: bytes) -> dict[str, Any]:
    """Return bytes as text, or in base64 where they are none; the first MiB."""
    part = value[:MOST_SHOWN]
    told: dict[str, Any] = {"bytes": len(value), "truncated": len(part) < len(value)}
    try:
        return told | {"text": part.decode()}
    except UnicodeDecodeError as error:
        if told["truncated"] and error.start >= len(part) - 3:  # a character was cut in two
            return told | {"text": part[: error.start].decode()}
        return told | {"base64": base64.b64encode(part).decode()}


def foresee(settings: Settings, letters: Sequence[Summary], definitions: Callable[[str], bytes | None], plan: Plan | None) -> list[Fate]:
    """Say what would become of letters if they were replayed now; reads them from the log and blocks while it does. Writes nothing.

    Args:
        settings: where Kafka is.
        letters: the newest of them are judged, up to 200 and 32 MiB.
        definitions: gives a webhook's definition as it stands on the log.
        plan: the replay's own transform.

    Raises:
        Unavailable: the broker is away.

    """
    chosen = _bounded(letters)
    read: dict[str, Plan | Bury | None] = {}
    records: dict[str, Record] = {}
    wanted: dict[int, list[int]] = {}
    for letter in chosen:
        partition, offset = place_of(letter.id) or (0, 0)
        wanted.setdefault(partition, []).append(offset)
    for partition, offsets in wanted.items():
        records |= {f"{partition}-{record.offset}": record for record in pick(settings, topics.DLQ.name, partition, offsets)}
    return [_fate(letter, records.get(letter.id), definitions, read, plan) for letter in chosen]


def _bounded(letters: Sequence[Summary]) -> list[Summary]:
    chosen: list[Summary] = []
    left = MOST_JUDGED_BYTES
    for letter in letters[:MOST_JUDGED]:
        left -= letter.size
        if chosen and left < 0:
            break
        chosen.append(letter)
    return chosen


def _fate(letter: Summary, record: Record | None, definitions: Callable[[str], bytes | None], read: dict[str, Plan | Bury | None], plan: Plan | None) -> Fate:
    if record is None or not letter.whole:
        return Fate(letter.id, "buried", (Reason("gone", "The record's bytes are not on the log, so it stays buried."),))
    entering = reentering(plan, letter.resource, restored(record))
    if isinstance(entering, Bury):
        return Fate(letter.id, "buried", entering.reasons)
    match _verdict(letter.topic, entering, definitions, read):
        case Drop(reason, detail):
            return Fate(letter.id, "dropped", (Reason(reason, detail),))
        case Bury(reasons):
            return Fate(letter.id, "buried", reasons)
        case _:
            return Fate(letter.id, "emitted" if letter.topic == topics.WEBHOOKS.name else "enters")


def _verdict(topic: str, entering: Record, definitions: Callable[[str], bytes | None], read: dict[str, Plan | Bury | None]) -> Verdict | None:
    """Say what the flow of a topic would decide at once; None: it would take the record, or nobody here knows."""
    if topic == topics.DELIVERIES.name:
        nowhere = undeliverable(definitions((entering.key or b"").decode("utf-8", "replace")))
        return Bury((nowhere,)) if nowhere is not None else None
    if topic != topics.WEBHOOKS.name:
        return None
    name = plans.endpoint_of(entering)
    if name not in read:
        read[name] = _plan(definitions(name))
    return foreseen(entering, read[name])


def undeliverable(stored: bytes | None) -> Reason | None:
    """Say why a delivery would be buried once more without an attempt, as its endpoint's definition stands; None: an attempt would be made."""
    try:
        webhook = StoredWebhook.model_validate_json(stored or b"")
    except ValueError:
        return Reason("unknown_endpoint", "There is no such endpoint: register it first.")
    if webhook.status != "active":
        return Reason("inactive_endpoint", "The endpoint was deactivated: PUT makes it active again.")
    return Reason("no_url", "The endpoint has no url: PUT gives it one.") if webhook.definition.url is None else None


def _plan(stored: bytes | None) -> Plan | Bury | None:
    try:
        return None if stored is None else plans.read(stored)
    except ValueError:
        return None  # it counts as absent, as in the flow


def _request(value: bytes) -> str:
    found = masks.request(value)
    return MASK if found is None else orjson.dumps(found._asdict()).decode()
