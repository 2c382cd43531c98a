"""Webhook endpoints: declare, look at, replace, deactivate."""

import contextlib
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from flows.core.errors import NotFound, Unavailable
from flows.core.resources import StoredSecret, StoredWebhook, WebhookReplacement
from ingress import changes, delivering
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.paging import WEBHOOKS, WebhooksCursor, after, name_in
from ingress.routes.answers import Counters, Rates, Registered, SecretAnswer, WebhookAnswer, Webhooks, WebhookStatus
from ingress.routes.delivery_answers import DeliveryStatus, time_or_none
from ingress.view import live_secrets, seal_context

router = APIRouter(prefix="/integration/webhooks", tags=["webhooks"], route_class=StrictRoute)
MOST_ON_A_PAGE: Final = 500
INVALID: Final = frozenset({"not_json", "number_out_of_range", "schema", "filter_failed", "transform_failed", "output_too_large"})
"""Codes of dead letters whose data did not pass; the others are about the endpoint."""


def door_of(request: Request) -> Door:
    """Return the parts of this ingress."""
    found: Door = request.app.state.door
    return found


TheDoor = Annotated[Door, Depends(door_of)]


def known(door: Door, endpoint_id: str) -> StoredWebhook:
    """Return a definition.

    Raises:
        NotFound: there is none.
        Unavailable: the definitions are still being read, or this one cannot be.

    """
    door.require_reading()
    stored = door.definitions.stored(endpoint_id)
    if stored is None:
        raise NotFound(f"There is no endpoint {endpoint_id[:128]}.")
    return stored


@router.post("/register", status_code=201, summary="Register a webhook endpoint")
async def register(definition: changes.Registration, door: TheDoor) -> Registered:
    """Make an endpoint. It receives from the moment this is answered, here and on every other ingress that has read as far.

    With a `url` a secret is made that its deliveries are signed with, and shown in this answer only.
    """
    now_ms = door.clock.now_ms()
    plain, made = delivering.new_secret(definition.endpoint_id, door.vault.seal, now_ms) if definition.url is not None else (None, None)
    stored = await door.registrar.change(definition.endpoint_id, changes.register(definition, door.calls, door.seal, now_ms, made))
    return Registered.of(door, stored).showing(plain)


@router.api_route("/register", methods=["GET", "HEAD", "PUT", "DELETE"], include_in_schema=False)
async def only_post() -> None:
    """Keep `register` from being taken for an endpoint's id."""
    raise HTTPException(405)


@router.get("", summary="List webhook endpoints")
async def list_all(
    door: TheDoor,
    limit: Annotated[int, Query(ge=1, le=MOST_ON_A_PAGE)] = 100,
    cursor: WebhooksCursor = "",
) -> Webhooks:
    """List endpoints by id, active or not; one whose record on the log cannot be read here is left out, and answers 503 by itself."""
    door.require_reading()
    page = door.definitions.page(name_in(cursor), limit + 1)
    items = []
    for endpoint_id in page[:limit]:
        with contextlib.suppress(Unavailable):
            items.append(WebhookAnswer.of(door, known(door, endpoint_id)))
    return Webhooks(items=tuple(items), next_cursor=after(WEBHOOKS, page[limit - 1]) if len(page) > limit else None)


@router.get("/{endpoint_id}", summary="Look at a webhook endpoint")
async def look(endpoint_id: str, door: TheDoor) -> WebhookAnswer:
    """Show an endpoint's definition, without its secrets."""
    return WebhookAnswer.of(door, known(door, endpoint_id))


@router.put("/{endpoint_id}", summary="Replace a webhook endpoint")
async def replace(endpoint_id: str, replacement: WebhookReplacement, door: TheDoor) -> Registered:
    """Put another definition in its place, active. Without `secret` the secrets stay; with one it takes the place of all.

    Deliveries that a 410 or days of failures have switched off are switched on; ones that somebody has paused stay paused.
    Where it has a `url` for the first time, a secret for them is made, and shown in this answer only.
    """
    known(door, endpoint_id)

    def unseal(secret: StoredSecret) -> str:
        return door.vault.open(secret.sealed, seal_context(endpoint_id, secret.secret_id))

    now_ms = door.clock.now_ms()
    plain, made = delivering.new_secret(endpoint_id, door.vault.seal, now_ms) if replacement.url is not None else (None, None)
    stored = await door.registrar.change(endpoint_id, changes.replace(endpoint_id, replacement, door.calls, unseal, door.seal, now_ms, made))
    return Registered.of(door, stored).showing(plain if made in stored.delivery_secrets else None)


@router.delete("/{endpoint_id}", summary="Deactivate a webhook endpoint")
async def deactivate(endpoint_id: str, door: TheDoor) -> WebhookAnswer:
    """Take nothing more for an endpoint; what it has received stays, and so does its definition. Once more is no error."""
    stored = known(door, endpoint_id)
    if stored.status == "active":
        stored = await door.registrar.change(endpoint_id, changes.deactivate(endpoint_id, door.clock.now_ms()))
    return WebhookAnswer.of(door, stored)


@router.get("/{endpoint_id}/status", summary="What became of an endpoint's webhooks")
async def status(endpoint_id: str, door: TheDoor) -> WebhookStatus:
    """Count what was received, what was turned away and why, and what the flow made of the rest; a second old at most."""
    stored = known(door, endpoint_id)
    counts = door.status.resources[endpoint_id]
    published, mine = door.status.tally("ingress", door.instance, endpoint_id), door.tallies.of(endpoint_id)
    rejected = counts.by_reason("rejected")
    for reason in mine.rejected:  # what this ingress has not published yet
        rejected[reason] = rejected.get(reason, 0) + mine.rejected[reason] - int(published.get("rejected", {}).get(reason, 0))
    dropped, buried = counts.by_reason("dropped"), counts.by_reason("buried")
    counters = Counters(
        received=counts.totals["received"] + mine.received - int(published.get("received", 0)),
        accepted=counts.totals["accepted"] + mine.accepted - int(published.get("accepted", 0)),
        rejected=rejected,
        duplicate=dropped.get("duplicate", 0),
        filtered=sum(n for reason, n in dropped.items() if reason != "duplicate"),
        invalid=sum(n for code, n in buried.items() if code in INVALID),
        emitted=counts.totals["out"],
        dead=sum(buried.values()),
        waiting=counts.totals["waiting"],
        dropped=dropped,
        buried=buried,
    )
    return WebhookStatus(
        endpoint_id=endpoint_id,
        status=stored.status,
        counters=counters,
        rates_per_second=Rates(accepted=door.status.rates(endpoint_id, "accepted"), emitted=door.status.rates(endpoint_id, "out")),
        last_received_at=time_or_none(max(counts.last_ms.get("last_received_ms", 0), mine.last_received_ms)),
        last_emitted_at=time_or_none(counts.last_ms.get("last_out_ms")),
        live_secrets=len(live_secrets(stored, door.clock.now_ms())),
        secrets=SecretAnswer.of(door, stored),
        delivery=DeliveryStatus.of(door, stored),
    )
