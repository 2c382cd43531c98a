"""A record: the bytes that came in, untouched, and the headers that say what they are.

The envelope is CloudEvents 1.0 in Kafka's binary mode (cloudevents/spec, bindings/kafka-protocol-binding.md §3.2):
the value is the event's data byte for byte, the attributes are headers named `ce_*`. Signatures and replays stay exact.
"""

from typing import Final, NamedTuple

# CloudEvents attributes.
CE_ID: Final = "ce_id"
CE_SOURCE: Final = "ce_source"
CE_TYPE: Final = "ce_type"
CE_TIME: Final = "ce_time"
CE_SPECVERSION: Final = "ce_specversion"
CONTENT_TYPE: Final = "content-type"

# Ours.
SENDER_ID: Final = "x-sender-id"
"""The sender's own id of the message: what deduplication compares."""
CONFIG_OFFSET: Final = "x-config-offset"
"""How far the ingress had read `xyra.config` when it accepted the record; the flow waits until it has read as far."""
KEY_ID: Final = "x-key-id"
"""Which of the endpoint's secrets the signature matched."""
HTTP: Final = "x-http"
"""JSON `{"method", "path", "query", "headers": {name: value}}` of the request, credentials left out."""
TRACE: Final = "x-trace"
"""Present: the flow writes what each step decided to `xyra.status` under `trace/<event_id>`."""
TEST: Final = "x-test"
"""Present: made by the test route, not by a sender."""
ATTEMPT: Final = "x-attempt"
"""How often this record was tried before, decimal; absent means never."""
ORIGIN: Final = "x-origin"
"""`topic/partition/offset` of the record this one was made from."""

RERUN: Final = "x-rerun"
"""Present: written by a rerun, whose id it is, and not when the event came."""

KEY: Final = "x-key"
"""The Kafka key of the event that is being delivered."""

Header = tuple[str, bytes]


class Record(NamedTuple):
    """One record of a Kafka topic; a tuple, since a busy worker makes 200,000 of them a second."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()

    def header(self, name: str) -> bytes | None:
        """Return the last header called `name` (the last one wins, as Kafka's own `lastHeader` has it), or None."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return None

    def text(self, name: str) -> str | None:
        """Return a header as text, None when it is absent or no UTF-8."""
        value = self.header(name)
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None

    @property
    def origin(self) -> str:
        """Where the record stands: `topic/partition/offset`."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Output(NamedTuple):
    """A record to be written; without a partition, Kafka's partitioner chooses by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    partition: int = -1
