r"""Targets that a flow calls: what is known of each, kept in the state of the partition that owns it, and the line in which its records wait.

target/<name>            State       one for each target that was ever called
line/<name>\0<number>    offset      of each record that stands in line
timer <name>                         when the target is to be looked at again
"""

from collections.abc import Callable, Iterator
from typing import Final

import orjson

from flows.core import signals, topics
from flows.core.outbound import breaker
from flows.core.outbound.target import Asked, Back, Go, Limits, State, Stay, answered, ask, heeded, new, pack, unpack, unused
from flows.core.record import Output, Record
from flows.engine import Batch, Entries
from flows.wire.telemetry import Telemetry

STATE: Final = b"target/"
LINE: Final = b"line/"
NUMBER_BYTES: Final = 8
MOST_AT_ONCE: Final = 1000
"""Records of one line that a batch deals with."""


class Target:
    """One target in the batch in hand."""

    def __init__(self, batch: Batch, partition: int, name: str, limits: Limits, epoch: int, policy: breaker.Policy, asked: Asked) -> None:
        """Read what is known of it, and do what its definition asks for; a target that was never called is as good as any."""
        self.name = name
        self.partition = partition
        self.limits = limits
        self.epoch = epoch
        self._batch = batch
        self._policy = policy
        self._entries = batch.state(partition)
        self._key = STATE + name.encode()
        stored = self._entries.get(self._key)
        self.before = unpack(stored) if stored else new(name, batch.now_ms)
        self.state = heeded(self.before, asked, batch.now_ms)
        self._stay: Stay | None = None

    @property
    def off(self) -> str | None:
        """Why it is called no more, None when it is."""
        return self.state.off.why if self.state.off is not None and self.state.is_off(self.epoch) else None

    def ask(self) -> Go | None:
        """Ask for leave to call; once it was refused, it is for the rest of the batch."""
        if self._stay is None:
            self.state, given = ask(self.state, self.limits, self._policy, self._batch.now_ms)
            if isinstance(given, Go):
                return given
            self._stay = given
        return None

    def unused(self, generation: int) -> None:
        """Give back leave with which nothing was called."""
        self.state = unused(self.state, self._policy, generation, self._batch.now_ms)

    def answered(self, back: Back) -> None:
        """Take the end of a call."""
        self.state = answered(self.state, self.limits, self._policy, back, self.epoch, self._batch.now_ms)

    def line_up(self, offset: int) -> None:
        """Put a record at the end of the line."""
        self._entries.put(self._place(self.state.tail), b"%d" % offset)
        self.state = self.state.with_line(self.state.head, self.state.tail + 1)

    def next_in_line(self) -> Record | None:
        """Recall the first of the line, None when nobody stands there."""
        while self.state.waiting:
            place = self._place(self.state.head)
            self.state = self.state.with_line(self.state.head + 1, self.state.tail)
            offset = self._entries.get(place)
            self._entries.delete(place)
            record = self._batch.recall(self.partition, int(offset)) if offset is not None else None
            if record is not None:
                return record
        return None

    def leave(self, flow: str) -> None:
        """Write down what has become of it, see that it is looked at again while somebody stands in line, and tell where breaker or switch moved."""
        if self.state.waiting and not (self._stay is not None and self._stay.until_ms is None):
            until_ms = self._batch.now_ms if self._stay is None else self._stay.until_ms
            self._batch.timers(self.partition).set(self.name.encode(), until_ms or self._batch.now_ms)
        if self.state is not self.before:
            self._entries.put(self._key, pack(self.state))
        if (self.state.breaker.phase, self.state.off) != (self.before.breaker.phase, self.before.off):
            self._batch.publish(Output(topics.STATUS.name, f"breaker/{flow}/{self.partition}/{self.name}".encode(), self._told()))

    def _told(self) -> bytes:
        seen, off = breaker.view(self.state.breaker, self._policy, self._batch.now_ms), self.state.off
        switched = {"epoch": off.epoch, "since_ms": off.since_ms, "why": off.why} if off is not None else None
        return orjson.dumps(seen._asdict() | {"off": switched, "at_ms": self._batch.now_ms})

    def _place(self, number: int) -> bytes:
        return LINE + self.name.encode() + b"\0" + number.to_bytes(NUMBER_BYTES, "big")


class Targets:
    """The targets of the batch in hand, and the gauges of those of all partitions held. One flow has one."""

    def __init__(self, flow: str, telemetry: Telemetry, open_target: Callable[[Batch, int, str], Target]) -> None:
        """Take what makes a target of its name, with what its definition says now."""
        self._flow = flow
        self._telemetry = telemetry
        self._open = open_target
        self._batch: Batch | None = None
        self._found: dict[tuple[int, str], Target] = {}
        self._shown: dict[int, set[str]] = {}
        self._lines: dict[int, dict[str, int]] = {}
        """Those with a line, by partition, and what they were last asked for (`Asked.probes`)."""
        self._seen: tuple[int, frozenset[int]] | None = None

    def __iter__(self) -> Iterator[Target]:
        """Give those that the batch in hand concerns."""
        return iter([*self._found.values()])

    def of(self, batch: Batch, partition: int, name: str) -> Target:
        """Return a target; what a batch has found out about it lasts as long as the batch."""
        if batch is not self._batch:
            self._batch = batch
            self._found.clear()
        found = self._found.get((partition, name))
        if found is None:
            found = self._found[partition, name] = self._open(batch, partition, name)
        return found

    def leave(self, batch: Batch) -> None:
        """Write down what has become of the targets of this batch."""
        if batch is not self._batch:
            return
        for target in self._found.values():
            target.leave(self._flow)
            if target.state is not target.before:
                self._show(target.partition, target.name, target.state, was_waiting=target.before.waiting > 0)
        self._found.clear()
        self._batch = None

    def asked_for(self, batch: Batch, probes: Callable[[str], int]) -> set[tuple[int, str]]:
        """Return those with a line whose definition asks for an attempt at once: their timers say later. Costs nothing while no definition changes."""
        now = (batch.config.revision, batch.held)
        if now == self._seen:
            return set()
        self._seen = now
        for number in batch.held.difference(self._lines):
            self._look(number, batch.state(number))
        found = {(number, name) for number in batch.held for name, heeded in self._lines[number].items() if probes(name) > heeded}
        for number, _ in found:
            batch.touch(number)
        return found

    def came(self, partition: int, state: Entries) -> None:
        """Show the targets that a partition's state holds, and look at what is asked of them; reads them all."""
        self._look(partition, state)
        self._seen = None

    def _look(self, partition: int, state: Entries) -> None:
        self._lines[partition] = {}
        for key, value in state.scan(STATE):
            self._show(partition, key[len(STATE) :].decode(), unpack(value), was_waiting=False)

    def left(self, partition: int) -> None:
        """Show nothing of a partition's targets any more, unless another partition has records for the same."""
        self._lines.pop(partition, None)
        for name in self._shown.pop(partition, set()).difference(*self._shown.values()):
            for signal in (signals.BREAKER_STATE, signals.PARKED):
                self._telemetry.forget(signal, flow=self._flow, resource=name)

    def _show(self, partition: int, name: str, state: State, *, was_waiting: bool) -> None:
        if state.breaker.generation:  # it has moved
            self._telemetry.gauge(signals.BREAKER_STATE, breaker.LEVELS[state.breaker.phase], flow=self._flow, resource=name)
            self._shown.setdefault(partition, set()).add(name)
        lines = self._lines.setdefault(partition, {})
        lines.pop(name, None)
        if state.waiting:
            lines[name] = state.asked.probes
        if state.waiting or was_waiting:
            self._telemetry.gauge(signals.PARKED, state.waiting, flow=self._flow, resource=name)
            self._shown.setdefault(partition, set()).add(name)
