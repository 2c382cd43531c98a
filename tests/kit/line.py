"""A flow's steps over batches, with real state on disk and real definitions, but without a broker."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson
from confluent_kafka import Message as ClientMessage

from connectors.testing import ManualClock
from flows import webhooks
from flows.core import topics
from flows.core.resources import StoredWebhook, WebhookDefinition, config_key
from flows.core.settings import load
from flows.core.verdict import Bury, Drop
from flows.engine.batch import Batch
from flows.engine.contents import Sent, Taken
from flows.engine.definitions import Definitions
from flows.engine.share import Share
from flows.wire.messages import Message
from tests.kit.state import opened

LIMIT = 1 << 20
"""Largest record the topics of a line take."""


def stored(definition: Mapping[str, Any], status: str = "active") -> bytes:
    """Write a webhook's definition as the ingress does."""
    made = WebhookDefinition.model_validate(definition)
    return StoredWebhook.model_validate({"definition": made, "secrets": [], "status": status, "created_at_ms": 0, "updated_at_ms": 0}).model_dump_json(
        by_alias=True, exclude_none=True
    ).encode()  # fmt: skip


class Line:
    """The webhooks flow for one partition. Each `run` is a batch and its checkpoint; `restart_from_disk` forgets all but what is on disk."""

    def __init__(self, directory: Path, *definitions: Mapping[str, Any]) -> None:
        """Begin with an empty state."""
        self.clock = ManualClock()
        self._directory = directory
        self._config = Definitions(webhooks.FLOW.definitions)
        self._offset = 0
        self.missing: set[str] = set()
        """Topics that there are not."""
        for definition in definitions:
            self.define(definition)
        self._begin()

    def define(self, definition: Mapping[str, Any], status: str = "active") -> None:
        """Register an endpoint, or put another definition in its place."""
        self.put(str(definition["endpoint_id"]), stored(definition, status))

    def put(self, endpoint_id: str, value: bytes) -> None:
        """Put anything at all where an endpoint's definition stands."""
        self._config.apply(config_key("webhook", endpoint_id).decode(), value, 0)

    def restart_from_disk(self) -> None:
        """End the worker and start it again."""
        self.close()
        self._begin()

    def _begin(self) -> None:
        state = opened(self._directory, self.clock)
        self._share = Share("webhooks", state, 0, 1)
        self._steps = webhooks.steps(load({}))

    def close(self) -> None:
        """Let go of the state."""
        self._share.close()

    def message(self, body: bytes | Any = b"{}", *, endpoint: str | None = "shop", **headers: str) -> Message:
        """Make a record as a producer writes it; underscores in a header's name, but for `ce_`, stand for hyphens."""
        named = {name if name.startswith("ce_") else name.replace("_", "-"): value for name, value in headers.items()}
        if endpoint is not None:
            named.setdefault("ce_source", f"/webhooks/{endpoint}")
        value = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        made = ClientMessage(
            topic=topics.WEBHOOKS.name,
            partition=0,
            offset=self._take_offset(),
            key=b"key",
            value=value,
            headers=[(name, text.encode()) for name, text in named.items()],
            timestamp=(1, self.clock.now_ms()),
        )
        return cast("Message", made)  # the stubs let every field be absent

    def _take_offset(self) -> int:
        self._offset += 1
        return self._offset

    def run(self, messages: Sequence[Message]) -> Batch:
        """Put one batch through every step and write its state."""
        self._share.state.now_ms = self.clock.now_ms()
        batch = Batch(Taken({0: messages}), {0: self._share}, self._config, lambda topic: 0 if topic in self.missing else LIMIT, self.clock.now_ms())
        for name, step in self._steps:
            batch.step = name
            step(batch)
            batch.settle()
        self._share.state.apply(self._offset + 1)
        return batch


def emitted(batch: Batch) -> list[Sent]:
    """Return what a batch writes."""
    return [sent for sent in batch.standing() if isinstance(sent, Sent)]


def values(batches: Iterable[Batch]) -> list[bytes | None]:
    """Return the values that batches write."""
    return [sent.output.value for batch in batches for sent in emitted(batch)]


def verdicts(batch: Batch) -> list[str]:
    """Return what became of each record that was not kept, in order: the drop's reason or the codes it was buried with."""
    found = []
    for (_, offset), decided in sorted(batch.decided.items()):
        match decided.verdict:
            case Drop(reason):
                found.append((offset, reason))
            case Bury(reasons):
                found.append((offset, " ".join(reason.code for reason in reasons)))
    return [text for _, text in found]
