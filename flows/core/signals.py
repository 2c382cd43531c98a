"""Every metric, one row each, with its unit and its meaning; a misspelt one is a type error. `flows.wire.telemetry` counts them."""

from dataclasses import dataclass
from typing import Final, Literal

SECONDS_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Signal:
    """One metric as Prometheus has it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


HTTP_REQUESTS: Final = Signal("xyra_http_requests_total", "counter", "Requests answered by the ingress.", ("route", "method", "status"))
HTTP_SECONDS: Final = Signal("xyra_http_request_seconds", "histogram", "From a request's first byte to its answer.", ("route",), SECONDS_FAST)
WEBHOOKS_ACCEPTED: Final = Signal(
    "xyra_webhooks_accepted_total", "counter", "Webhooks that the broker has acknowledged, or the spill log has on disk, and that were answered with 202."
)
WEBHOOKS_REJECTED: Final = Signal("xyra_webhooks_rejected_total", "counter", "Webhooks turned away at the door.", ("reason",))
WEBHOOK_BYTES: Final = Signal("xyra_webhook_bytes_total", "counter", "Bytes of accepted webhook bodies.")
BROKER_ACK_SECONDS: Final = Signal("xyra_broker_ack_seconds", "histogram", "From produce to the broker's acknowledgement.", (), SECONDS_FAST)
SPILL_STATE: Final = Signal(
    "xyra_spill_state",
    "gauge",
    "1 for where webhooks go: `broker`, `spilling` (Kafka is away), `draining` (it is back, and what was kept goes first).",
    ("state",),
)
SPILL_BYTES: Final = Signal("xyra_spill_bytes", "gauge", "Bytes of the spill log on this machine's disk.")
SPILL_ENTRIES: Final = Signal(
    "xyra_spill_entries",
    "gauge",
    "Webhooks in it that are not known to be on the topic yet; a restart has to look that up.",
)
SPILL_OLDEST_SECONDS: Final = Signal("xyra_spill_oldest_seconds", "gauge", "How long ago the oldest of them was accepted; 0 while there is none.")
SPILL_DRAINED: Final = Signal("xyra_spill_drained_total", "counter", "Webhooks written from the spill log to the topic.")

UPLOADS: Final = Signal("xyra_uploads_total", "counter", "Uploads that ended, by how: `received`, `refused`, `broken_off`, `terminated`.", ("outcome",))
UPLOAD_BYTES: Final = Signal("xyra_upload_bytes_total", "counter", "Bytes of files that the broker has acknowledged.")
UPLOAD_PIECES: Final = Signal("xyra_upload_pieces_total", "counter", "Pieces of files that the broker has acknowledged.")

FLOW_RECORDS: Final = Signal(
    "xyra_flow_records_total", "counter", "Records a flow has decided on, by what became of them; the ledger's terms.", ("flow", "partition", "outcome")
)
FLOW_DROPPED: Final = Signal("xyra_flow_dropped_total", "counter", "Records dropped on purpose, by reason.", ("flow", "reason"))
FLOW_BURIED: Final = Signal("xyra_flow_buried_total", "counter", "Records sent to the dead letters, by the first reason's code.", ("flow", "code"))
FLOW_WAITING: Final = Signal("xyra_flow_waiting", "gauge", "Records waiting in state to be tried again.", ("flow", "partition"))
FLOW_PAUSED: Final = Signal("xyra_flow_paused", "gauge", "1 where a partition stands: the flow buried too much, or was paused.", ("flow", "partition"))
FLOW_LAG: Final = Signal(
    "xyra_flow_lag_records",
    "gauge",
    "Offsets between what the flow has taken of a partition and its end.",
    ("flow", "partition"),
)
BATCH_RECORDS: Final = Signal("xyra_batch_records", "histogram", "Records in one transaction.", ("flow",), (1, 10, 100, 500, 1000, 2000, 5000, 10000, 25000))
COMMIT_SECONDS: Final = Signal("xyra_commit_seconds", "histogram", "How long a checkpoint took, from begin to the state written.", ("flow",), SECONDS_FAST)
STEP_SECONDS: Final = Signal("xyra_step_seconds", "histogram", "How long one step took for one batch.", ("flow", "step"), SECONDS_FAST)
RECORD_AGE_SECONDS: Final = Signal(
    "xyra_record_age_seconds",
    "histogram",
    "From a record's timestamp to its checkpoint, the oldest of each batch.",
    ("flow",),
    (*SECONDS_FAST, 60.0, 600.0, 3600.0),
)
TIMERS_PENDING: Final = Signal("xyra_timers_pending", "gauge", "Timers set and not yet due.", ("flow", "partition"))
STATE_RESTORED: Final = Signal("xyra_state_restored_entries_total", "counter", "State entries read back from a changelog.", ("flow",))
STATE_REBUILT: Final = Signal("xyra_state_rebuilt_total", "counter", "Stores thrown away and rebuilt, by why.", ("flow", "reason"))
REBALANCES: Final = Signal("xyra_rebalances_total", "counter", "Partitions given or taken, by which.", ("flow", "kind"))
LAST_COMMIT_TIME: Final = Signal("xyra_last_commit_timestamp_seconds", "gauge", "When this process last committed, Unix time.", ("flow",))
WORK_RUNNING: Final = Signal("xyra_work_running", "gauge", "Slow work items running now.", ("flow",))

EGRESS_CALLS: Final = Signal("xyra_egress_calls_total", "counter", "Calls out over HTTP: `answered`, or the code of why not.", ("outcome",))
EGRESS_SECONDS: Final = Signal("xyra_egress_seconds", "histogram", "How long a call out took as a whole.", (), (*SECONDS_FAST, 30.0, 60.0))
EGRESS_CONNECTIONS: Final = Signal("xyra_egress_connections", "gauge", "Calls out under way (`busy`), and connections kept for the next (`idle`).", ("state",))

DELIVERIES: Final = Signal("xyra_deliveries_total", "counter", "Attempts to deliver an event, by what came of them.", ("outcome",))
DELIVERY_SECONDS: Final = Signal("xyra_delivery_seconds", "histogram", "How long one attempt took.", (), (*SECONDS_FAST, 15.0, 30.0, 60.0))
BREAKER_STATE: Final = Signal(
    "xyra_breaker_state",
    "gauge",
    "A target's breaker: 0 closed, 1 half open, 2 open; from its first move on, in a worker as it last moved. "
    "The ingress shows those that are not closed, or moved within the last hour, and one whose pause is over as half open.",
    ("flow", "resource"),
)
PARKED: Final = Signal("xyra_parked_records", "gauge", "Records that stand in a target's line, without an attempt being spent.", ("flow", "resource"))

SIGNALS: Final = tuple(value for value in dict(globals()).values() if isinstance(value, Signal))
