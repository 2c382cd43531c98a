"""What a worker counts about itself, for `/metrics`."""

from collections.abc import Mapping
from typing import Final

from flows.core import signals
from flows.core.clock import Clock
from flows.engine.batch import Batch
from flows.engine.books import Ledger
from flows.engine.share import Share
from flows.wire.inlet import Inlet
from flows.wire.telemetry import Telemetry

LOOK_S: Final = 1.0


class Gauges:
    """Tells telemetry about batches and partitions."""

    def __init__(self, flow: str, telemetry: Telemetry, clock: Clock) -> None:
        """Take where to tell."""
        self._flow = flow
        self._telemetry = telemetry
        self._clock = clock
        self._looked_at = clock.monotonic()

    def committed(self, batch: Batch, ledger: Ledger, seconds: float) -> None:
        """Count a batch whose checkpoint took so many seconds."""
        telemetry, flow = self._telemetry, self._flow
        count = sum(map(len, batch.taken.fresh.values()))
        telemetry.observe(signals.COMMIT_SECONDS, seconds, flow=flow)
        telemetry.gauge(signals.LAST_COMMIT_TIME, self._clock.now_ms() / 1000, flow=flow)
        if count:
            oldest_ms = min(messages[0].timestamp()[1] for messages in batch.taken.fresh.values())
            telemetry.observe(signals.BATCH_RECORDS, count, flow=flow)
            telemetry.observe(signals.RECORD_AGE_SECONDS, max(0, self._clock.now_ms() - oldest_ms) / 1000, flow=flow)
        for number, changes in ledger.items():
            for change in changes.values():
                outcomes = {"in": change.arrived, "out": change.out, "dropped": change.dropped.total(), "buried": change.buried.total()}
                for outcome, n in outcomes.items():
                    if n:
                        telemetry.count(signals.FLOW_RECORDS, n, flow=flow, partition=number, outcome=outcome)
                for reason, n in change.dropped.items():
                    telemetry.count(signals.FLOW_DROPPED, n, flow=flow, reason=reason)
                for code, n in change.buried.items():
                    telemetry.count(signals.FLOW_BURIED, n, flow=flow, code=code)

    def look(self, inlet: Inlet, shares: Mapping[int, Share], running: int) -> None:
        """Look at the partitions, at most once a second."""
        now = self._clock.monotonic()
        if now < self._looked_at + LOOK_S:
            return
        self._looked_at = now
        telemetry, flow = self._telemetry, self._flow
        telemetry.gauge(signals.WORK_RUNNING, running, flow=flow)
        for number, share in shares.items():
            telemetry.gauge(signals.FLOW_WAITING, share.tallies.waiting, flow=flow, partition=number)
            telemetry.gauge(signals.FLOW_PAUSED, int(share.paused is not None), flow=flow, partition=number)
            telemetry.gauge(signals.TIMERS_PENDING, share.state.timers.pending_count, flow=flow, partition=number)
            behind = inlet.behind(number, max(0, share.position))
            if behind is not None:
                telemetry.gauge(signals.FLOW_LAG, behind, flow=flow, partition=number)
