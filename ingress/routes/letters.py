"""Dead letters: list and count them, look at one, have them replayed or discarded."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.responses import Response

from flows.core import ids
from flows.core.deadletters.letters import place_of
from flows.core.deadletters.reentry import compile_reentry
from flows.core.deadletters.summaries import BURIED, Summary, reasons_in, summary_of
from flows.core.errors import Conflict, FieldError, InvalidFields, NotFound
from flows.core.orders import DISCARD, REPLAY, StoredDiscard, StoredReplay
from flows.wire.aside import aside
from ingress import export, letterbox, masks
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.letterbox import Today
from ingress.letters import OTHERS, Group, Key, LettersView, grouped
from ingress.negotiation import JSON, preferred
from ingress.picking import Picked, pick
from ingress.routes.delivery_answers import time_or_none
from ingress.routes.letter_answers import (
    DiscardAnswer,
    DiscardRequest,
    Foreseen,
    GroupAnswer,
    Groups,
    HeaderAnswer,
    LetterAnswer,
    Letters,
    LetterStory,
    Origin,
    ReasonAnswer,
    ReplayAnswer,
    ReplayRequest,
    Search,
    Wanted,
    body,
)
from ingress.routes.webhooks import TheDoor

router = APIRouter(prefix="/integration/dlq", tags=["dead letters"], route_class=StrictRoute)
ON_A_PAGE: Final = 100
AT_ONCE: Final = 200
MOST_SAMPLES: Final = 20
MOST_ORDERS: Final = 500
"""Replays, and discards, that are remembered; an old one that is over makes room for a new one."""
ADMIN: Final = "admin"
"""Who orders: whoever has the one admin key."""
CAUSES: Final = frozenset({"flow", "resource", "letter_class", "fingerprint", "group", "limit", "cursor"})
"""What may be asked of causes without looking at letters."""
FORMS: Final = (JSON, export.CSV, export.NDJSON)
EXPORTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A page, or by `Accept` the matching letters as CSV or as NDJSON, a line each.",
        "content": {export.CSV: {"schema": {"type": "string"}}, export.NDJSON: {"schema": {"type": "string"}}},
    }
}
NONE_OF_THEM: Final[dict[int | str, dict[str, Any]]] = {404: {}}
"""Where ids are given, and there is no letter of any of them."""


@router.get("", summary="List dead letters, or count them by cause", response_model=Letters | Groups, responses=EXPORTS)
async def list_all(door: TheDoor, search: Annotated[Search, Query()], request: Request) -> Letters | Groups | Response:
    """List letters, the newest first; with `group=true` by cause. As `Accept: text/csv` or `application/x-ndjson` all that are held, safe for spreadsheets."""
    door.require_letters()
    if search.group:
        groups, complete = count(door.letters, search)
        return Groups(items=tuple(map(GroupAnswer.of, groups)), complete=complete)
    letters = _found(door.letters, search, search.cursor)
    kind = preferred(request.headers.get("accept", ""), FORMS)
    if kind != JSON:
        return StreamingResponse(_lines(list(islice(letters, search.limit)), kind), media_type=kind)
    limit = search.limit or ON_A_PAGE
    page = list(islice(letters, limit + 1))
    return Letters(items=tuple(map(LetterAnswer.of, page[:limit])), next_cursor=_cursor(page[limit - 1]) if len(page) > limit else None)


@router.post("/replay", status_code=202, summary="Replay dead letters", responses=NONE_OF_THEM)
async def replay(wanted: ReplayRequest, door: TheDoor) -> ReplayAnswer:
    """Have letters enter once more where they came from, each once however often it is asked for. A dry run says what would happen, and writes nothing."""
    door.require_letters()
    chosen = pick(door.letters, wanted)
    plan = None
    if wanted.transform is not None:
        plan, errors = compile_reentry(wanted.transform)
        if errors:
            wrong = tuple(FieldError("/transform" + error.pointer, error.code, error.detail) for error in errors)
            raise InvalidFields("The transform cannot be run.", errors=wrong)
    if wanted.dry_run:
        fates = await door.readings.aside(letterbox.foresee, door.settings, chosen.letters, Today(door.definitions.raw, door.status.breakers), plan)
        outcomes: dict[str, int] = {}
        for fate in fates:
            outcomes[fate.outcome] = outcomes.get(fate.outcome, 0) + 1
        samples = tuple(Foreseen(id=f.id, outcome=f.outcome, reasons=tuple(map(ReasonAnswer.of, f.reasons[:8]))) for f in fates[:MOST_SAMPLES])  # type: ignore[arg-type]  # validated on the way
        return ReplayAnswer(replay_id=None, dry_run=True, judged=len(fates), outcomes=outcomes, samples=samples, **names_of(chosen))
    now_ms = door.clock.now_ms()
    order = StoredReplay(
        replay_id=ids.event_id(now_ms), filter=wanted.filter, ids=wanted.ids, until=_until(door, wanted, chosen),
        rate_per_second=wanted.rate_per_second, transform=wanted.transform, by=ADMIN, at_ms=now_ms,
    )  # fmt: skip
    await _order(door, REPLAY, order.replay_id, order.model_dump_json(by_alias=True, exclude_none=True).encode())
    return ReplayAnswer(replay_id=order.replay_id, dry_run=False, **names_of(chosen))


@router.post("/discard", status_code=202, summary="Discard dead letters", responses=NONE_OF_THEM)
async def discard(wanted: DiscardRequest, door: TheDoor) -> DiscardAnswer:
    """Have letters marked as needed by nobody; they stay on the log, with who did it, when and why, and are not replayed any more."""
    door.require_letters()
    chosen = pick(door.letters, wanted)
    now_ms = door.clock.now_ms()
    order = StoredDiscard(
        discard_id=ids.event_id(now_ms), filter=wanted.filter, ids=wanted.ids, until=_until(door, wanted, chosen), reason=wanted.reason, by=ADMIN, at_ms=now_ms
    )
    await _order(door, DISCARD, order.discard_id, order.model_dump_json(by_alias=True, exclude_none=True).encode())
    return DiscardAnswer(discard_id=order.discard_id, **names_of(chosen))


@router.get("/{letter_id}", summary="Look at a dead letter")
async def look(letter_id: str, door: TheDoor) -> LetterStory:
    """Tell all of a letter: why, where from, its headers and its body, read from the log, credentials masked."""
    door.require_letters()
    place = place_of(letter_id)
    if place is None or place[0] >= door.settings.kafka_partitions:
        raise NotFound(f"There is no dead letter {letter_id[:128]}.")
    letter = door.letters.get(letter_id)
    record = await door.readings.aside(letterbox.read_letter, door.settings, *place)
    if record is not None:
        letter = letter or replace(summary_of(record), status=door.letters.status(*place) or BURIED)
    if letter is None:
        raise NotFound(f"There is no dead letter {letter_id}; what is older than 30 days has expired.")
    reasons = reasons_in(record) if record is not None else letter.reasons
    timestamp = record.text("x-dlq-timestamp") if record is not None else None
    fields = LetterAnswer.fields_of(letter) | {"reasons": tuple(map(ReasonAnswer.of, reasons or letter.reasons))}
    at = int(timestamp) if timestamp is not None and timestamp.isdecimal() else None
    proof = masks.proof_of(door.definitions.known(letter.resource))
    value = record.value if record is not None else None
    shown = await aside(masks.body, value, proof) if value is not None else None
    own, added = letterbox.headers_of(record, proof) if record is not None else ([], [])
    return LetterStory(
        origin=Origin(topic=letter.topic, partition=letter.partition, offset=letter.offset, timestamp=time_or_none(at)),
        key=body(record.key) if record is not None else None,
        headers=tuple(map(HeaderAnswer.of, own)),
        added=tuple(map(HeaderAnswer.of, added)),
        body=body(value, shown),
        on_log=record is not None,
        **fields,
    )


def count(view: LettersView, search: Search) -> tuple[list[Group], bool]:
    """Count what is asked for by cause, and tell whether that is all: exactly where only causes are asked about, else the letters that are here in full."""
    if not search.model_fields_set <= CAUSES:
        return grouped(_found(view, search, "")), not view.left_out
    wanted = {name: value for name in ("flow", "resource", "letter_class", "fingerprint") if (value := getattr(search, name)) is not None}
    groups = view.groups()
    found = [group for group in groups if all(getattr(group, name) == value for name, value in wanted.items())]
    return found, not wanted or all(group.fingerprint != OTHERS for group in groups)


def _found(view: LettersView, search: Search, cursor: str) -> Iterator[Summary]:
    """Give what is asked for behind a cursor, the newest first; to be used up at once, before the index changes."""
    before: Key | None = None
    if cursor:
        at, partition, offset = map(int, cursor.split("."))
        before = (at, partition, offset)
    matching = view.matching(search, before)
    return (letter for letter in matching if search.status in {None, letter.status} and search.id in {None, letter.id})


def names_of(chosen: Picked) -> dict[str, Any]:
    """Return what an answer says of the letters that were meant."""
    return {"selected": chosen.selected, "unknown": chosen.unknown, "decided": chosen.decided}


def _until(door: Door, wanted: Wanted, chosen: Picked) -> dict[int, int]:
    """Return how far an order reaches: on each partition where it may find something, up to the last letter there is now."""
    last = door.letters.last
    if wanted.ids is not None:
        places = [place for one in wanted.ids if (place := place_of(one)) is not None]
        return {partition: last[partition] for partition, _ in places if partition in last}
    if door.letters.left_out:  # there are letters that only the flow can choose among
        return dict(last)
    found = {place[0] for letter in chosen.letters if (place := place_of(letter.id)) is not None}
    return {partition: last[partition] for partition in found}


async def _order(door: Door, kind: str, name: str, text: bytes) -> None:
    keys = door.orders.keys(kind)
    if len(keys) >= MOST_ORDERS:
        over = next((key for key in keys if _is_over(door, key)), None)
        if over is None:
            raise Conflict(f"{len(keys)} orders are under way already; wait until one is over.")
        await door.registrar.order(over, lambda _: None)
    await door.registrar.order(f"{kind}/{name}", lambda _: text)


def _is_over(door: Door, key: str) -> bool:
    until = orjson.loads(door.orders.raw(key) or b"{}").get("until", {})
    return all(door.status.orders.get(f"{key}/{partition}", {}).get("over") for partition in until)


def _cursor(letter: Summary) -> str:
    partition, offset = place_of(letter.id) or (0, 0)
    return f"{letter.buried_at_ms}.{partition}.{offset}"


async def _lines(letters: list[Summary], kind: str) -> AsyncIterator[bytes]:
    if kind == export.CSV:
        yield export.csv_head().encode()
    rows = iter(letters)
    while portion := list(islice(rows, AT_ONCE)):
        items = [LetterAnswer.of(letter).model_dump(mode="json", by_alias=True) for letter in portion]
        yield b"".join(export.csv_line(item).encode() if kind == export.CSV else export.ndjson_line(item) for item in items)
        await asyncio.sleep(0)  # others have their turn
