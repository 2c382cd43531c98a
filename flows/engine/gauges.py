"""What a worker counts about itself, for `/metrics`."""

from collections.abc import Mapping
from typing import Final

from flows.core import signals
from flows.core.clock import Clock
from flows.engine.batch import Batch
from flows.engine.books import Ledger
from flows.engine.entries import Display
from flows.engine.share import Share
from flows.wire.inlet import Inlet
from flows.wire.telemetry import Telemetry

LOOK_S: Final = 1.0
OF_A_PARTITION: Final = (signals.FLOW_WAITING, signals.FLOW_PAUSED, signals.TIMERS_PENDING, signals.FLOW_LAG)


class Gauges:
    """Tells telemetry about batches and partitions.

    Of a partition that this worker has lost it shows nothing: a sum over workers would count it twice, and an alert would stay lit here.
    """

    def __init__(self, flow: str, telemetry: Telemetry, clock: Clock) -> None:
        """Take where to tell."""
        self._flow = flow
        self._telemetry = telemetry
        self._clock = clock
        self._looked_at = clock.monotonic()
        self._held: dict[int, Share] = {}
        self._displays: list[Display] = []

    def display(self, display: Display) -> None:
        """Tell `display` of the partitions that come and leave from now on."""
        self._displays.append(display)

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
        """Look at the partitions, once a second and when one has come or left."""
        now = self._clock.monotonic()
        if not self._changed(shares) and now < self._looked_at + LOOK_S:
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

    def _changed(self, shares: Mapping[int, Share]) -> bool:
        """See to the partitions that have come or left since the last look; tell whether there were any."""
        left = [number for number, share in self._held.items() if shares.get(number) is not share]
        came = [share for number, share in shares.items() if self._held.get(number) is not share]
        for number in left:
            for signal in OF_A_PARTITION:
                self._telemetry.forget(signal, flow=self._flow, partition=number)
            for display in self._displays:
                display.left(number)
        for share in came:
            for display in self._displays:
                display.came(share.number, share.state.user)
        if left or came:
            self._held = dict(shares)
        return bool(left or came)
