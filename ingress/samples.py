"""What the test route sends: the caller's payload, else the preset's sample, else a small object; never the same twice."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from flows.core import presets
from flows.core.resources import WebhookFields
from flows.core.verification import Verification

USUAL: Final = "xyra.test"


class Sample(NamedTuple):
    """A message to be signed."""

    body: bytes
    content_type: str
    event_type: str | None
    event_id: str | None
    """The sender's id to put where this sender puts it; None: the body is left as the caller gave it."""


def sample_of(definition: WebhookFields, verification: Verification, payload: Any, event_type: str | None, event_id: str) -> Sample:
    """Choose a message for an endpoint; `event_id` makes it one that was not seen before."""
    if payload is not None:
        in_body = bool(verification.id) and verification.id[0].path is not None
        return Sample(orjson.dumps(payload), "application/json", event_type, None if in_body else event_id)
    preset = definition.preset or verification.preset
    if preset is not None:
        sample = presets.load(preset).sample
        return Sample(sample.body.encode(), sample.content_type, event_type or _wanted(definition.events, sample.event_type), event_id)
    kind = event_type or _wanted(definition.events, USUAL)
    body = orjson.dumps({"type": kind, "id": event_id, "data": {"text": "A test event."}})
    return Sample(body, "application/json", kind, event_id)


def _wanted(events: Sequence[str], usual: str | None) -> str | None:
    """Return a type that the endpoint lets through: the usual one, else the first it names, so that a test goes the whole way."""
    if not events or "*" in events or usual in events or (usual or "").startswith(tuple(name[:-1] for name in events if name.endswith(".*"))):
        return usual
    return events[0].removesuffix("*") + "test" if events[0].endswith(".*") else events[0]
