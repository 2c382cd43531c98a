"""A writer to the topics, as flows and producers are."""

from typing import Any

import orjson
from confluent_kafka import Producer

from flows.core import topics
from flows.core.settings import Settings
from flows.wire.kafka import PARTITIONER, client_config


class Log:
    """Writes to the topics as flows and producers do."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer(client_config(settings, partitioner=PARTITIONER))
        self._spots: list[tuple[int, int]] = []

    def write(self, topic: str, key: str, value: bytes, at_ms: int = 0, **headers: str) -> tuple[int, int]:
        """Write a record and return its partition and offset."""
        self.post(topic, key, value, at_ms, **headers)
        self.flush()
        return self._spots[-1]

    def post(self, topic: str, key: str, value: bytes, at_ms: int = 0, **headers: str) -> None:
        """Write a record, and wait for nothing; underscores in a header's name, but for `ce_`, stand for hyphens."""
        named = {name if name.startswith("ce_") else name.replace("_", "-"): text.encode() for name, text in headers.items()}
        self._producer.produce(topic, value, key, headers=list(named.items()), timestamp=at_ms, on_delivery=self._landed)

    def flush(self) -> None:
        """Wait until all is there."""
        assert self._producer.flush(20) == 0

    def _landed(self, error: object, message: Any) -> None:
        assert error is None
        self._spots.append((message.partition(), message.offset()))

    def journal(self, event_id: str, kind: str, at_ms: int, **more: Any) -> None:
        """Write an entry of the journal about a delivery."""
        entry = {"event_id": event_id, "flow": "deliveries", "at_ms": at_ms, "kind": kind, **more}
        self.write(topics.JOURNAL.name, event_id, orjson.dumps(entry), at_ms)
