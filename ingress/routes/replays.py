"""Replays of the log: a window of what was received is judged anew by the present definitions, and compared with what became of it then."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from flows.core import ids, topics
from flows.core.clock import rfc3339
from flows.core.errors import Conflict, FieldError, InvalidFields, NotFound
from flows.core.expressions import compile_condition
from flows.core.fields import Expression, Model, Time, TopicName
from flows.core.reruns import MOST_RATE, RERUN, SHADOW, StoredRerun
from flows.core.rules import check_topic
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.paging import REPLAYS, ReplaysCursor, after, name_in
from ingress.routes.replay_answers import ReplayAnswer, Replays, is_over
from ingress.routes.webhooks import TheDoor

router = APIRouter(prefix="/integration/replays", tags=["replays"], route_class=StrictRoute)
MOST_RUNNING: Final = 4
MOST_KEPT: Final = 1000
MOST_ON_A_PAGE: Final = 100


class ReplayRequest(Model):
    """Which part of the log to judge anew, and where the events go."""

    from_time: Time = Field(alias="from")
    """Records received from this time on, RFC 3339."""
    to_time: Time | None = Field(default=None, alias="to")
    """Records received before this time. Absent: before now."""
    endpoint_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Only this endpoint's. Absent: all."""
    filter: Expression | None = None
    """CEL over what a webhook's filter knows; only records for which it is true, and those of no endpoint there is."""
    target_topic: TopicName | None = None
    """Where the events go, marked with the header `x-rerun`."""
    shadow: bool | TopicName | None = None
    """True, or a name: they go to a topic made for this, which nobody reads yet. This, where neither is said."""
    dry_run: bool = False
    """Nothing is written; only counted and compared."""
    dedupe: bool = False
    """Whether repeats within the window are dropped. Otherwise each record is judged, duplicates too."""
    rate_per_second: int = Field(default=1000, ge=1, le=MOST_RATE)
    """Most records read in a second."""


@router.post("", status_code=202, summary="Judge a window of the log anew")
async def begin(wanted: ReplayRequest, door: TheDoor) -> ReplayAnswer:
    """Read what was received in a window of time, judge it by the present definitions, write the events to a topic of their own, and compare.

    Exactly once into the target. Dead letters are counted, not written. It runs in the workers of the flow `webhooks`, beside their own work.
    """
    door.require_reading()
    now_ms = door.clock.now_ms()
    order = _order(wanted, ids.event_id(now_ms), now_ms, tuple(_nobody(door, wanted.endpoint_id)))

    def decide(_: bytes | None) -> bytes:
        known = door.orders.reruns()
        running = [replay_id for replay_id in known if not _ended(door, replay_id)]
        if len(running) >= MOST_RUNNING:
            raise Conflict(
                f"{len(running)} replays are running, as many as may at once: {', '.join(running)}. "
                f"Wait until one is over, or cancel one with DELETE /integration/replays/{running[-1]}."
            )
        if len(known) >= MOST_KEPT:
            raise Conflict(f"{MOST_KEPT} replays are remembered, as many as may be; DELETE makes one that is over forgotten.")
        return _text(order)

    await door.registrar.order(f"{RERUN}/{order.replay_id}", decide)
    return ReplayAnswer.of(door, order)


@router.get("", summary="List replays of the log")
async def list_all(
    door: TheDoor,
    limit: Annotated[int, Query(ge=1, le=MOST_ON_A_PAGE)] = 20,
    cursor: ReplaysCursor = "",
) -> Replays:
    """List replays, the newest first."""
    door.require_reading()
    before = name_in(cursor)
    names = [name for name in door.orders.reruns() if not before or name < before][: limit + 1]
    items = tuple(ReplayAnswer.of(door, order) for name in names[:limit] if (order := door.orders.rerun(name)) is not None)
    return Replays(items=items, next_cursor=after(REPLAYS, names[limit - 1]) if len(names) > limit else None)


@router.get("/{replay_id}", summary="How far a replay has come, and what it found")
async def look(replay_id: str, door: TheDoor) -> ReplayAnswer:
    """Show a replay: counts by outcome, and the difference to what became of the same records then."""
    return ReplayAnswer.of(door, _known(door, replay_id))


@router.delete("/{replay_id}", summary="Cancel a replay, or forget one that is over")
async def cancel(replay_id: str, door: TheDoor) -> ReplayAnswer:
    """Stop it where it is: what it has written stays, and so does the topic it made. One that is over is forgotten, and answered for the last time."""
    shown = ReplayAnswer.of(door, _known(door, replay_id)).left()
    if is_over(door, replay_id):
        await door.registrar.order(f"{RERUN}/{replay_id}", lambda _: None)
        door.producer.send(topics.STATUS.name, f"{RERUN}/{replay_id}".encode(), None)
        return shown
    await door.registrar.order(f"{RERUN}/{replay_id}", lambda _: _text(_known(door, replay_id).model_copy(update={"cancelled": True})))
    return ReplayAnswer.of(door, _known(door, replay_id)).left()


def _text(order: StoredRerun) -> bytes:
    return order.model_dump_json(exclude_none=True).encode()


def _nobody(door: Door, endpoint_id: str | None) -> Iterator[FieldError]:
    """Refuse an endpoint that never was, for which the whole window would be read and skipped; one that was deactivated may be meant."""
    if endpoint_id is not None and door.definitions.raw(endpoint_id) is None:
        yield FieldError("/endpoint_id", "unknown_endpoint", f"there is no endpoint {endpoint_id}; GET /integration/webhooks lists those there are")


def _order(wanted: ReplayRequest, replay_id: str, now_ms: int, amiss: tuple[FieldError, ...]) -> StoredRerun:
    """Make the order of what is wanted, unless something in it was found to be `amiss`.

    Raises:
        InvalidFields: it cannot be carried out; every reason at once.

    """
    from_ms, until_ms = _ms(wanted.from_time), min(now_ms, _ms(wanted.to_time) if wanted.to_time is not None else now_ms)
    wrong = list(amiss)
    if from_ms >= until_ms:
        wrong.append(FieldError("/from", "empty_window", f"the window ends at {rfc3339(until_ms)}, and must begin before"))
    if (wanted.target_topic is not None) + (wanted.shadow not in {None, False}) + wanted.dry_run > 1:
        wrong.append(FieldError("/target_topic", "too_many", "give one of target_topic, shadow and dry_run"))
    shadow = wanted.shadow if isinstance(wanted.shadow, str) else None
    for name, pointer in ((wanted.target_topic, "/target_topic"), (shadow, "/shadow")):
        wrong += [FieldError(pointer, error.code, error.detail) for error in check_topic(name)]
    if shadow == topics.EVENTS.name:
        wrong.append(FieldError("/shadow", "no_shadow", f"{shadow} is read as what it is; say target_topic where that is meant"))
    if wanted.filter is not None:
        try:
            compile_condition(wanted.filter)
        except ValueError as error:
            wrong.append(FieldError("/filter", "invalid_expression", f"{error}"))
    if wrong:
        raise InvalidFields("The request has fields that are not valid.", errors=tuple(wrong))
    target = None if wanted.dry_run else wanted.target_topic or shadow or SHADOW + replay_id
    return StoredRerun(
        replay_id=replay_id,
        from_ms=from_ms,
        until_ms=until_ms,
        endpoint_id=wanted.endpoint_id,
        filter=wanted.filter,
        target_topic=target,
        shadow=target is not None and wanted.target_topic is None,
        dedupe=wanted.dedupe,
        rate_per_second=wanted.rate_per_second,
        created_at_ms=now_ms,
    )


def _ms(time: Any) -> int:
    try:
        return max(0, int(time.timestamp() * 1000))
    except (OverflowError, ValueError):  # the year 1, or 9999, in somebody's time zone
        return 0


def _known(door: Door, replay_id: str) -> StoredRerun:
    """Return an order.

    Raises:
        NotFound: there is none.

    """
    door.require_reading()
    order = door.orders.rerun(replay_id)
    if order is None:
        raise NotFound(f"There is no replay {replay_id[:128]}.")
    return order


def _ended(door: Door, replay_id: str) -> bool:
    """Tell whether a replay is over, or will be as soon as a worker sees that it was cancelled."""
    order = door.orders.rerun(replay_id)
    return is_over(door, replay_id) or order is None or order.cancelled
