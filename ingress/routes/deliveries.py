"""Deliveries of an endpoint: what they are signed with, pause and resume, and on again."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import Field

from flows.core.fields import Model
from ingress import delivering
from ingress.jsonbody import StrictRoute
from ingress.routes.delivery_answers import DeliverySecret, DeliverySecrets, DeliveryStatus, NewDeliverySecret
from ingress.routes.webhooks import TheDoor, known

router = APIRouter(prefix="/integration/webhooks/{endpoint_id}", tags=["deliveries"], route_class=StrictRoute)

LONGEST_S: Final = 315_360_000


class Rotation(Model):
    """How a new delivery secret takes its place beside those that are live."""

    expires_in_seconds: Annotated[int, Field(ge=1, le=LONGEST_S)] | None = None
    """When it is to expire; absent: never."""
    expire_others_in_seconds: Annotated[int, Field(ge=0, le=LONGEST_S)] | None = None
    """When those that are live now are to expire: how long receivers may still verify with them alone."""


@router.post("/delivery-secrets", status_code=201, summary="Make a delivery secret")
async def add(endpoint_id: str, door: TheDoor, rotation: Rotation | None = None) -> NewDeliverySecret:
    """Make a secret that deliveries are signed with, beside those that are live: each delivery carries a signature of each. It is shown this once."""
    known(door, endpoint_id)
    now_ms, wanted = door.clock.now_ms(), rotation or Rotation()
    expires = None if wanted.expires_in_seconds is None else now_ms + wanted.expires_in_seconds * 1000
    others = None if wanted.expire_others_in_seconds is None else now_ms + wanted.expire_others_in_seconds * 1000
    plain, made = delivering.new_secret(endpoint_id, door.vault.seal, now_ms, expires)
    stored = await door.registrar.change(endpoint_id, delivering.add_secret(endpoint_id, made, others, now_ms))
    shown = next(secret for secret in DeliverySecret.of(stored, now_ms) if secret.secret_id == made.secret_id)
    return NewDeliverySecret(**shown.model_dump(), secret=plain)


@router.get("/delivery-secrets", summary="List an endpoint's delivery secrets")
async def list_all(endpoint_id: str, door: TheDoor) -> DeliverySecrets:
    """List ids and times; never a secret."""
    return DeliverySecrets(items=DeliverySecret.of(known(door, endpoint_id), door.clock.now_ms()))


@router.delete("/delivery-secrets/{secret_id}", summary="Remove a delivery secret")
async def remove(endpoint_id: str, secret_id: str, door: TheDoor) -> DeliverySecrets:
    """Sign no more with a secret, at once. The last live one cannot be removed."""
    known(door, endpoint_id)
    now_ms = door.clock.now_ms()
    stored = await door.registrar.change(endpoint_id, delivering.remove_secret(endpoint_id, secret_id, now_ms))
    return DeliverySecrets(items=DeliverySecret.of(stored, now_ms))


@router.post("/deliveries/{command}", summary="Pause, resume or enable deliveries")
async def switch(endpoint_id: str, command: Literal["pause", "resume", "enable"], door: TheDoor) -> DeliveryStatus:
    """Pause: events wait, and no attempt is spent. Resume: they go on, and an open breaker probes at once.

    Enable: also switch on what a 410, or days of failures, have switched off.
    """
    known(door, endpoint_id)
    return DeliveryStatus.of(door, await door.registrar.change(endpoint_id, delivering.switch(endpoint_id, command, door.clock.now_ms())))
