"""What the control routes answer, as the OpenAPI document shows it."""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field

from flows.core.clock import rfc3339
from flows.core.resources import StoredWebhook, WebhookFields
from ingress.door import Door
from ingress.routes.delivery_answers import Answer, DeliveryStatus, time_or_none

RECEIVE_PATH = "/integration/webhooks/"


class Accepted(Answer):
    """A webhook that is on the log."""

    event_id: str
    status: Literal["accepted"]


class SecretAnswer(Answer):
    """A secret, without the secret."""

    secret_id: str
    status: Literal["live", "expired"]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    """When a signature last matched it."""

    @classmethod
    def of(cls, door: Door, stored: StoredWebhook) -> "tuple[SecretAnswer, ...]":
        """Show the secrets of a definition."""
        endpoint_id, now_ms = stored.definition.endpoint_id, door.clock.now_ms()
        used = door.status.resources[endpoint_id].last_ms if endpoint_id in door.status.resources else {}
        mine = door.tallies.of(endpoint_id).keys
        found = []
        for secret in stored.secrets:
            last = max(used.get("key:" + secret.secret_id, 0), mine.get(secret.secret_id, 0))
            live = secret.expires_at_ms is None or secret.expires_at_ms > now_ms
            found.append(
                cls(
                    secret_id=secret.secret_id,
                    status="live" if live else "expired",
                    created_at=rfc3339(secret.created_at_ms),
                    expires_at=time_or_none(secret.expires_at_ms),
                    last_used_at=time_or_none(last),
                )
            )
        return tuple(found)


class Secrets(Answer):
    """The secrets of an endpoint."""

    items: tuple[SecretAnswer, ...]
    next_cursor: None = None


class WebhookAnswer(WebhookFields):
    """A webhook endpoint as it stands."""

    endpoint_id: str
    status: Literal["active", "inactive"]
    receive_path: str
    """Where its sender posts to."""
    created_at: str
    updated_at: str
    secrets: tuple[SecretAnswer, ...]

    @classmethod
    def of(cls, door: Door, stored: StoredWebhook) -> Self:
        """Show a definition."""
        fields = {name: getattr(stored.definition, name) for name in WebhookFields.model_fields}
        endpoint_id = stored.definition.endpoint_id
        return cls(
            endpoint_id=endpoint_id,
            status=stored.status,
            receive_path=RECEIVE_PATH + endpoint_id,
            created_at=rfc3339(stored.created_at_ms),
            updated_at=rfc3339(stored.updated_at_ms),
            secrets=SecretAnswer.of(door, stored),
            **fields,
        )


class Registered(WebhookAnswer):
    """A webhook endpoint as it stands, and what this request has made for it."""

    delivery_secret: str | None = None
    """What its deliveries are signed with (Standard Webhooks, `whsec_...`), where this request made it; shown this once."""

    def showing(self, plain: str | None) -> Self:
        """Return it with a secret that was just made."""
        return self.model_copy(update={"delivery_secret": plain})


class Webhooks(Answer):
    """A page of endpoints."""

    items: tuple[WebhookAnswer, ...]
    next_cursor: str | None
    """Give it as `cursor` to get the next page; null: there is none."""


class Counters(Answer):
    """Counts since the endpoint was made. received = accepted + rejected + those in hand."""

    received: int
    accepted: int
    rejected: dict[str, int]
    """By reason."""
    duplicate: int
    filtered: int
    """Dropped by the event filter or the filter."""
    invalid: int
    """Of the dead: those whose data did not pass."""
    emitted: int
    dead: int
    """On `xyra.dlq`."""
    waiting: int
    """To be tried again."""
    dropped: dict[str, int]
    """By reason, the duplicate and filtered ones among them."""
    buried: dict[str, int]
    """By code, all of the dead."""


class Rates(Answer):
    """Per second, moving averages like a load average's."""

    accepted: dict[str, float]
    emitted: dict[str, float]


class WebhookStatus(Answer):
    """What became of an endpoint's webhooks, over every ingress and flow."""

    endpoint_id: str
    status: Literal["active", "inactive"]
    counters: Counters
    rates_per_second: Rates
    last_received_at: str | None
    last_emitted_at: str | None
    live_secrets: int
    secrets: tuple[SecretAnswer, ...]
    delivery: DeliveryStatus


class Step(Answer):
    """What one step of the way did with a test event."""

    model_config = ConfigDict(frozen=True, extra="allow")

    step: str
    verdict: str
    reason: str | None = None
    detail: Any = None


class Spot(Answer):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


class Tested(Answer):
    """What became of a test event."""

    endpoint_id: str
    event_id: str | None
    outcome: Literal["emitted", "dropped", "buried", "waiting", "rejected", "incomplete"]
    steps: tuple[Step, ...]
    outputs: tuple[Spot, ...]
    missing: str | None = None
    """Which step was not heard of in time, and what to look at."""
    took_ms: int


class Wrong(Answer):
    """One field that is wrong."""

    pointer: str
    code: str
    detail: str


class ProblemAnswer(Answer):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[Wrong, ...] = Field(default=())
