"""Definitions: what a user declares, as it stands on `xyra.config`. One model a resource; a wrong field is named by its pointer."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from flows.core.verification import Verification

WEBHOOK: Final = "webhook"
RESERVED_IDS: Final = frozenset({"register", "test", "status"})

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
TopicName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Pointer = Annotated[str, StringConstraints(pattern=r"^(/([^~/]|~[01])*)+$", max_length=512)]
"""A JSON pointer (RFC 6901) to something inside the body."""
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
"""CEL; its nesting is bounded when it is compiled (`flows.core.rules`)."""


class Model(BaseModel):
    """What all definitions share: unknown fields are errors, values do not change once made."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class RetryConfig(Model):
    """How often a delivery is tried, and how long to wait before each further try."""

    max_attempts: int = Field(default=3, ge=1, le=100)
    retry_delays: tuple[Annotated[int, Field(ge=0, le=2_592_000)], ...] = Field(default=(60, 300, 900), max_length=100)


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


class WebhookDefinition(Model):
    """A webhook endpoint as a user declares it."""

    endpoint_id: Identifier
    url: Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[^\s]+$")] | None = None
    secret: SecretStr | None = Field(default=None, min_length=1, max_length=4096)
    events: tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...] = Field(default=(), max_length=1000)
    """Event types to let through; `payment.*` matches by prefix; none lets all through."""
    retry_config: RetryConfig = RetryConfig()
    preset: Identifier | None = None
    verification: Verification | None = None
    dedupe: Dedupe | Literal[False] | None = None
    """Absent: the preset's id, else a hash of the body. False: nothing is compared."""
    json_schema: dict[str, Any] | bool | None = Field(default=None, alias="schema")
    filter: Expression | None = None
    transform: Transform | None = None
    target_topic: TopicName | None = None
    ordering_key: OrderingKey | Pointer | None = None
    """A JSON pointer into the body, or `{"header": NAME}`."""
    description: str = Field(default="", max_length=2000)

    @field_validator("endpoint_id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_IDS:
            msg = f"{value} is a route of its own; choose another id"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _one_verification(self) -> "WebhookDefinition":
        if self.preset is not None and self.verification is not None:
            msg = "give either preset or verification, not both"
            raise ValueError(msg)
        return self


class StoredSecret(Model):
    """One live secret of an endpoint as it stands on the log: sealed, never plain."""

    secret_id: Identifier
    sealed: str
    created_at_ms: int
    expires_at_ms: int | None = None


class StoredWebhook(Model):
    """What stands on `xyra.config` under `webhook/<endpoint_id>`: the definition without its secret, and the sealed secrets."""

    definition: WebhookDefinition
    secrets: tuple[StoredSecret, ...]
    status: Literal["active", "inactive"] = "active"
    created_at_ms: int
    updated_at_ms: int


def config_key(kind: str, identifier: str) -> bytes:
    """Return a definition's key on `xyra.config`."""
    return f"{kind}/{identifier}".encode()
