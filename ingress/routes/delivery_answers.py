"""What the control routes answer about deliveries; and what all answers share."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from flows.core.clock import rfc3339
from flows.core.outbound import told as breakers
from flows.core.resources import StoredWebhook, live
from ingress.door import Door
from ingress.status import Counts, is_off


class Answer(BaseModel):
    """What all answers share."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class DeliverySecret(Answer):
    """A delivery secret, without the secret."""

    secret_id: str
    status: Literal["live", "expired"]
    created_at: str
    expires_at: str | None

    @classmethod
    def of(cls, stored: StoredWebhook, now_ms: int) -> "tuple[DeliverySecret, ...]":
        """Show the delivery secrets of a definition."""
        signing = {secret.secret_id for secret in live(stored.delivery_secrets, now_ms)}
        return tuple(
            DeliverySecret(
                secret_id=secret.secret_id,
                status="live" if secret.secret_id in signing else "expired",
                created_at=rfc3339(secret.created_at_ms),
                expires_at=time_or_none(secret.expires_at_ms),
            )
            for secret in stored.delivery_secrets
        )


class DeliverySecrets(Answer):
    """The delivery secrets of an endpoint; deliveries are signed with all that are live."""

    items: tuple[DeliverySecret, ...]
    next_cursor: None = None


class NewDeliverySecret(DeliverySecret):
    """A delivery secret that was just made."""

    secret: str
    """Shown this once."""


class BreakerAnswer(Answer):
    """The circuit breaker of an endpoint's target."""

    state: Literal["closed", "open", "half_open"]
    """`half_open`: its pause is over, and the next events are tried, few at first."""
    since: str | None
    until: str | None
    """Open: when probing begins."""
    calls: int
    """Those that moved it."""
    error_ratio: float
    slow_ratio: float


class DeliveryStatus(Answer):
    """How an endpoint's events are delivered."""

    state: Literal["none", "active", "paused", "off"]
    """`none`: it has no url. `off`: switched off after a 410, or after days of nothing but failures; `enable`, or a PUT of the definition, switches it on."""
    off_since: str | None
    off_reason: str | None
    breaker: BreakerAnswer | None
    """Null as long as it has never moved."""
    accepted: int
    """Events that were to be delivered."""
    delivered: int
    waiting: int
    dead: int
    """On `xyra.dlq`."""
    buried: dict[str, int]
    """By code."""
    last_delivered_at: str | None
    live_secrets: int

    @classmethod
    def of(cls, door: Door, stored: StoredWebhook) -> "DeliveryStatus":
        """Show how an endpoint's deliveries stand."""
        endpoint_id = stored.definition.endpoint_id
        counts, told = door.status.deliveries.get(endpoint_id, Counts()), door.status.breakers.get(endpoint_id, {})
        off = told.get("off") if is_off(stored, told) else None
        buried = counts.by_reason("buried")
        return cls(
            state="none" if stored.definition.url is None else "off" if off else stored.deliveries,
            off_since=time_or_none(off["since_ms"]) if off else None,
            off_reason=off["why"] if off else None,
            breaker=_breaker(told, door.clock.now_ms()),
            accepted=counts.totals["in"],
            delivered=counts.totals["out"],
            waiting=counts.totals["waiting"],
            dead=sum(buried.values()),
            buried=buried,
            last_delivered_at=time_or_none(counts.last_ms.get("last_out_ms")),
            live_secrets=len(live(stored.delivery_secrets, door.clock.now_ms())),
        )


def _breaker(told: Mapping[str, Any], now_ms: int) -> BreakerAnswer | None:
    seen = breakers.read(told, now_ms)
    if seen is None:
        return None
    times = {"since": time_or_none(seen.since_ms), "until": time_or_none(seen.until_ms)}
    return BreakerAnswer(state=seen.phase, **times, calls=told["calls"], error_ratio=told["error_ratio"], slow_ratio=told["slow_ratio"])


def time_or_none(ms: int | None) -> str | None:
    """Write a time, None where there is none."""
    return rfc3339(ms) if ms else None
