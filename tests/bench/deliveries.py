"""Deliveries to many targets at once, and timers: how many go out in a second, how late a timer is, what a million of them take."""

import asyncio
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final, Literal, cast
from uuid import uuid4

from confluent_kafka import Consumer, Producer

from deploy.cli import ledger
from deploy.local.ports import free_port
from flows.core import topics
from flows.core.outbound import delivery
from flows.core.resources import StoredSecret, StoredWebhook, WebhookDefinition, delivery_context
from flows.core.settings import Settings, load
from flows.wire.kafka import PARTITIONER, ensure_topics
from flows.wire.vault import Vault
from tests.bench.place import Place
from tests.bench.processes import check, running, usage
from tests.bench.results import Figure, Result, Series, percentile
from tests.bench.topics import PARTITIONS, make, wait_until

TARGETS: Final = 100
EVENTS: Final = 40_000
FILLER: Final = b"x" * 960
STAMP: Final = 20
"""Digits of the time in an event's body."""
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FROM, TO = 0.10, 0.95
LIMIT_S: Final = 55.0

PENDING: Final = 1_000_000
DUE_PER_S: Final = 2000
DUE_S: Final = 15
CALM_S: Final = 3.0

DELIVERIES: Final = Figure("deliveries", f"signed deliveries of 1 KB to {TARGETS} targets, attempts journaled, one worker", "deliveries/s", 1000, "at least")
LATENESS: Final = Figure("timers-lateness", f"timers, {DUE_PER_S:,} due a second, 1,000,000 more pending: how late, p99", "ms", 150, "at most")
MEMORY: Final = Figure("timers-memory", "memory of a worker that has set 1,000,000 timers, more than after as many records without", "MiB", 64, "at most")


def body() -> bytes:
    """Return an event's body of 1 KB; it says when it was made."""
    return b'{"type": "bench", "at": %0*d, "filler": "%b"}' % (STAMP, time.time_ns(), FILLER)


class Seen:
    """What the targets have got."""

    def __init__(self) -> None:
        self.count = 0
        self.late: defaultdict[int, list[float]] | None = None
        """For each target how many milliseconds old the events were, while somebody wants to know."""


class _Target(asyncio.Protocol):
    """Answers each request; all bodies end alike."""

    def __init__(self, seen: Seen, number: int) -> None:
        self._seen, self._number, self._text = seen, number, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._text += data
        if not self._text.endswith(FILLER + b'"}'):
            return
        self._seen.count += 1
        if self._seen.late is not None:
            place = self._text.index(b'"at": ') + 6
            self._seen.late[self._number].append((time.time_ns() - int(self._text[place : place + STAMP])) / 1e6)
        self._text = b""
        self.answer()

    def answer(self) -> None:
        cast("asyncio.Transport", self._transport).write(OK)


class _Hangs(_Target):
    """Takes requests and never answers."""

    def answer(self) -> None:
        pass


@contextmanager
def targets(seen: Seen, count: int, hanging: int = 0) -> Iterator[list[int]]:
    """Run so many targets and then so many that hang, each on a port of its own, in one thread; gives the ports."""
    loop = asyncio.new_event_loop()
    made = [partial(_Target if n < count else _Hangs, seen, n) for n in range(count + hanging)]
    servers = [loop.run_until_complete(loop.create_server(target, "127.0.0.1", 0)) for target in made]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield [server.sockets[0].getsockname()[1] for server in servers]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for server in servers:
            server.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def deliveries(place: Place) -> Iterator[Result]:
    """Deliver events that lie ready, and count what the targets get."""
    env = place.env("deliveries", INTEGRATION_EGRESS_ALLOW="127.0.0.0/8", INTEGRATION_KAFKA_PARTITIONS=str(PARTITIONS))
    settings = load(env)
    ensure_topics(settings, topics.TOPICS)
    rates, cost, total, seen = [], [], 0, Seen()
    with targets(seen, TARGETS) as ports:
        define(settings, dict(enumerate(ports)))
        for number in range(place.rounds()):
            place.say(f"deliveries, round {number + 1}")
            _fill(settings, EVENTS)
            total += EVENTS
            log, base, low = place.data / "deliveries.log", seen.count, None
            with running(worker(), log, env) as process:
                deadline = time.monotonic() + LIMIT_S
                while time.monotonic() < deadline:
                    done, now, used = seen.count - base, time.monotonic(), usage(process).cpu_s
                    if low is None and done >= FROM * EVENTS:
                        low = done, now, used
                    if low is not None and done >= TO * EVENTS:
                        rates.append((done - low[0]) / (now - low[1]))
                        cost.append(1e6 * (used - low[2]) / (done - low[0]))
                        break
                    check(process, log)
                    time.sleep(0.05)
                wait_until(lambda total=total: _out(settings) >= total, LIMIT_S, "the last commits", every_s=0.5)  # type: ignore[misc]  # the default binds it
    yield Result(DELIVERIES, Series(tuple(rates)), None, (("cpu_us_per_delivery", round(sum(cost) / len(cost))),))


def worker() -> list[str]:
    """Return the command of a worker."""
    return [sys.executable, "-m", "deploy.cli.main", "worker", "deliveries", "--slot", "0", "--port", str(free_port())]


def define(settings: Settings, ports: Mapping[int, int], status: Literal["active", "inactive"] = "active") -> None:
    """Put an endpoint for each of these targets, by its number, on the log."""
    vault, producer = Vault.load(settings), Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for n, port in ports.items():
        name = f"bench{n}"
        secret = StoredSecret(secret_id="s", sealed=vault.seal(delivery.new_secret(), delivery_context(name, "s")), created_at_ms=0)
        definition = WebhookDefinition.model_validate({"endpoint_id": name, "url": f"http://127.0.0.1:{port}/hook"})
        stored = StoredWebhook(definition=definition, secrets=(), delivery_secrets=(secret,), status=status, created_at_ms=0, updated_at_ms=0)
        producer.produce(topics.CONFIG.name, stored.model_dump_json(by_alias=True, exclude_none=True).encode(), f"webhook/{name}".encode())
    producer.flush(20)


def _fill(settings: Settings, events: int) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "partitioner": PARTITIONER, "linger.ms": 50})
    for n in range(events):
        send(producer, n % TARGETS)
        if n % 1000 == 0:
            producer.poll(0)
    producer.flush(30)


def send(producer: Producer, number: int) -> None:
    """Write an event for a target."""
    name = f"bench{number}"
    headers: dict[str, str | bytes | None] = {"ce_id": uuid4().hex, "ce_source": f"/webhooks/{name}", "ce_type": "bench"}
    producer.produce(topics.DELIVERIES.name, body(), name.encode(), headers=headers)


def _out(settings: Settings) -> int:
    return sum(row.out for row in ledger.read(settings, scan=False) if row.flow == "deliveries")


def timers(place: Place) -> Iterator[Result]:
    """Set a million timers far ahead, then some that come due, and see how late they are.

    A worker at full load keeps what its batches took, timers or not; so it first works on as many records that set none. What the timers alone take is
    what a worker that is started beside them takes more than one that was started without.
    """
    topic, pending = "bench.timers", place.amount(PENDING)
    out, env, log = f"{topic}.out", place.env("timers"), place.data / "timers.log"
    make(place.bootstrap, topic, out)
    command = [sys.executable, "-m", "tests.bench.flows", "timers", "--topic", topic, "--name", "timers"]
    with running(command, log, env) as process:
        fresh = _settled(place, process, topic, [(0, 1)] * PARTITIONS, 2 * PARTITIONS)
        place.say(f"timers: {pending:,} records without any")
        before = _settled(place, process, topic, [(0, 0)] * pending, pending)
        place.say(f"timers: setting {pending:,}")
        after = _settled(place, process, topic, [(86_400_000, 1)] * pending, pending)
        count = DUE_PER_S * place.amount(DUE_S * 8) // 8
        place.say("timers: due")
        _set(place, topic, [(5000 + 1000 * n // DUE_PER_S, 1) for n in range(count)])
        late = _late(place, out, 2 * count)
        check(process, log)
    with running(command, log, env) as process:
        again = _settled(place, process, topic, [(0, 1)] * PARTITIONS, 2 * PARTITIONS)
    started = (("mib_more_when_started_beside_them", round(again - fresh, 1)), ("rss_before_mib", round(before)))
    yield Result(LATENESS, Series((percentile(late, 0.99),)), None, (("p50_ms", percentile(late, 0.5)),))
    yield Result(MEMORY, Series((after - before,)), None, started)


def _settled(place: Place, process: subprocess.Popen[bytes], topic: str, wanted: list[tuple[int, int]], answers: int) -> float:
    """Have records worked on, and return the MiB a worker takes afterwards."""
    _set(place, topic, wanted)
    _late(place, f"{topic}.out", answers)
    time.sleep(CALM_S)
    return usage(process).rss / 2**20


def _set(place: Place, topic: str, wanted: list[tuple[int, int]]) -> None:
    producer = Producer({"bootstrap.servers": place.bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 500_000})
    now_ms = time.time_ns() // 1_000_000
    for n, (ahead_ms, count) in enumerate(wanted):
        while True:
            try:
                producer.produce(topic, b"[%d,%d]" % (now_ms + ahead_ms, count), partition=n % PARTITIONS)
            except BufferError:
                producer.poll(0.1)
            else:
                break
    producer.flush(30)


def _late(place: Place, topic: str, count: int) -> list[float]:
    """Read until `count` records more have come; return the lateness of the timers among them, to when they are read."""
    consumer = _READERS.get(topic)
    if consumer is None:
        consumer = _READERS[topic] = Consumer(
            {"bootstrap.servers": place.bootstrap, "group.id": "bench-timers", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
        )
        consumer.subscribe([topic])
    late: list[float] = []
    deadline, seen = time.monotonic() + LIMIT_S * 2, 0
    while seen < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{seen} of {count} records came on {topic}")
        for message in consumer.consume(1000, 0.01):
            seen += 1
            due_ms = int(message.value() or 0)
            if due_ms:
                late.append(time.time_ns() / 1e6 - due_ms)
    return late


_READERS: dict[str, Consumer] = {}
