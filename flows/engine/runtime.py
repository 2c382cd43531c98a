"""Runs a flow: takes batches from the topic and from state, hands them to the steps, checkpoints them."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Stream

from flows.core import signals
from flows.core.clock import Clock
from flows.core.errors import Fatal
from flows.core.record import TRACE
from flows.core.settings import Settings
from flows.engine.assignment import Assignment
from flows.engine.batch import Batch
from flows.engine.brake import READERS, Brake
from flows.engine.checkpoint import Checkpoint, nothing
from flows.engine.contents import Taken
from flows.engine.dataflow import Noted, Sink, Source
from flows.engine.definitions import Definitions, claimed
from flows.engine.flow import Flow, Step
from flows.engine.gauges import Gauges
from flows.engine.lanes import Lanes
from flows.engine.portion import Place, place
from flows.engine.share import DueTimer
from flows.engine.signs import Signs
from flows.engine.stop import Stop, Stopped
from flows.engine.trace import Traces, wanted
from flows.engine.waiting import Waited
from flows.engine.work import Finished
from flows.wire.destinations import Destinations
from flows.wire.inlet import Inlet
from flows.wire.messages import Message, headers_of, record_of
from flows.wire.outlet import Outlet
from flows.wire.telemetry import Telemetry

LOG: Final = logging.getLogger(__name__)

IDLE_S: Final = 0.25
"""How long a worker with nothing to do sleeps; also how late it may notice a signal."""
JOINING_S: Final = 0.02
"""As long, until the group has given it its partitions: the client does not wake it for those."""
SWEEP_S: Final = 1.0
SWEEP_LIMIT: Final = 500
"""Expired entries deleted per partition and batch."""
MOST_FINISHED: Final = 1000


class Engine:
    """One worker of a flow: a group member, a transactional producer, the state of the partitions it holds. One thread; only the commit has its own."""

    def __init__(
        self,
        flow: Flow,
        settings: Settings,
        slot: int,
        version: str,
        clock: Clock,
        telemetry: Telemetry,
        after: Callable[[int], None] = nothing,
        stop: Stop | None = None,
    ) -> None:
        """Make a worker; does not block.

        Args:
            flow: what it runs.
            settings: the cluster, the data directory, how large batches get.
            slot: which of the flow's workers it is.
            version: of the code, for dead letters.
            clock: tells the time.
            telemetry: counts.
            after: is called behind each numbered step of a checkpoint.
            stop: asks it to drain.

        """
        self.settings, self.clock, self.telemetry = settings, clock, telemetry
        self.noted: Final = Noted()
        self._flow, self._lanes = flow, Lanes(flow.work_slots)
        self.assignment: Final = Assignment(flow, settings, slot, clock, telemetry, self._lanes, self._settle)
        self.inlet: Final = Inlet(settings, flow.topic.name, flow.group, slot, self.assignment, flow.prefetch_kib)
        self._outlet = Outlet(settings, f"{flow.group}-{slot}")
        self._definitions = Definitions({**flow.definitions, **READERS}, flow.orders)
        self._brake = Brake(flow.name, settings, self._definitions, self._settle)
        self._destinations = Destinations(settings)
        self._checkpoint = Checkpoint(flow, version, clock, self._outlet, self.inlet.membership, after)
        self._gauges, self._signs = Gauges(flow.name, telemetry, clock), Signs(flow.name, slot, clock, standing=flow.standing, can=flow.can)
        self.handle, self.display = self._lanes.handle, self._gauges.display  # of `Runtime`
        self._traces: Traces | None = None
        self.moved_at = self._swept_at = self._polled_at = clock.monotonic()  # `moved_at`: when the loop last moved, on the monotonic clock
        self._busy = self._drained = False
        self._stop, self._ordered = stop or Stop(), (0, frozenset[int]())

    @property
    def calls(self) -> int:
        """Slow work that runs now."""
        return self._lanes.running

    def source(self) -> Source:
        """Where batches come from; see `Runtime`."""
        return Source(lambda: self.noted.call(self._take))

    def sink(self) -> Sink:
        """Where batches go; see `Runtime`."""
        return Sink(lambda batch: self.noted.call(self._put, batch))

    def step(self, name: str, stream: Stream[Batch], work: Step) -> Stream[Batch]:
        """Put a step behind `stream`; see `Runtime`."""
        seconds = self.telemetry.child(signals.STEP_SECONDS, flow=self._flow.name, step=name)

        def run(batch: Batch) -> Batch:
            begun = self.clock.monotonic()
            batch.step = name
            self.noted.call(work, batch)
            batch.settle()
            seconds.observe(self.clock.monotonic() - begun)
            if self._traces is not None:
                self._traces.after(name, batch)
            return batch

        return op.map(name, stream, run)

    def open(self) -> None:
        """Take the slot over, join the group and read the definitions; blocks until the broker has answered, or it is asked to stop.

        Raises:
            Unavailable: the broker is away.
            Fatal: the broker refuses.

        """
        self._outlet.take_over(lambda: self._stop.asked)
        if not self._stop.asked:
            self.inlet.join()
            self._definitions.follow(self.settings)

    def stop(self) -> None:
        """Drain: the batch in hand is finished and committed, then the source ends."""
        self._stop.ask()

    def close(self) -> None:
        """Let go of everything, cancel the calls that run; commits nothing."""
        self._lanes.close()
        self.inlet.close()
        self.assignment.close()
        self._definitions.close()

    def _take(self) -> Batch | None:
        """Return the next batch, None when there is nothing to do. Blocks for a quarter of a second at most, but for a restore."""
        self._definitions.poll()
        if self._stop.asked or self.assignment.can_advance:
            self._settle()
        with suppress(Stopped):
            self._moved()
            self.assignment.advance(self.inlet, self._moved)
        if self._stop.asked:
            return self._last()
        fresh = self._poll()
        now_ms = self.clock.now_ms()
        due_ms = self.assignment.next_due_ms()
        if not fresh or self._lanes.running or (due_ms is not None and due_ms <= now_ms):
            self._settle()
        for share in self.assignment.shares.values():
            share.state.now_ms = now_ms
        turned = self._brake.heed(self.assignment.shares, now_ms)
        self.assignment.turn(turned, self.inlet)
        taken = self._ready(fresh, now_ms)._replace(turned=turned)
        self._busy = bool(fresh)
        if not any(taken) and not (self._untold() and self._signs.tell) and not self._signs.beat and not self._order_came():
            return None
        return self._batch(taken, now_ms)

    def _order_came(self) -> bool:
        """Tell whether an order has changed, or a partition has come whose part of the orders nobody has seen to."""
        if not self._flow.orders:
            return False
        before, self._ordered = self._ordered, (self._definitions.revision, frozenset(self.assignment.shares))
        return before != self._ordered

    def _batch(self, taken: Taken, now_ms: int) -> Batch:
        marked = [message for messages in taken.fresh.values() for message in messages if message.headers()]
        if marked:
            self._definitions.reach(max(map(claimed, map(headers_of, marked))))
        self._traces = self._traced(marked, taken.again)
        batch = Batch(taken, self.assignment.shares, self._definitions, self._destinations.limit, now_ms)
        batch.before_state = self._settle
        return batch

    def _put(self, batch: Batch) -> None:
        self._settle()
        stands = self._brake.judge(batch, self.assignment.shares, self.clock.monotonic())
        self.assignment.turn(stands, self.inlet)
        batch.turned |= stands
        tell = self._drained or self._signs.tell
        self._signs.give(batch, told=tell, last=self._drained)
        self._checkpoint.begin(batch, self.assignment.shares, self._traces, tell)
        if not (batch.plain and batch.taken.fresh):
            self._settle()

    def _settle(self) -> None:
        """See the last batch's checkpoint through, and let what it has submitted begin; costs nothing when that is done."""
        done = self._checkpoint.settle()
        if done is None:
            return
        for share in self.assignment.shares.values():
            for item in share.work.take_submitted():
                self._lanes.add(item)
        self._lanes.start(self.assignment.task)
        self._gauges.committed(*done)

    def _last(self) -> Batch:
        """Return one more batch if there are tallies to tell or a goodbye to say, then end the source."""
        if self._drained or not (self._untold() or (self._signs.goodbye and not self.inlet.broker_away)):
            raise StopIteration
        self._drained = True
        return self._batch(Taken({}), self.clock.now_ms())

    def _poll(self) -> Mapping[int, list[Message]]:
        limit = self.settings.batch_records
        if self.assignment.can_advance:
            polled = self.inlet.poll(limit, 0)
        elif self._busy:  # a batch also fills while the one before it is committed
            polled = self.inlet.poll(limit, max(0.0, self._polled_at + self.settings.batch_wait_ms / 1000 - self.clock.monotonic()))
        else:
            polled = self.inlet.poll(limit, 0, self._idle_s())
        self._polled_at = self.clock.monotonic()
        fresh = {}
        for number, messages in polled.items():
            share = self.assignment.shares.get(number)
            if share is not None:
                if accepted := share.accept(messages):
                    fresh[number] = accepted
            elif self.assignment.expects(number):
                raise Fatal(f"Records of {self._flow.topic.name}/{number} came before its state was restored; started again, they come once more.")
        return fresh

    def _idle_s(self) -> float:
        """How long nothing can happen but a record's arrival."""
        due_ms = self.assignment.next_due_ms()
        waits = [IDLE_S if self.assignment.ready else JOINING_S]
        if due_ms is not None:
            waits.append((due_ms - self.clock.now_ms()) / 1000)
        if self._lanes.running:
            waits.append(self._flow.work_look_s)
        if self._untold():
            waits.append(self._signs.tell_in_s)
        return max(0.001, min(waits))

    def _ready(self, fresh: Mapping[int, list[Message]], now_ms: int) -> Taken:
        """Add what is due and what has ended to what has come."""
        again: list[Waited] = []
        due: list[DueTimer] = []
        finished: list[Finished] = []
        results: dict[Place, Finished] = {}
        for share in self.assignment.moving:
            waited, timers = share.take_due(now_ms)
            again += waited
            due += timers
        for ended in self._lanes.ended():
            holder = self.assignment.shares.get(ended.item.partition)
            found = holder.finish(ended) if holder is not None else None
            if found is None:
                continue
            if isinstance(found, Finished):
                finished.append(found)
            else:
                again.append(found[0])
                results[place(found[0].record)] = found[1]
            if len(finished) + len(results) >= MOST_FINISHED:
                break
        self._lanes.start(self.assignment.task)
        return Taken(fresh, again, due, finished, results, self._sweep(now_ms))

    def _sweep(self, now_ms: int) -> frozenset[int]:
        """Delete a portion of what has expired; goes on with the next batch while there is more, else looks again after a second."""
        if self.clock.monotonic() < self._swept_at + SWEEP_S:
            return frozenset()
        self._settle()
        swept = {number: share.state.sweep(now_ms, SWEEP_LIMIT) for number, share in self.assignment.shares.items()}
        if SWEEP_LIMIT not in swept.values():
            self._swept_at = self.clock.monotonic()
        return frozenset(number for number, count in swept.items() if count)

    def _traced(self, marked: Iterable[Message], again: Iterable[Waited]) -> Traces | None:
        tracing = [record_of(message) for message in marked if any(name == TRACE for name, _ in headers_of(message))]
        found = wanted([*tracing, *(waited.record for waited in again)])
        return Traces(self._flow.name, found) if found else None

    def _untold(self) -> bool:
        return any(share.tallies.untold for share in self.assignment.shares.values())

    def _moved(self) -> None:
        self.moved_at = self.clock.monotonic()
        if self._stop.asked:
            raise Stopped
        self._gauges.look(self.inlet, self.assignment.shares, self.calls)
