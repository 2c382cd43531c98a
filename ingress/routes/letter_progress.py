"""How far orders about dead letters have come, as each partition has told it."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from fastapi import APIRouter

from flows.core.clock import rfc3339
from flows.core.errors import NotFound
from flows.core.orders import DISCARD, REPLAY, StoredDiscard, StoredReplay
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.routes.delivery_answers import Answer
from ingress.routes.webhooks import TheDoor

router = APIRouter(prefix="/integration/dlq", tags=["dead letters"], route_class=StrictRoute)


class Part(Answer):
    """How far an order has come on one partition of `xyra.dlq`."""

    partition: int
    selected: int
    already: int
    """Letters that another order was faster with."""
    done: bool
    trouble: str | None
    """Why it does not get on at the moment."""


class PartitionProgress(Part):
    """How far a replay has come on one partition of `xyra.dlq`."""

    replayed: int
    failed: int
    """Letters that stay buried; each one's `failure` says why."""


class PartitionDiscard(Part):
    """How far a discard has come on one partition of `xyra.dlq`."""

    discarded: int


class Progress(Answer):
    """How far an order has come."""

    status: Literal["running", "done"]
    by: str
    ordered_at: str
    selected: int
    already: int


class ReplayProgress(Progress):
    """How far a replay has come."""

    replay_id: str
    rate_per_second: float | None
    replayed: int
    failed: int
    partitions: tuple[PartitionProgress, ...]


class DiscardProgress(Progress):
    """How far a discard has come."""

    discard_id: str
    reason: str
    discarded: int
    partitions: tuple[PartitionDiscard, ...]


@router.get("/replays/{replay_id}", summary="How far a replay has come")
async def replayed(replay_id: str, door: TheDoor) -> ReplayProgress:
    """Add up what each partition has told; a second old at most."""
    order = StoredReplay.model_validate_json(_known(door, REPLAY, replay_id))
    parts = tuple(PartitionProgress(**told, replayed=done, failed=failed) for told, done, failed in _told(door, REPLAY, replay_id, order.until))
    return ReplayProgress(
        **_sums(order, parts),
        replay_id=order.replay_id,
        rate_per_second=order.rate_per_second,
        replayed=sum(part.replayed for part in parts),
        failed=sum(part.failed for part in parts),
        partitions=parts,
    )


@router.get("/discards/{discard_id}", summary="How far a discard has come")
async def discarded(discard_id: str, door: TheDoor) -> DiscardProgress:
    """Add up what each partition has told; a second old at most."""
    order = StoredDiscard.model_validate_json(_known(door, DISCARD, discard_id))
    parts = tuple(PartitionDiscard(**told, discarded=done) for told, done, _ in _told(door, DISCARD, discard_id, order.until))
    return DiscardProgress(
        **_sums(order, parts), discard_id=order.discard_id, reason=order.reason, discarded=sum(part.discarded for part in parts), partitions=parts
    )


def _known(door: Door, kind: str, name: str) -> bytes:
    """Return an order.

    Raises:
        NotFound: there is none.

    """
    door.require_letters()
    raw = door.orders.raw(f"{kind}/{name}")
    if raw is None:
        raise NotFound(f"There is no {kind} {name[:128]}, or it is no longer remembered.")
    return raw


def _told(door: Door, kind: str, name: str, partitions: Iterable[int]) -> list[tuple[dict[str, Any], int, int]]:
    """Return what each partition of an order has told: what all orders share, then what was done, and what failed."""
    found = []
    for partition in sorted(partitions):
        told = door.status.orders.get(f"{kind}/{name}/{partition}", {})
        shared: dict[str, Any] = {"partition": partition, "selected": int(told.get("selected", 0)), "already": int(told.get("already", 0))}
        shared |= {"done": bool(told.get("over")), "trouble": str(told.get("trouble") or "") or None}
        found.append((shared, int(told.get("done", 0)), int(told.get("failed", 0))))
    return found


def _sums(order: StoredReplay | StoredDiscard, parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "status": "done" if all(part.done for part in parts) else "running",
        "by": order.by,
        "ordered_at": rfc3339(order.at_ms),
        "selected": sum(part.selected for part in parts),
        "already": sum(part.already for part in parts),
    }
