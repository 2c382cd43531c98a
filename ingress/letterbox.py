"""Reads dead letters from the log: for one letter's whole story, and for what a replay would do under today's definitions."""

import base64
from collections.abc import Callable, Mapping, Sequence
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
from flows.core.verification import Signature
from flows.wire.pick import pick
from ingress import masks
from ingress.masks import MASK
from ingress.status import is_off

MOST_SHOWN: Final = 1 << 20
MOST_JUDGED: Final = 200
MOST_JUDGED_BYTES: Final = 32 << 20


class Shown(NamedTuple):
    """A header as it may be shown."""

    name: str
    value: str


class Today(NamedTuple):
    """How things stand now, by an endpoint's id."""

    definitions: Callable[[str], bytes | None]
    """Gives a webhook's definition as it stands on the log."""
    targets: Mapping[str, Mapping[str, Any]]
    """What the flow deliveries has told of each target."""


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


def headers_of(letter: Record, proof: Signature | None) -> tuple[list[Shown], list[Shown]]:
    """Return a letter's headers in their order, repeated ones too: those the record came with, and those that burying has put there. Credentials are masked."""
    own: list[Shown] = []
    added: list[Shown] = []
    for name, value in letter.headers:
        text = MASK if masks.masked(name, proof) else (value or b"").decode("utf-8", "backslashreplace")
        shown = _request(value or b"", proof) if name == HTTP else text
        (added if name.startswith((OURS_PREFIX, CONNECT_PREFIX)) else own).append(Shown(name, shown))
    return own, added


def body_of(value: bytes, size: int) -> dict[str, Any]:
    """Return bytes as text, or in base64 where they are none; the first MiB. `size` is how many there were before any was masked."""
    part = value[:MOST_SHOWN]
    told: dict[str, Any] = {"bytes": size, "truncated": len(part) < len(value)}
    try:
        return told | {"text": part.decode()}
    except UnicodeDecodeError as error:
        if told["truncated"] and error.start >= len(part) - 3:  # a character was cut in two
            return told | {"text": part[: error.start].decode()}
        return told | {"base64": base64.b64encode(part).decode()}


def foresee(settings: Settings, letters: Sequence[Summary], today: Today, plan: Plan | None) -> list[Fate]:
    """Say what would become of letters if they were replayed now; reads them from the log and blocks while it does. Writes nothing.

    Args:
        settings: where Kafka is.
        letters: the newest of them are judged, up to 200 and 32 MiB.
        today: the definitions, and which deliveries are switched off.
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
    return [_fate(letter, records.get(letter.id), today, read, plan) for letter in chosen]


def _bounded(letters: Sequence[Summary]) -> list[Summary]:
    chosen: list[Summary] = []
    left = MOST_JUDGED_BYTES
    for letter in letters[:MOST_JUDGED]:
        left -= letter.size
        if chosen and left < 0:
            break
        chosen.append(letter)
    return chosen


def _fate(letter: Summary, record: Record | None, today: Today, read: dict[str, Plan | Bury | None], plan: Plan | None) -> Fate:
    if record is None or not letter.whole:
        return Fate(letter.id, "buried", (Reason("gone", "The record's bytes are not on the log, so it stays buried."),))
    entering = reentering(plan, letter.resource, restored(record))
    if isinstance(entering, Bury):
        return Fate(letter.id, "buried", entering.reasons)
    match _verdict(letter.topic, entering, today, read):
        case Drop(reason, detail):
            return Fate(letter.id, "dropped", (Reason(reason, detail),))
        case Bury(reasons):
            return Fate(letter.id, "buried", reasons)
        case _:
            return Fate(letter.id, "emitted" if letter.topic == topics.WEBHOOKS.name else "enters")


def _verdict(topic: str, entering: Record, today: Today, read: dict[str, Plan | Bury | None]) -> Verdict | None:
    """Say what the flow of a topic would decide at once; None: it would take the record, or nobody here knows."""
    if topic == topics.DELIVERIES.name:
        target = (entering.key or b"").decode("utf-8", "replace")
        nowhere = undeliverable(today.definitions(target), today.targets.get(target, {}))
        return Bury((nowhere,)) if nowhere is not None else None
    if topic != topics.WEBHOOKS.name:
        return None
    name = plans.endpoint_of(entering)
    if name not in read:
        read[name] = _plan(today.definitions(name))
    return foreseen(entering, read[name])


def undeliverable(stored: bytes | None, told: Mapping[str, Any]) -> Reason | None:
    """Say why a delivery would be buried once more without an attempt, as its endpoint's definition and its target stand; None: an attempt would be made."""
    try:
        webhook = StoredWebhook.model_validate_json(stored or b"")
    except ValueError:
        return Reason("unknown_endpoint", "There is no such endpoint: register it first.")
    if webhook.status != "active":
        return Reason("inactive_endpoint", "The endpoint was deactivated: PUT makes it active again.")
    if webhook.definition.url is None:
        return Reason("no_url", "The endpoint has no url: PUT gives it one.")
    if is_off(webhook, told):
        return Reason("deliveries_off", f"Its deliveries were switched off, since {told['off']['why']}: POST .../deliveries/enable, or PUT, switches them on.")
    return None


def _plan(stored: bytes | None) -> Plan | Bury | None:
    try:
        return None if stored is None else plans.read(stored)
    except ValueError:
        return None  # it counts as absent, as in the flow


def _request(value: bytes, proof: Signature | None) -> str:
    found = masks.request(value, proof)
    return MASK if found is None else orjson.dumps(found._asdict()).decode()
