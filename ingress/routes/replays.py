"""Replays of the log: a window of what was received is judged anew by the present definitions, and compared with what became of it then."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from flows.core import ids, topics
from flows.core.clock import rfc3339
from flows.core.errors import Conflict, FieldError, InvalidFields, NotFound
from flows.core.expressions import compile_expression
from flows.core.fields import Model
from flows.core.reruns import MOST_RATE, RERUN, SHADOW, Report, StoredRerun
from flows.core.resources import Expression, TopicName
from flows.core.rules import check_topic
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.routes.delivery_answers import Answer
from ingress.routes.webhooks import TheDoor

router = APIRouter(prefix="/integration/replays", tags=["replays"], route_class=StrictRoute)
MOST_RUNNING: Final = 4
MOST_KEPT: Final = 1000
MOST_ON_A_PAGE: Final = 100


class ReplayRequest(Model):
    """Which part of the log to judge anew, and where the events go."""

    from_time: AwareDatetime = Field(alias="from")
    """Records received from this time on, RFC 3339."""
    to_time: AwareDatetime | None = Field(default=None, alias="to")
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


class Changed(Answer):
    """Records that came out otherwise; kept both then and now means that the event's value differs."""

    then: Literal["kept", "dropped", "buried"]
    then_reason: str | None
    now: Literal["kept", "dropped", "buried"]
    now_reason: str | None
    count: int


class Sample(Answer):
    """One of them."""

    event_id: str
    origin: str
    """Where it was received: topic/partition/offset."""
    then: str
    then_reason: str | None
    now: str
    now_reason: str | None


class Counts(Answer):
    """What became of the records now. read = skipped + kept + dropped + buried."""

    total: int
    """Offsets of the window; as many records, or a few less."""
    read: int
    skipped: int
    """Of other endpoints or another time, or not chosen by the filter."""
    kept: int
    dropped: dict[str, int]
    """By reason."""
    buried: dict[str, int]
    """By code. A replay writes no dead letters: it counts them."""


class Difference(Answer):
    """What became of the records now, beside what became of them then."""

    same: int
    unknown: int
    """No topic tells any more what became of them then."""
    changed: tuple[Changed, ...]
    samples: tuple[Sample, ...]
    """The first few that changed."""


class ReplayAnswer(Answer):
    """A replay, and how far it has come."""

    replay_id: str
    state: Literal["accepted", "running", "done", "cancelling", "cancelled", "failed"]
    from_time: str = Field(serialization_alias="from")
    to_time: str = Field(serialization_alias="to")
    endpoint_id: str | None
    filter: str | None
    target_topic: str | None
    """Null: nothing is written."""
    shadow: bool
    dedupe: bool
    rate_per_second: int
    created_at: str
    updated_at: str | None
    counts: Counts | None
    """Null: no worker has begun."""
    diff: Difference | None
    trouble: str | None
    """Why it does not get on, or has failed."""

    @classmethod
    def of(cls, door: Door, order: StoredRerun) -> "ReplayAnswer":
        """Show an order and what has come of it."""
        report = door.status.reruns.get(order.replay_id)
        return cls(
            replay_id=order.replay_id,
            state=_state(order, report),
            from_time=rfc3339(order.from_ms),
            to_time=rfc3339(order.until_ms),
            endpoint_id=order.endpoint_id,
            filter=order.filter,
            target_topic=order.target_topic,
            shadow=order.shadow,
            dedupe=order.dedupe,
            rate_per_second=order.rate_per_second,
            created_at=rfc3339(order.created_at_ms),
            updated_at=rfc3339(report.updated_at_ms) if report is not None else None,
            counts=_counts(report) if report is not None else None,
            diff=_diff(report) if report is not None else None,
            trouble=(report.trouble or None) if report is not None else None,
        )


class Replays(Answer):
    """A page of replays, the newest first."""

    items: tuple[ReplayAnswer, ...]
    next_cursor: str | None
    """Give it as `cursor` to get the next page; null: there is none."""


@router.post("", status_code=202, summary="Judge a window of the log anew")
async def begin(wanted: ReplayRequest, door: TheDoor) -> ReplayAnswer:
    """Read what was received in a window of time, judge it by the present definitions, write the events to a topic of their own, and compare.

    Exactly once into the target. Dead letters are counted, not written. It runs in the workers of the flow `webhooks`, beside their own work.
    """
    door.require_reading()
    now_ms = door.clock.now_ms()
    order = _order(wanted, ids.event_id(now_ms), now_ms)

    def decide(_: bytes | None) -> bytes:
        known = door.orders.reruns()
        running = [replay_id for replay_id in known if not _over(door, replay_id)]
        if len(running) >= MOST_RUNNING:
            raise Conflict(f"{len(running)} replays are running, as many as may at once; wait for one, or cancel it: {', '.join(sorted(running))}.")
        if len(known) >= MOST_KEPT:
            raise Conflict(f"{MOST_KEPT} replays are remembered, as many as may be; DELETE makes one that is over forgotten.")
        return _text(order)

    await door.registrar.order(f"{RERUN}/{order.replay_id}", decide)
    return ReplayAnswer.of(door, order)


@router.get("", summary="List replays of the log")
async def list_all(
    door: TheDoor,
    limit: Annotated[int, Query(ge=1, le=MOST_ON_A_PAGE)] = 20,
    cursor: Annotated[str, Query(max_length=128, description="`next_cursor` of the page before.")] = "",
) -> Replays:
    """List replays, the newest first."""
    door.require_reading()
    names = [name for name in door.orders.reruns() if not cursor or name < cursor][: limit + 1]
    items = tuple(ReplayAnswer.of(door, order) for name in names[:limit] if (order := door.orders.rerun(name)) is not None)
    return Replays(items=items, next_cursor=names[limit - 1] if len(names) > limit else None)


@router.get("/{replay_id}", summary="How far a replay has come, and what it found")
async def look(replay_id: str, door: TheDoor) -> ReplayAnswer:
    """Show a replay: counts by outcome, and the difference to what became of the same records then."""
    return ReplayAnswer.of(door, _known(door, replay_id))


@router.delete("/{replay_id}", summary="Cancel a replay, or forget one that is over")
async def cancel(replay_id: str, door: TheDoor) -> ReplayAnswer:
    """Stop it where it is: what it has written stays. One that is over is forgotten, and answered for the last time."""
    shown = ReplayAnswer.of(door, _known(door, replay_id))
    if _over(door, replay_id):
        await door.registrar.order(f"{RERUN}/{replay_id}", lambda _: None)
        door.producer.send(topics.STATUS.name, f"{RERUN}/{replay_id}".encode(), None)
        return shown
    await door.registrar.order(f"{RERUN}/{replay_id}", lambda _: _text(_known(door, replay_id).model_copy(update={"cancelled": True})))
    return ReplayAnswer.of(door, _known(door, replay_id))


def _text(order: StoredRerun) -> bytes:
    return order.model_dump_json(exclude_none=True).encode()


def _order(wanted: ReplayRequest, replay_id: str, now_ms: int) -> StoredRerun:
    """Make the order of what is wanted.

    Raises:
        InvalidFields: it cannot be carried out; every reason at once.

    """
    from_ms, until_ms = _ms(wanted.from_time), min(now_ms, _ms(wanted.to_time) if wanted.to_time is not None else now_ms)
    wrong: list[FieldError] = []
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
            compile_expression(wanted.filter)
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


def _over(door: Door, replay_id: str) -> bool:
    report = door.status.reruns.get(replay_id)
    return report is not None and report.over


def _state(order: StoredRerun, report: Report | None) -> Any:
    if report is not None and report.over:
        return report.state
    if order.cancelled:
        return "cancelling"
    return "accepted" if report is None else "running"


def _counts(report: Report) -> Counts:
    return Counts(total=report.total, read=report.read, skipped=report.skipped, kept=report.kept, dropped=dict(report.dropped), buried=dict(report.buried))


def _diff(report: Report) -> Difference:
    changed = (
        Changed.model_validate(
            {"then": one.then, "then_reason": one.then_reason or None, "now": one.now, "now_reason": one.now_reason or None, "count": one.count}
        )
        for one in report.changes
    )
    samples = (Sample(**{name: text or None if name.endswith("reason") else text for name, text in sample.items()}) for sample in report.samples)  # type: ignore[arg-type]  # only reasons may be None
    return Difference(same=report.same, unknown=report.unknown, changed=tuple(changed), samples=tuple(samples))
