"""The flow deliveries in this process, on a topic of its own, with targets that run beside it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import orjson
from confluent_kafka import Producer

from connectors.testing import ManualClock
from flows import deliveries
from flows.core import topics
from flows.core.clock import Clock
from flows.core.outbound import delivery
from flows.core.resources import StoredSecret, StoredWebhook, WebhookDefinition, delivery_context
from flows.core.signals import Signal
from flows.engine import Flow
from flows.engine.runtime import Engine
from flows.engine.worker import drive
from flows.wire.kafka import ensure_topics
from flows.wire.names import Resolve, system_addresses
from flows.wire.vault import Vault
from tests.kit.engine import Bench, bench
from tests.kit.targets import Talk, Target, target
from tests.kit.topics import Read

T = TypeVar("T")


class Beside:
    """An event loop in a thread of its own, for targets."""

    def __init__(self) -> None:
        """Start it."""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._open = AsyncExitStack()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on it and wait for the end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def target(self, talk: Talk, **more: Any) -> Target:
        """Run a target until the end."""
        return self.do(self._open.enter_async_context(target(talk, **more)))

    def close(self) -> None:
        """Cut everything."""
        self.do(self._open.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Started:
    """A worker on a thread."""

    def __init__(self, flow: Flow, engine: Engine) -> None:
        """Start it."""
        self.engine = engine
        self.failed: BaseException | None = None
        self._thread = Thread(target=self._run, args=(flow,), daemon=True)
        self._thread.start()

    def _run(self, flow: Flow) -> None:
        try:
            drive(flow, self.engine)
        except BaseException as error:  # noqa: BLE001  told to the test
            self.failed = error
        finally:
            self.engine.close()

    def end(self) -> None:
        """Drain, and tell what went wrong."""
        self.engine.stop()
        self._thread.join(30)
        assert self.failed is None, self.failed
        assert not self._thread.is_alive()


@dataclass
class Courier:
    """A bench for deliveries."""

    bench: Bench
    beside: Beside
    vault: Vault
    resolve: Resolve = system_addresses
    """Where names lead."""

    def define(self, name: str, url: str | None, *, secrets: dict[str, str] | None = None, stored: dict[str, Any] | None = None, **fields: Any) -> str:
        """Put a definition on the log and return a delivery secret of its."""
        plain = secrets or {"first": delivery.new_secret()}
        sealed = tuple(StoredSecret(secret_id=n, sealed=self.vault.seal(s, delivery_context(name, n)), created_at_ms=0) for n, s in plain.items())
        definition = WebhookDefinition.model_validate({"endpoint_id": name, "url": url} | fields)
        whole = StoredWebhook(definition=definition, secrets=(), delivery_secrets=sealed, created_at_ms=0, updated_at_ms=0)
        self.config(name, whole.model_copy(update=stored or {}))
        return next(iter(plain.values()))

    def config(self, name: str, stored: StoredWebhook | None) -> None:
        """Put a definition on the log of definitions, or take it off."""
        producer = Producer({"bootstrap.servers": self.bench.settings.kafka_bootstrap_servers})
        text = stored.model_dump_json(by_alias=True).encode() if stored is not None else None
        producer.produce(topics.CONFIG.name, text, f"webhook/{name}".encode())
        assert producer.flush(20) == 0

    def send(self, name: str, *bodies: bytes, key: bytes | None = None) -> None:
        """Write events for an endpoint; their ids are its name and a number."""
        for body in bodies:
            headers = [("ce_id", f"{name}-{body.decode('latin-1')}".encode()), ("ce_source", b"/webhooks/" + name.encode()), ("ce_type", b"a.b")]
            headers += [("content-type", b"application/json")] + ([("x-key", key)] if key is not None else [])
            self.bench.send((name.encode(), body), headers=headers)

    def run(self, until: Callable[[Engine], bool] | None = None) -> Engine:
        """Run a worker until everything sent is taken and nothing waits, or `until` says so."""
        return self.bench.run(self.flow, until=until or self.idle)

    @property
    def flow(self) -> Flow:
        """The flow, on this bench's topic."""
        build = partial(deliveries.build, resolve=self.resolve)
        return replace(deliveries.FLOW, name=self.bench.name, topic=self.bench.source, build=build)

    def start(self, slot: int) -> "Started":
        """Run a worker on a thread until it is ended."""
        return Started(self.flow, self.bench.engine(self.flow, slot))

    def idle(self, engine: Engine) -> bool:
        """Tell whether everything that was sent is delivered or buried: a record taken is not counted as waiting before its batch is committed."""
        shares = engine.assignment.shares
        return self.bench.through(engine) and all(shares[n].state.source >= end for n, end in self.bench.ends.items()) and not self.waiting(engine)

    def waiting(self, engine: Engine) -> int:
        """Count what waits, as far as is committed."""
        return sum(share.tallies.waiting for share in engine.assignment.shares.values())

    def tally(self, name: str) -> dict[str, Any]:
        """Return an endpoint's tally."""
        return next(tally for key, tally in self.bench.tallies().items() if key.endswith("/" + name))

    def partition_of(self, name: str) -> str:
        """Return the partition that an endpoint's records lie on."""
        return next(str(read.partition) for read in self.bench.read(self.bench.source.name) if read.key == name.encode())

    def gauges(self, engine: Engine, signal: Signal) -> dict[str, float]:
        """Return what a worker's `/metrics` shows of a signal, by endpoint or by partition."""
        samples = engine.telemetry.as_json().get(signal.name, [])
        return {str(dict(sample["labels"])[signal.labels[-1]]): float(sample["value"]) for sample in samples}  # type: ignore[call-overload,arg-type]  # as JSON has it

    def attempts(self, name: str) -> list[dict[str, Any]]:
        """Return what the journal tells about an endpoint's deliveries."""
        entries = [orjson.loads(read.value or b"") for read in self.bench.read(topics.JOURNAL.name)]
        return sorted((entry for entry in entries if entry.get("resource") == name), key=lambda entry: (entry["event_id"], entry["attempt"]))

    def letters(self, name: str) -> list[Read]:
        """Return an endpoint's dead letters."""
        return [read for read in self.bench.dead() if read.key == name.encode()]

    def moves(self, name: str) -> list[dict[str, Any]]:
        """Return what was told about an endpoint's target."""
        reads = self.bench.read(topics.STATUS.name)
        return [
            orjson.loads(read.value or b"") for read in reads if (read.key or b"").startswith(b"breaker/") and (read.key or b"").endswith(b"/" + name.encode())
        ]


@contextmanager
def courier(kafka: str, tmp_path: Path, *, clock: Clock | None = None, **over: str) -> Iterator[Courier]:
    """Make a bench for deliveries to this machine, unless `over` allows less."""
    made = bench(kafka, tmp_path, clock=clock or ManualClock(), **({"egress_allow": "127.0.0.0/8"} | over))
    ensure_topics(made.settings, topics.TOPICS)
    beside = Beside()
    try:
        yield Courier(made, beside, Vault.load(made.settings))
    finally:
        beside.close()
