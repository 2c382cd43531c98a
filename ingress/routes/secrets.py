"""Secrets of an endpoint: several may be live, so that a sender's can be changed without losing a message."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from flows.core.errors import WrongSetting
from flows.core.fields import Identifier, Model
from flows.core.resources import SecretText, StoredSecret
from ingress import changes
from ingress.jsonbody import StrictRoute
from ingress.routes.answers import SecretAnswer, Secrets
from ingress.routes.webhooks import TheDoor, known
from ingress.view import seal_context

router = APIRouter(prefix="/integration/webhooks/{endpoint_id}/secrets", tags=["secrets"], route_class=StrictRoute)

Seconds = Annotated[int, Field(ge=1, le=315_360_000)]


class NewSecret(Model):
    """A secret to be live beside those that are."""

    secret: SecretText
    secret_id: Identifier | None = None
    """A name for it; absent: one is made."""
    expires_in_seconds: Seconds | None = None
    """When it is to expire; absent: never."""
    expire_others_in_seconds: Annotated[int, Field(ge=0, le=315_360_000)] | None = None
    """When those that are live now are to expire: how long the sender may still sign with them."""


@router.post("", status_code=201, summary="Add a secret")
async def add(endpoint_id: str, new: NewSecret, door: TheDoor) -> SecretAnswer:
    """Add a live secret. Both it and those before it are accepted until they expire or are removed."""
    known(door, endpoint_id)

    def unseal(secret: StoredSecret) -> str | None:
        try:
            return door.vault.open(secret.sealed, seal_context(endpoint_id, secret.secret_id))
        except WrongSetting:  # sealed with another key: a new secret is what mends it
            return None

    now_ms = door.clock.now_ms()
    plain = new.secret.get_secret_value()
    expires = None if new.expires_in_seconds is None else now_ms + new.expires_in_seconds * 1000
    others = None if new.expire_others_in_seconds is None else now_ms + new.expire_others_in_seconds * 1000
    made = changes.new_secret(endpoint_id, plain, new.secret_id, door.seal, now_ms, expires)
    stored = await door.registrar.change(endpoint_id, changes.add_secret(endpoint_id, plain, made, others, unseal, now_ms))
    return next(secret for secret in SecretAnswer.of(door, stored) if secret.secret_id == made.secret_id)


@router.get("", summary="List an endpoint's secrets")
async def list_all(endpoint_id: str, door: TheDoor) -> Secrets:
    """List ids, times and last use; never a secret."""
    return Secrets(items=SecretAnswer.of(door, known(door, endpoint_id)))


@router.delete("/{secret_id}", summary="Remove a secret")
async def remove(endpoint_id: str, secret_id: str, door: TheDoor) -> Secrets:
    """Remove a secret at once. The last live one cannot be removed."""
    known(door, endpoint_id)
    stored = await door.registrar.change(endpoint_id, changes.remove_secret(endpoint_id, secret_id, door.clock.now_ms()))
    return Secrets(items=SecretAnswer.of(door, stored))
