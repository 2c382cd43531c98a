"""What a write makes of how an endpoint's events are delivered: its delivery secrets, its pause and its switch. Pure decisions."""

import secrets
from collections.abc import Callable
from typing import Final, Literal

from flows.core.errors import Conflict, NotFound
from flows.core.outbound import delivery
from flows.core.resources import StoredSecret, StoredWebhook, delivery_context, live
from ingress.registrar import Decide

MOST_SECRETS: Final = 5
"""Live delivery secrets of one endpoint: each adds a signature to each delivery."""

Seal = Callable[[str, str], str]
"""Seals a text for a context."""


def new_secret(endpoint_id: str, seal: Seal, now_ms: int, expires_at_ms: int | None = None) -> tuple[str, StoredSecret]:
    """Make a delivery secret; returns it in plain, to be shown once, and as it is stored."""
    plain, name = delivery.new_secret(), "sig_" + secrets.token_hex(4)
    sealed = seal(plain, delivery_context(endpoint_id, name))
    return plain, StoredSecret(secret_id=name, sealed=sealed, created_at_ms=now_ms, expires_at_ms=expires_at_ms)


def add_secret(endpoint_id: str, made: StoredSecret, retire_others_ms: int | None, now_ms: int) -> Decide:
    """Sign with one more secret; `retire_others_ms` says when those that are there expire, unless they do so sooner."""

    def decide(current: StoredWebhook | None) -> StoredWebhook:
        there = _there(endpoint_id, current)
        signing = live(there.delivery_secrets, now_ms)
        if len(signing) >= MOST_SECRETS:
            raise Conflict(f"The endpoint has {len(signing)} live delivery secrets, and each signs each delivery; remove one first.")
        if retire_others_ms is not None:
            signing = tuple(s.model_copy(update={"expires_at_ms": min(s.expires_at_ms or retire_others_ms, retire_others_ms)}) for s in signing)
        return there.model_copy(update={"delivery_secrets": (*signing, made), "updated_at_ms": now_ms})

    return decide


def remove_secret(endpoint_id: str, secret_id: str, now_ms: int) -> Decide:
    """Sign no more with a secret, at once; the last live one stays, since nothing goes out unsigned."""

    def decide(current: StoredWebhook | None) -> StoredWebhook:
        there = _there(endpoint_id, current)
        rest = tuple(secret for secret in there.delivery_secrets if secret.secret_id != secret_id)
        if len(rest) == len(there.delivery_secrets):
            raise NotFound(f"The endpoint {endpoint_id} has no delivery secret {secret_id}.")
        if not live(rest, now_ms):
            raise Conflict("It is the last live delivery secret: add another one first, or leave the url out of the definition.")
        return there.model_copy(update={"delivery_secrets": rest, "updated_at_ms": now_ms})

    return decide


def switch(endpoint_id: str, what: Literal["pause", "resume", "enable"], now_ms: int) -> Decide:
    """Pause deliveries, resume them, or switch them on after they were switched off; `enable` resumes as well. Once more is no error."""

    def decide(current: StoredWebhook | None) -> StoredWebhook:
        there = _there(endpoint_id, current)
        if there.definition.url is None:
            raise Conflict(f"The endpoint {endpoint_id} has no url, so nothing of it is delivered; PUT gives it one.")
        update: dict[str, object] = {"deliveries": "paused" if what == "pause" else "active", "updated_at_ms": now_ms}
        if what != "pause":
            update["probe_epoch"] = there.probe_epoch + 1
        if what == "enable":
            update["delivery_epoch"] = there.delivery_epoch + 1
        return there.model_copy(update=update)

    return decide


def _there(endpoint_id: str, current: StoredWebhook | None) -> StoredWebhook:
    if current is None:
        raise NotFound(f"There is no endpoint {endpoint_id}; POST /integration/webhooks/register makes one.")
    return current
