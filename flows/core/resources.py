"""Definitions: what a user declares, as it stands on `xyra.config`. One model a resource; a wrong field is named by its pointer."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, field_validator, model_validator

from flows.core.fields import Expression, HeaderName, Identifier, Lines, Model, Pointer, TopicName
from flows.core.verification import Verification

WEBHOOK: Final = "webhook"
RESERVED_IDS: Final = frozenset({"register", "test", "status"})


def _visible(value: SecretStr) -> SecretStr:
    """Refuse blanks alone, which anybody might guess; how long a secret is, its sender decides."""
    if value.get_secret_value().isspace():
        raise ValueError("give a secret that is not blanks alone")
    return value


SecretText = Annotated[SecretStr, Field(min_length=1, max_length=4096), AfterValidator(_visible)]


class RetryConfig(Model):
    """How often a delivery is tried, and how long to wait before each further try."""

    max_attempts: int = Field(default=3, ge=1, le=100)
    """The first one counted in."""
    retry_delays: tuple[Annotated[int, Field(ge=0, le=2_592_000)], ...] = Field(default=(60, 300, 900), max_length=100)
    """Seconds, at least one of them; the last one repeats while there are attempts left."""

    @field_validator("retry_delays")
    @classmethod
    def _some(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value:  # said here, since pydantic counts a delay that is wrong as none
            raise ValueError("give at least one delay, in seconds")
        return value


class Delivery(Model):
    """How an endpoint's events are delivered to its `url`."""

    timeout_seconds: int = Field(default=15, ge=1, le=60)
    """How long an attempt may take, from the name's resolution to the answer's last header. One that takes two thirds of it is slow for the circuit breaker."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Attempts to this target at once."""
    rate_per_second: int | None = Field(default=None, ge=1, le=10_000)
    """Attempts to this target in a second. Absent: as many as there are slots for."""
    order: Literal["none", "key"] = "none"
    """`key`: an event waits until those before it with the same `ordering_key` are delivered or buried. `none`: it overtakes what is tried again."""
    payload: Literal["original", "transformed"] = "original"
    """The body as it was received, or the event's value."""
    disable_after_days: int | None = Field(default=5, ge=1, le=90)
    """The endpoint's deliveries are switched off after that many days of nothing but failures. A silence of more than half of them, or of two
    days, ends the count. Null: never."""


class Dedupe(Model):
    """Where a sender's own id of a message stands, and how long it is remembered."""

    path: Pointer | None = None
    header: HeaderName | None = None
    window_seconds: int | None = Field(default=None, ge=1, le=7_776_000)

    @model_validator(mode="after")
    def _one_place(self) -> "Dedupe":
        if self.path is not None and self.header is not None:
            msg = "give either path or header, not both"
            raise ValueError(msg)
        return self


class Transform(Model):
    """What the event's value is made of: each target pointer takes a source pointer or an expression."""

    mapping: Mapping[Pointer, Pointer] = Field(default_factory=dict, max_length=256)
    """Target pointer to source pointer in the received body; a source that is absent is left out."""
    expressions: Mapping[Pointer, Expression] = Field(default_factory=dict, max_length=256)
    """Target pointer to a CEL expression over `body`, `type`, `id`, `endpoint`, `headers`, `received_at`."""
    constants: Mapping[Pointer, Any] = Field(default_factory=dict, max_length=256)
    """Target pointer to a value that is always the same."""
    keep_rest: bool = False
    """Start from the received body instead of from an empty object."""


class OrderingKey(Model):
    """What the record's Kafka key is made of: records with equal keys stay in order."""

    path: Pointer | None = None
    header: HeaderName | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "OrderingKey":
        if (self.path is None) == (self.header is None):
            msg = "give path or header, one of them"
            raise ValueError(msg)
        return self


class WebhookFields(Model):
    """What can be said of a webhook endpoint and may be shown to anybody who may see it: all but its name and its secret."""

    url: Annotated[str, StringConstraints(max_length=2048, pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s]+$")] | None = None
    """Where its events are delivered to, by POST. Absent: nowhere."""
    events: tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...] = Field(default=(), max_length=1000)
    """Event types to let through; `payment.*` matches by prefix; none lets all through."""
    retry_config: RetryConfig | None = None
    """`{"max_attempts", "retry_delays"}`: how often a delivery is to be tried, and the whole seconds between, 30 days at most each; the last one
    repeats. Absent: 8 times over 28 hours, with waits that grow from 5 s to 10 h."""
    delivery: Delivery = Delivery()
    """`{"timeout_seconds", "concurrency", "rate_per_second", "order", "payload", "disable_after_days"}`: how its events are delivered."""
    preset: Identifier | None = None
    """The sender's name, where it is one of the presets."""
    verification: Verification | None = None
    """How the sender proves itself, where it is none of them. With neither: `X-Signature: sha256=<hex HMAC SHA-256 of the raw body>`."""
    dedupe: Dedupe | Literal[False] | None = None
    """`{"path" or "header", "window_seconds"}`. Absent: the preset's id, else a hash of the body. False: nothing is compared."""
    json_schema: dict[str, Any] | bool | None = Field(default=None, alias="schema")
    """JSON Schema; a body that does not match is buried with every reason."""
    filter: Expression | None = None
    """CEL; a record for which it is not true is dropped."""
    transform: Transform | None = None
    """`{"mapping", "expressions", "constants", "keep_rest"}`: what the event's value is made of. Absent: the body, byte for byte."""
    target_topic: TopicName | None = None
    """Absent: `xyra.events`."""
    ordering_key: OrderingKey | Pointer | None = None
    """A JSON pointer into the body, or `{"header": NAME}`: records with equal keys stay in order."""
    description: Lines = Field(default="", max_length=2000)
    """For people."""

    @model_validator(mode="after")
    def _one_verification(self) -> "WebhookFields":
        if self.preset is not None and self.verification is not None:
            msg = 'give either preset or verification, not both; to change a part of a preset, name it inside: {"verification": {"preset": ..., ...}}'
            raise ValueError(msg)
        return self


class WebhookReplacement(WebhookFields):
    """What a webhook endpoint is to be from now on."""

    endpoint_id: str | None = None
    """May be left out; must be the route's own."""
    secret: SecretText | None = None
    """Takes the place of all secrets the endpoint has; left out, they stay."""


class WebhookDefinition(WebhookFields):
    """A webhook endpoint as a user declares it."""

    endpoint_id: Identifier
    """Its name, and the last part of the path that senders post to."""
    secret: SecretText | None = None
    """What the sender signs with, or its public key; sealed before it is stored, never given back."""

    @field_validator("endpoint_id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_IDS:
            msg = f"{value} is a route of its own; choose another id"
            raise ValueError(msg)
        return value


class StoredSecret(Model):
    """One live secret of an endpoint as it stands on the log: sealed, never plain."""

    secret_id: Identifier
    sealed: str
    created_at_ms: int
    expires_at_ms: int | None = None


MOST_FORMER: Final = 16


class StoredWebhook(Model):
    """What stands on `xyra.config` under `webhook/<endpoint_id>`: the definition without its secret, and the sealed secrets."""

    definition: WebhookDefinition
    secrets: tuple[StoredSecret, ...]
    status: Literal["active", "inactive"] = "active"
    delivery_secrets: tuple[StoredSecret, ...] = ()
    """What its deliveries are signed with, the newest last."""
    deliveries: Literal["active", "paused"] = "active"
    """Whether somebody has paused them; another definition changes nothing about that."""
    delivery_epoch: int = 0
    """Grows whenever deliveries are switched on; a flow that has switched them off did so under one of these."""
    probe_epoch: int = 0
    """Grows whenever somebody wants the next delivery to be tried at once (`resume`, `enable`, another definition), whatever the breaker says."""
    former_topics: tuple[str, ...] = ()
    """Topics that its events went to under earlier definitions, the latest first, `MOST_FORMER` at most: what became of older records is looked for there."""
    created_at_ms: int
    updated_at_ms: int


def live(secrets: Sequence[StoredSecret], now_ms: int) -> tuple[StoredSecret, ...]:
    """Return the secrets that have not expired, in their order."""
    return tuple(secret for secret in secrets if secret.expires_at_ms is None or secret.expires_at_ms > now_ms)


def delivery_context(endpoint_id: str, secret_id: str) -> str:
    """Return the context a delivery secret of an endpoint is sealed in: it opens nowhere else."""
    return f"delivery/{endpoint_id}/{secret_id}"


def config_key(kind: str, identifier: str) -> bytes:
    """Return a definition's key on `xyra.config`."""
    return f"{kind}/{identifier}".encode()
