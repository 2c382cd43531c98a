"""The life of one event: received, decided on, written, delivered, buried, replayed."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from flows.core import ids
from flows.core.clock import rfc3339
from flows.core.deadletters.summaries import REPLAYED
from flows.core.errors import FieldError, InvalidFields, NotFound
from flows.core.record import CE_SOURCE, Record
from flows.core.resources import MOST_FORMER, StoredWebhook
from flows.wire.aside import aside
from ingress import masks
from ingress.door import Door
from ingress.imported import NOT_A_ROW, Places, is_row, places
from ingress.jsonbody import StrictRoute
from ingress.life import DELIVERIES, FLOW, SKEW_MS, SOURCE, Life, Replayed, Ways
from ingress.lookup import BUDGET, look_up
from ingress.routes.delivery_answers import DeliveryStatus
from ingress.routes.stories import Sight, Waits, story
from ingress.routes.story_answers import Story
from ingress.routes.webhooks import TheDoor

router = APIRouter(prefix="/integration/events", tags=["events"], route_class=StrictRoute)
MOST_ID: Final = 512
NO_TIME: Final = FieldError(
    "/query/at",
    "missing",
    "give about when it was received (a row of an import: published), as ?at=2026-01-31T12:00:00Z: this id is no UUIDv7, and holds no time",
)
ROW_ELSEWHERE: Final = " A row of an import stands near the time when its job ran (GET /integration/import/jobs/{job_id}); rejected rows are in its /errors."


@router.get("/{event_id:path}", summary="The life of one event")
async def life(
    door: TheDoor,
    event_id: Annotated[str, Path(min_length=1, max_length=MOST_ID)],
    at: Annotated[
        str, Query(max_length=64, description="About when it was received, RFC 3339; needed where the id holds no time (is no UUIDv7) and is no row's.")
    ] = "",
    body: Annotated[bool, Query(description="Show the body, too: as text, or as base64 where it is none; credentials masked.")] = False,  # noqa: FBT002  a query's parameter
) -> Story:
    """Tell what became of an event that is still kept: what was received, each step's verdict, outputs, attempts to deliver, burial, replays.

    Of a row of an import, where it was published, and by which job; the jobs that are remembered say where to look, so that it may be found without `at`.

    Found by its time, without reading the log from its start; where a bound was hit, `incomplete` says what was not looked at.
    """
    now_ms = door.clock.now_ms()
    at_ms = _time(at) if at else ids.event_time_ms(event_id)
    rows = _rows(door, at_ms) if is_row(event_id) else NOT_A_ROW
    if at_ms is None and not rows.runs:
        raise InvalidFields("Where an event stands is found by its time, and this id has none.", errors=(NO_TIME,))
    if at_ms is not None and at_ms > now_ms + SKEW_MS:
        raise NotFound(f"There is no event {event_id}: its time is {rfc3339(at_ms)}, which is still to come. Nothing was looked at.")
    door.require_reading()
    found = await door.searches.aside(
        look_up, door.settings, event_id, at_ms, now_ms, lambda record: _ways(door, record), lambda letter: _replayed(door, letter), BUDGET, rows
    )
    if not found.found and found.left and at_ms is None:
        raise InvalidFields("The imports that are remembered have more rows than are looked through at once.", errors=(NO_TIME,))
    if not found.found and not found.left:
        raise NotFound(_nowhere(found, at_ms) + (ROW_ELSEWHERE if is_row(event_id) else "") + _on_disk(door))
    orders = [order for name in door.orders.reruns() if (order := door.orders.rerun(name)) is not None]
    return story(found, orders, _waits(door, found, now_ms), await _sight(door, found.received or found.row, body=body))


def _time(text: str) -> int:
    """Read RFC 3339 as milliseconds since the epoch.

    Raises:
        InvalidFields: it is none.

    """
    try:
        parsed = datetime.fromisoformat(text)
        return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        wrong = FieldError("/query/at", "not_a_time", "give a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z")
        raise InvalidFields("The request has fields that are not valid.", errors=(wrong,)) from error


def _ways(door: Door, record: Record) -> Ways:
    """Tell where the events of a record's endpoint go, and went by earlier definitions."""
    stored = door.definitions.known((record.text(CE_SOURCE) or "").removeprefix(SOURCE))
    if stored is None:
        return Ways()
    now = stored.definition.target_topic
    return Ways(((now,) if now is not None else ()) + stored.former_topics, all_known=len(stored.former_topics) < MOST_FORMER)


async def _sight(door: Door, record: Record | None, *, body: bool) -> Sight:
    """Tell what may be seen of a request, by its endpoint's definition as it stands."""
    if record is None:
        return Sight()
    proof = masks.proof_of(door.definitions.known((record.text(CE_SOURCE) or "").removeprefix(SOURCE)))
    return Sight(proof, await aside(masks.body, record.value or b"", proof) if body else None)


def _waits(door: Door, found: Life, now_ms: int) -> Waits:
    """Tell what an event may be waiting for, as it stands now."""
    partition = str(found.received.partition) if found.received is not None else ""
    flow = str(door.status.pauses.get((FLOW, partition), {}).get("why") or "") or None
    stored = door.definitions.known(found.endpoint_id) if found.endpoint_id is not None else None
    return Waits(now_ms, flow, _target(door, stored) if stored is not None else None)


def _target(door: Door, stored: StoredWebhook) -> str | None:
    """Tell why nothing is sent to an endpoint's target now; None when something is."""
    status = DeliveryStatus.of(door, stored)
    if status.state == "paused":
        return "Deliveries of the endpoint are paused."
    if status.breaker is not None and status.breaker.state == "open":
        return f"The circuit breaker of its target is open since {status.breaker.since}, until {status.breaker.until}."
    stand = [why for (flow, _), why in door.status.pauses.items() if flow == DELIVERIES]
    return f"The flow {DELIVERIES} stands: {stand[0].get('why', '')}" if stand else None


def _replayed(door: Door, letter_id: str) -> Replayed | None:
    """Tell whether a dead letter was replayed, as far as the index of the dead letters goes back."""
    letter = door.letters.get(letter_id)
    return Replayed(letter.order, letter.decided_at_ms) if letter is not None and letter.status == REPLAYED else None


def _rows(door: Door, at_ms: int | None) -> Places:
    """Tell where a row may stand; raises Unavailable before the reports of jobs have been read."""
    door.require_status()

    def topic_of(job_id: str) -> str | None:
        order = door.orders.job(job_id)
        return order.definition.target_topic if order is not None else None

    return places(door.status.jobs, topic_of, at_ms)


def _nowhere(life: Life, at_ms: int | None) -> str:
    looked = "; ".join(f"{one.topic} from {rfc3339(one.from_ms)} to {rfc3339(one.until_ms)}" for one in life.searched)
    gone = f" Of that time, the oldest records of {', '.join(sorted(life.cut))} are gone: retention has taken them." if life.cut else ""
    near = f" near {rfc3339(at_ms)}" if at_ms is not None else ""
    return f"There is no event {life.event_id}{near}. Looked at: {looked}.{gone} If it was received at another time, say when with ?at=."


def _on_disk(door: Door) -> str:
    """Name what no topic shows yet: what was accepted while the broker was away, and is not drained."""
    kept = door.spill.entries
    many = f"{kept:,}" if door.spill.counted else f"Up to {kept:,}"
    return f" {many} webhooks wait on this ingress's disk until Kafka has taken them; it may be one of these." if kept else ""
