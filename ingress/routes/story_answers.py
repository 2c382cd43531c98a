"""What is answered about the life of an event."""

from typing import Any, Literal

from ingress.routes.answers import Spot
from ingress.routes.delivery_answers import Answer


class HttpRequest(Answer):
    """The request as it was kept, credentials masked."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


class Signature(Answer):
    """What the door found out about its sender."""

    verdict: Literal["valid", "not_checked"]
    """`not_checked`: a producer wrote the record to Kafka itself, or a test event was let in without one."""
    key_id: str | None


class Received(Answer):
    """The record as it was received."""

    at: str
    endpoint_id: str | None
    type: str | None
    sender_id: str | None
    test: bool
    record: Spot
    key: str | None
    http: HttpRequest | None
    """Null: it did not come by the door."""
    signature: Signature
    content_type: str | None
    size: int
    sha256: str
    body: str | None = None
    body_encoding: Literal["text", "base64"] | None = None


class Imported(Answer):
    """A row of an import, or a block of them, as it was published; `outputs` says where. A row has no steps, and is not delivered."""

    job_id: str
    source: str
    """Its `ce_source`: `/imports/{job_id}`."""
    type: str | None
    key: str | None
    content_type: str | None
    size: int
    body: str | None = None
    body_encoding: Literal["text", "base64"] | None = None


class StepVerdict(Answer):
    """What one step of a flow decided."""

    flow: str
    step: str
    verdict: Literal["kept", "dropped", "buried"]
    reason: str | None = None
    detail: str | None = None


class Written(Answer):
    """An output."""

    at: str
    record: Spot


class Attempt(Answer):
    """An attempt to deliver it."""

    at: str
    """When the call began."""
    flow: str
    resource: str | None
    attempt: int | None
    status: int | None
    latency_ms: float | None
    outcome: str | None
    """What that means; the README's table of outcomes has what follows from each."""
    error_code: str | None
    answer: str | None
    """The first KiB of what the target answered."""
    answer_base64: str | None
    """The same, where it is no text."""
    next_due_at: str | None


class Delivery(Answer):
    """How its delivery stands."""

    endpoint_id: str | None
    state: Literal["delivered", "buried", "retry_due", "waiting", "unknown"]
    """`retry_due`: it is tried again at `retry_due_at`. `waiting`: it stands in its target's line. `unknown`: not all was looked at."""
    retry_due_at: str | None
    """The next attempt; past: it is overdue, since its target's line is long."""
    why: str | None
    """What it waits for, where that is known."""


class Burial(Answer):
    """A dead letter."""

    letter_id: str
    at: str
    flow: str
    step: str
    code: str
    letter_class: str | None
    reasons: tuple[dict[str, Any], ...]
    record: Spot


class Rejudged(Answer):
    """A replay of the log whose window the event lies in."""

    replay_id: str
    at: str
    """When it was ordered."""
    target_topic: str | None
    cancelled: bool


class Returned(Answer):
    """A dead letter that was replayed."""

    letter_id: str
    replay_id: str
    at: str
    record: Spot | None
    """Where it entered `xyra.webhooks` once more; null: not found there, or it entered elsewhere."""


class Unseen(Answer):
    """What was not looked at, since the answer would have cost too much."""

    topic: str
    partition: int
    offset: int
    """From here on."""
    why: str
    """Which bound was hit: `time`, `records` or `bytes`."""


class Story(Answer):
    """The life of an event, as far as the topics tell it."""

    event_id: str
    outcome: Literal["kept", "dropped", "buried", "waiting", "unknown"]
    """`waiting`: the flow has not come to it, or holds it in its state; `unknown`: nothing that was looked at tells."""
    waits_for: str | None
    """Where it waits and that is known: why the flow stands that decides on it, else what its delivery waits for."""
    received: Received | None
    """Null: it is not on `xyra.webhooks`, or not any more."""
    imported: Imported | None
    """Null: it is no row of an import."""
    steps: tuple[StepVerdict, ...]
    outputs: tuple[Written, ...]
    delivery: Delivery | None
    """Null: it was not to be delivered."""
    attempts: tuple[Attempt, ...]
    burials: tuple[Burial, ...]
    returns: tuple[Returned, ...]
    """From the dead letters; `steps` go on with what was decided then."""
    replays: tuple[Rejudged, ...]
    incomplete: tuple[Unseen, ...]
