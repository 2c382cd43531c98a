"""Every topic, one row each. The rows make the topics, the README's table and nothing else needs to know them."""

from dataclasses import dataclass
from typing import Final, Literal

MIB: Final = 1024 * 1024
DAY_MS: Final = 86_400_000

Partitions = Literal["flow", "one"]
"""`flow`: as many as `INTEGRATION_KAFKA_PARTITIONS`; `one`: a single one, so that its offsets are a total order."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what stands on it and for how long, who writes it and who reads it."""

    name: str
    meaning: str
    key: str
    partitions: Partitions
    compacted: bool
    retention_ms: int
    """-1: for ever."""
    max_bytes: int
    writer: str
    readers: str

    def config(self) -> dict[str, str]:
        """Return the broker-side configuration this topic is made with."""
        settings = {"max.message.bytes": str(self.max_bytes), "compression.type": "producer"}
        if self.compacted:
            return settings | {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2", "segment.ms": "3600000"}
        return settings | {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}


RECORD_BYTES: Final = 66 * MIB
"""The largest body a setting allows (64 MiB) and its headers."""
KEPT_BYTES: Final = RECORD_BYTES + 2 * MIB
"""A whole record and what is said about it: a dead letter, or a record that waits in state."""

WEBHOOKS: Final = Topic(
    "xyra.webhooks", "Webhooks as they were received.", "ordering key, else the sender's id, else a hash of the body",
    "flow", False, 7 * DAY_MS, RECORD_BYTES, "ingress, or any producer", "flow webhooks",
)  # fmt: skip
EVENTS: Final = Topic("xyra.events", "Checked output of every origin.", "as received", "flow", False, 7 * DAY_MS, RECORD_BYTES, "every flow", "you")
DELIVERIES: Final = Topic(
    "xyra.deliveries", "Events on their way to an endpoint's `url`: the bytes to send, the event's own headers, and its key as `x-key`.", "endpoint id",
    "flow", False, 7 * DAY_MS, RECORD_BYTES, "flow webhooks", "flow deliveries",
)  # fmt: skip
DLQ: Final = Topic(
    "xyra.dlq", "Dead letters: the original bytes, and every reason.", "as received",
    "flow", False, 30 * DAY_MS, KEPT_BYTES, "every flow", "flow replay, operators",
)  # fmt: skip
LETTERS: Final = Topic(
    "xyra.letters", "Index of the dead letters: what each is and what became of it; deleted when the letter has expired.", "partition-offset on xyra.dlq",
    "one", True, -1, MIB, "flow replay", "ingress",
)  # fmt: skip
CONFIG: Final = Topic(
    "xyra.config", "Definitions: webhooks, later streams, jobs, connectors, keys; what operators order.", "kind/id",
    "one", True, -1, 4 * MIB, "ingress", "ingress, every flow",
)  # fmt: skip
STATUS: Final = Topic(
    "xyra.status",
    "What became of things: tallies for each flow, partition and resource; traces of test events; breakers; signs of life; how far spills are drained.",
    "KIND/...",
    "one", True, -1, 4 * MIB, "every flow, ingress", "ingress, `xyra ledger`",
)  # fmt: skip

JOURNAL: Final = Topic(
    "xyra.journal", "What became of an event and no other topic tells: why it was dropped, attempts to deliver it. Kept events write nothing.", "event id",
    "flow", False, 7 * DAY_MS, 4 * MIB, "every flow", "ingress",
)  # fmt: skip

UPLOADS: Final = Topic(
    "xyra.uploads", "Files on their way in, piece by piece, cut between records where the format has them.", "upload id, or its job's id or name",
    "flow", False, 7 * DAY_MS, MIB, "ingress, flow imports", "flow imports",
)  # fmt: skip
REJECTS: Final = Topic(
    "xyra.rejects", "Rows that imports turned away: each as it stood in the file, with its place and every reason.", "job id",
    "flow", False, 30 * DAY_MS, MIB, "flow imports", "ingress, flow imports",
)  # fmt: skip

TOPICS: Final = (WEBHOOKS, EVENTS, DELIVERIES, DLQ, LETTERS, CONFIG, STATUS, JOURNAL, UPLOADS, REJECTS)


def changelog(flow: str) -> Topic:
    """Return the topic a flow's state is rebuilt from: partition n holds the state of the flow's source partition n."""
    return Topic(
        f"xyra.{flow}.changelog", f"State of the flow {flow}, rebuilt from here wherever a partition moves.", "state key",
        "flow", True, -1, KEPT_BYTES, f"flow {flow}", f"flow {flow}",
    )  # fmt: skip
