"""Workers in this process, on a real Kafka: they run until all that was sent is committed, or something raises."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import bytewax.operators as op
import orjson
from bytewax.dataflow import Dataflow
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # the package re-exports them without saying so

from connectors.testing import ManualClock
from flows.core import topics
from flows.core.clock import Clock, SystemClock
from flows.core.settings import Settings
from flows.engine import Batch, Flow, Handler, Runtime, Step
from flows.engine.checkpoint import nothing
from flows.engine.runtime import Engine
from flows.engine.worker import drive, prepare_topics
from flows.wire.kafka import PARTITIONER, ensure_topics
from flows.wire.telemetry import Telemetry
from tests.kit.settings import settings_for
from tests.kit.topics import Progress, Read, topic_reader

LOOK_S = 0.02
PAUSE_MS = 1000


class Crash(Exception):
    """What a test raises to end a worker."""


def dies(step: int, batch: int) -> Callable[[int], None]:
    """Make a hook that ends the worker behind a numbered step of its nth batch."""
    seen = Counter[int]()

    def after(done: int) -> None:
        seen[done] += 1
        if done == step and seen[done] == batch:
            raise Crash

    return after


def counting(target: str) -> Step:
    """Make a step that counts each key in state and writes `{"k", "n", "at"}` to `target`: lost, doubled or stale state shows."""

    def count(batch: Batch) -> None:
        for portion in batch.portions():
            state = batch.state(portion.partition)
            values: list[bytes | None] = []
            for i, key in enumerate(portion.keys):
                name = key or b""
                n = int(state.get(name) or 0) + 1
                state.put(name, b"%d" % n)
                values.append(orjson.dumps({"k": name.decode(), "n": n, "at": portion.place(i)}))
            batch.emit_all(portion, target, values)

    return count


def faults(read: Iterable[Read], expected: Mapping[str, int]) -> list[str]:
    """Compare what `counting` wrote with how many records each key had; empty when nothing is lost, doubled, out of order or miscounted."""
    places = Counter[tuple[int, int]]()
    counts: dict[str, list[int]] = {}
    for record in read:
        found = orjson.loads(record.value or b"")
        places[tuple(found["at"])] += 1
        counts.setdefault(found["k"], []).append(found["n"])
    wrong = [f"{key}: {n} records, counted {counts.get(key, [])}" for key, n in expected.items() if counts.get(key, []) != list(range(1, n + 1))]
    wrong += [f"doubled: {place}" for place, n in places.items() if n > 1]
    return wrong + [f"nobody sent {key}" for key in sorted(counts.keys() - expected.keys())]


def settle(kafka: str, topic: str) -> None:
    """Wait until no transaction is open on a topic: a commit is answered a moment before its records can be read."""
    admin, waited = AdminClient({"bootstrap.servers": kafka, "enable.sparse.connections": False}), Event()
    places = [TopicPartition(topic, number) for number in admin.list_topics(topic, timeout=20).topics[topic].partitions]

    def ends(level: IsolationLevel) -> dict[int, int]:
        found = admin.list_offsets({place: OffsetSpec.latest() for place in places}, isolation_level=level)  # type: ignore[no-untyped-call]  # carries no types
        return {place.partition: future.result(20).offset for place, future in found.items()}

    for _ in range(2000):
        committed = ends(IsolationLevel.READ_COMMITTED)
        if committed == ends(IsolationLevel.READ_UNCOMMITTED):
            return
        waited.wait(LOOK_S)
    raise AssertionError(f"a transaction is still open on {topic}")


@dataclass
class Bench:
    """A topic of its own with everything a flow on it needs."""

    settings: Settings
    name: str = field(default_factory=lambda: f"t{uuid4().hex[:10]}")
    clock: Clock = field(default_factory=SystemClock)
    ends: dict[int, int] = field(default_factory=dict)
    """Where each partition ends, as far as records were sent from here."""

    def __post_init__(self) -> None:
        """Make the topic."""
        self.source = replace(topics.EVENTS, name=self.name)
        self.producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "partitioner": PARTITIONER})
        ensure_topics(self.settings, [self.source])

    @cached_property
    def target(self) -> str:
        """Name a topic for results; it is made when it is first asked for."""
        name = f"{self.name}.out"
        ensure_topics(self.settings, [replace(topics.EVENTS, name=name)])
        return name

    def flow(self, *steps: Step, work: Mapping[str, Handler] | None = None, **more: Any) -> Flow:
        """Make a flow of these steps, and of handlers for its slow work; a standing one, whose drain says nothing, unless told otherwise."""

        def build(runtime: Runtime) -> Dataflow:
            dataflow = Dataflow("bench")
            for kind, handler in (work or {}).items():
                runtime.handle(kind, handler)
            batches = op.input("records", dataflow, runtime.source())
            for n, step in enumerate(steps):
                batches = runtime.step(getattr(step, "__name__", f"step{n}"), batches, step)
            op.output("checkpoint", batches, runtime.sink())
            return dataflow

        return Flow(name=self.name, topic=self.source, build=build, **{"standing": True} | more)

    def send(self, *records: tuple[bytes | None, bytes | None], headers: list[tuple[str, bytes]] | None = None, partition: int = -1) -> None:
        """Write records, key and value, and wait until they are there."""
        for key, value in records:
            self.producer.produce(self.name, value, key, partition, headers=list(headers or []), on_delivery=self._sent)
        assert self.producer.flush(20) == 0

    def _sent(self, error: object, message: Any) -> None:
        assert error is None
        self.ends[message.partition()] = message.offset() + 1

    def through(self, engine: Engine) -> bool:
        """Tell whether a worker has taken all that was sent."""
        shares = engine.assignment.shares
        return engine.assignment.ready and all(number in shares and shares[number].position >= end for number, end in self.ends.items())

    def engine(self, flow: Flow, slot: int = 0, after: Callable[[int], None] = nothing) -> Engine:
        """Make a worker."""
        prepare_topics(flow, self.settings)
        return Engine(flow, self.settings, slot, "1.2.3", self.clock, Telemetry(), after)

    def run(self, flow: Flow, slot: int = 0, after: Callable[[int], None] = nothing, until: Callable[[Engine], bool] | None = None) -> Engine:
        """Run a worker until it has taken all that was sent, or `until` says so; it drains then. What it raises comes out."""
        engine, over = self.engine(flow, slot, after), Event()
        watch = Thread(target=_watch, args=(engine, until or self.through, over))
        watch.start()
        try:
            drive(flow, engine)
        finally:
            over.set()
            watch.join()
            engine.close()
        return engine

    def committed(self) -> int:
        """Return how many of the records that were sent are committed as worked on; reads no topic, so it may be asked again and again."""
        progress = Progress(self.settings.kafka_bootstrap_servers, f"xyra-{self.name}", self.name, self.settings.kafka_partitions)
        try:
            return progress.committed()
        finally:
            progress.close()

    def read(self, topic: str | None = None) -> list[Read]:
        """Return what is committed on the target, or on another topic."""
        topic = topic or self.target
        settle(self.settings.kafka_bootstrap_servers, topic)
        return topic_reader(self.settings.kafka_bootstrap_servers, topic)

    def dead(self) -> list[Read]:
        """Return this flow's dead letters."""
        return [read for read in self.read(topics.DLQ.name) if read.header("x-dlq-topic") == self.name]

    def tallies(self) -> dict[str, dict[str, Any]]:
        """Return this flow's tallies as last told, by `partition/resource`."""
        prefix = f"tally/{self.name}/"
        last = {(read.key or b"").decode(): read.value for read in self.read(topics.STATUS.name)}
        return {key.removeprefix(prefix): orjson.loads(value or b"") for key, value in last.items() if key.startswith(prefix)}


def bench(kafka: str, tmp_path: Path, *, clock: Clock | None = None, **over: str) -> Bench:
    """Make a bench; `over` are settings."""
    settings = settings_for(kafka, tmp_path, **over)
    return Bench(settings, clock=clock or ManualClock())


def balanced(tallies: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether every tally adds up: in = out + dropped + buried + waiting."""
    return all(t["in"] == t["out"] + sum(t["dropped"].values()) + sum(t["buried"].values()) + t["waiting"] for t in tallies.values())


def _watch(engine: Engine, enough: Callable[[Engine], bool], over: Event) -> None:
    while not over.wait(LOOK_S):
        if enough(engine):
            engine.stop()
            return
        if isinstance(engine.clock, ManualClock) and engine.assignment.restoring and not engine.assignment.can_advance:
            engine.clock.advance(PAUSE_MS)  # a broker that was slow is asked again, also by a clock that stands
