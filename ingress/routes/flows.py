"""Flows: what each has decided, whether it stands, and the order to stand or to go on."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from flows.core import ids
from flows.core.clock import rfc3339
from flows.core.errors import NotFound
from flows.core.fields import Lines, Model
from flows.core.orders import PAUSE, StoredPause
from ingress import health
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.routes.delivery_answers import Answer, time_or_none
from ingress.routes.letters import ADMIN
from ingress.routes.webhooks import TheDoor
from ingress.status import INGRESS

FlowStatus = Literal["running", "paused", "stopped", "ended", "unknown"]
STATUS: Final[dict[str, FlowStatus]] = {"ok": "running", "paused": "paused", "stopped": "stopped", "ended": "ended", "away": "unknown"}
router = APIRouter(prefix="/integration/flows", tags=["flows"], route_class=StrictRoute)
BURY_MINUTES: Final = 10


class PauseRequest(Model):
    """Why a flow is to stand."""

    reason: Annotated[Lines, StringConstraints(max_length=500)] = ""


class ResumeRequest(Model):
    """How a flow is to go on."""

    bury: bool = False
    """Whether it may bury whatever it must for some minutes, without pausing itself."""
    minutes: Annotated[int, Field(ge=1, le=1440)] = BURY_MINUTES


class StandingPartition(Answer):
    """A partition that takes no records."""

    partition: str
    since: str | None
    code: Literal["buried_too_much", "ordered"]
    why: str
    by: str | None


class FlowAnswer(Answer):
    """A flow as it stands: in = out + dropped + buried + waiting."""

    flow: str
    status: FlowStatus
    """`paused`: at least one partition stands. `stopped`: nobody runs it, as nothing was heard of a worker for 35 s. `ended`: nobody does, since its last
    worker has drained. `unknown`: nothing was heard, and nothing could be, as the broker is away."""
    paused: tuple[StandingPartition, ...]
    records_in: int
    out: int
    dropped: int
    buried: int
    waiting: int
    last_seen: str | None
    """When a worker last gave a sign of life, every 10 s, or counted something."""
    seconds_since_seen: float | None


class Flows(Answer):
    """Every flow that has told something."""

    items: tuple[FlowAnswer, ...]
    next_cursor: None = None


class FlowOrder(Answer):
    """An order to a flow; each of its workers follows within a second."""

    flow: str
    order_id: str
    ordered: Literal["pause", "resume"]
    bury_until: str | None = None
    """Until then the flow does not pause itself."""


@router.get("", summary="List flows")
async def list_all(door: TheDoor) -> Flows:
    """List flows with their counts, and the partitions that stand, with the reason."""
    door.require_letters()
    parts = health.parts(door)
    return Flows(items=tuple(_shown(door, flow, parts[f"flow {flow}"]) for flow in sorted(_names(door))))


@router.post("/{flow}/pause", status_code=202, summary="Pause a flow")
async def pause(flow: str, door: TheDoor, wanted: PauseRequest | None = None) -> FlowOrder:
    """Let a flow take no fresh records; what waits stays in its state, and nothing is lost."""
    order = StoredPause(order_id=_id(door, flow), paused=True, reason=(wanted or PauseRequest()).reason, by=ADMIN, at_ms=door.clock.now_ms())
    return await _order(door, flow, order)


@router.post("/{flow}/resume", status_code=202, summary="Resume a flow")
async def resume(flow: str, door: TheDoor, wanted: ResumeRequest | None = None) -> FlowOrder:
    """Let a flow go on that was paused, or has paused itself: first with what waits. With `bury` it may bury whatever it must for some minutes."""
    how, now_ms = wanted or ResumeRequest(), door.clock.now_ms()
    until = now_ms + how.minutes * 60_000 if how.bury else 0
    return await _order(door, flow, StoredPause(order_id=_id(door, flow), paused=False, bury_until_ms=until, by=ADMIN, at_ms=now_ms))


def _names(door: Door) -> set[str]:
    return {*door.status.seen, *(flow for flow, _ in (*door.status.flows, *door.status.pauses))} - {INGRESS}


def _id(door: Door, flow: str) -> str:
    """Make an order's id.

    Raises:
        NotFound: there is no such flow.

    """
    door.require_letters()
    if flow not in _names(door):
        raise NotFound(f"No flow {flow[:128]} has told anything yet; GET /integration/flows lists those that have.")
    return ids.event_id(door.clock.now_ms())


async def _order(door: Door, flow: str, order: StoredPause) -> FlowOrder:
    text = order.model_dump_json().encode()
    await door.registrar.order(f"{PAUSE}/{flow}", lambda _: text)
    ordered: Literal["pause", "resume"] = "pause" if order.paused else "resume"
    return FlowOrder(flow=flow, order_id=order.order_id, ordered=ordered, bury_until=time_or_none(order.bury_until_ms))


def _shown(door: Door, flow: str, part: health.Part) -> FlowAnswer:
    counts = [counts for (name, _), counts in door.status.flows.items() if name == flow]
    stands = [(partition, why) for (name, partition), why in sorted(door.status.pauses.items()) if name == flow]
    paused = tuple(
        StandingPartition(
            partition=partition,
            since=rfc3339(int(why["since_ms"])) if "since_ms" in why else None,
            code="ordered" if why.get("code") == "ordered" else "buried_too_much",
            why=str(why.get("why", "")),
            by=str(why.get("by") or "") or None,
        )
        for partition, why in stands
    )
    seen = door.status.seen.get(flow)
    return FlowAnswer(
        flow=flow,
        status=STATUS[part.state],
        paused=paused,
        records_in=sum(one.totals["in"] for one in counts),
        out=sum(one.totals["out"] for one in counts),
        dropped=sum(sum(one.by_reason("dropped").values()) for one in counts),
        buried=sum(sum(one.by_reason("buried").values()) for one in counts),
        waiting=sum(one.totals["waiting"] for one in counts),
        last_seen=rfc3339(seen) if seen else None,
        seconds_since_seen=round((door.clock.now_ms() - seen) / 1000, 3) if seen else None,
    )
