"""A storm over deliveries: workers are killed while targets fail, hang, hang up and ask for patience; then it is proved that nothing shows.

How: a broker, several workers of the flow deliveries, and one target in this process that serves many endpoints and answers by dice. Events come
all the while; workers get SIGKILL and SIGTERM at the plan's moments, the broker SIGKILL. What is proved then, from the logs and the target's memory:

- every event was answered with 2xx by its target at least once, under the id it has, and nothing else was;
- no attempt was made before it was due;
- the journal tells every attempt that counts once, without a gap, and the delivery of every event once;
- of one key, no event was delivered before the one ahead of it;
- the ledger balances: all that came in has gone out, nothing waits, nothing is buried.
"""

import asyncio
import json
import random
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer

from deploy.cli import ledger
from deploy.cli.topics import all_topics
from deploy.local.broker import RunningBroker
from deploy.local.ports import free_port
from flows.core import topics
from flows.core.outbound import delivery
from flows.core.resources import StoredSecret, StoredWebhook, WebhookDefinition, delivery_context
from flows.core.settings import Settings, load
from flows.wire.kafka import PARTITIONER, ensure_topics
from flows.wire.vault import Vault
from tests.bench.place import environment
from tests.bench.topics import wait_until
from tests.chaos.crew import Crew, Part
from tests.chaos.plan import Plan, Report
from tests.chaos.proofs import some
from tests.kit.targets import Request, Target, read_request, target
from tests.kit.topics import topic_reader

FLOW: Final = "deliveries"
ENDPOINTS: Final = 24
KEYS: Final = 5
"""Of an endpoint that keeps order."""
DELAYS_S: Final = (1, 1, 2)
QUIET_S: Final = 120.0
TICK_S: Final = 0.05
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FAILS: Final = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"
LATER: Final = b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


@dataclass(slots=True)
class Seen:
    """What the target remembers: for each `webhook-id` when it was answered with 2xx."""

    delivered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers: Counter[str] = field(default_factory=Counter)


class Receiver:
    """One target for all endpoints, in a thread of its own."""

    def __init__(self, seed: int) -> None:
        """Start it."""
        self.seen, self._dice = Seen(), random.Random(seed)
        self._loop, self._over, ready = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
        self.url = ""

        async def serve() -> None:
            async with target(self._talk) as made:
                self.url = made.url
                ready.set()
                await self._over.wait()

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()), daemon=True)
        self._thread.start()
        ready.wait(10)

    async def _talk(self, seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(seen, reader)
            seen.requests.clear()  # a storm is long
            fate = self._dice.choices(("ok", "fails", "later", "hangs up", "hangs", "ok unheard"), (70, 12, 5, 5, 3, 5))[0]
            self.seen.answers[fate] += 1
            if fate in {"ok", "ok unheard"}:
                self._note(request)
            if fate == "hangs":
                await asyncio.sleep(5)
            if fate in {"hangs up", "hangs", "ok unheard"}:
                return
            writer.write({"ok": OK, "fails": FAILS, "later": LATER}[fate])

    def _note(self, request: Request) -> None:
        self.seen.delivered[request.header("webhook-id") or ""].append(time.time())

    def close(self) -> None:
        """Stop it."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()


def run(plan: Plan, broker: RunningBroker, home: Path) -> Report:
    """Run a storm on a broker that is running; `home` takes logs and state. `report.wrong` is empty when every promise held.

    Raises:
        TimeoutError: the deliveries did not come to rest.

    """
    begin, report = time.monotonic(), Report(plan)
    home.mkdir(parents=True, exist_ok=True)
    settings = load({}, kafka_bootstrap_servers=broker.bootstrap, data_dir=str(home / "data"), kafka_partitions=str(plan.partitions))
    ensure_topics(settings, all_topics())
    receiver = Receiver(plan.seed)
    crew = Crew(workers_of(plan, broker.bootstrap, home), home, report)
    try:
        define(settings, receiver.url)
        sent = rage(plan, crew, broker, settings, report)
        wait_until(lambda: rested(settings, crew, len(sent)), QUIET_S, "rest after the storm", every_s=1.0)
        crew.stop()
        report.wrong += [*proofs(broker.bootstrap, sent, receiver.seen), *balanced(settings, len(sent))]
        report.answers += receiver.seen.answers
        report.counts |= {"events": len(sent), "deliveries": sum(map(len, receiver.seen.delivered.values()))}
    except TimeoutError as error:
        error.add_note(f"{report.text()}\n{crew.tails()}")
        raise
    finally:
        crew.stop()
        receiver.close()
    report.seconds = time.monotonic() - begin
    return report


def workers_of(plan: Plan, bootstrap: str, home: Path) -> dict[str, Part]:
    """Return the workers' command lines and environments."""
    env = environment(bootstrap, home / "data", INTEGRATION_KAFKA_PARTITIONS=str(plan.partitions), INTEGRATION_EGRESS_ALLOW="127.0.0.0/8")
    first = free_port(plan.workers)
    command = [sys.executable, "-m", "deploy.cli.main", "worker", FLOW]
    return {f"worker-{slot}": ([*command, "--slot", str(slot), "--port", str(first + slot)], env) for slot in range(plan.workers)}


def define(settings: Settings, url: str) -> None:
    """Put the endpoints on the log; every second one keeps order by key."""
    vault, producer = Vault.load(settings), Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for n in range(ENDPOINTS):
        name = f"e{n}"
        secret = StoredSecret(secret_id="s", sealed=vault.seal(delivery.new_secret(), delivery_context(name, "s")), created_at_ms=0)
        definition = WebhookDefinition.model_validate(
            {
                "endpoint_id": name,
                "url": f"{url}/{name}",
                "retry_config": {"max_attempts": 100, "retry_delays": DELAYS_S},
                "delivery": {"timeout_seconds": 1, "concurrency": 8, "order": "key" if n % 2 else "none"},
            }
        )
        stored = StoredWebhook(definition=definition, secrets=(), delivery_secrets=(secret,), created_at_ms=0, updated_at_ms=0)
        producer.produce(topics.CONFIG.name, stored.model_dump_json(by_alias=True, exclude_none=True).encode(), f"webhook/{name}".encode())
    producer.flush(20)


def rage(plan: Plan, crew: Crew, broker: RunningBroker, settings: Settings, report: Report) -> list[str]:
    """Write events and kill at the plan's moments; return the ids of the events, in the order in which they were written."""
    dice, sent = random.Random(plan.seed), list[str]()
    moments = sorted(_moments(plan, dice))
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "partitioner": PARTITIONER, "enable.idempotence": True})
    begin = time.monotonic()
    while moments or len(sent) < plan.records:
        crew.tick()
        now = time.monotonic() - begin
        for n in range(len(sent), min(plan.records, int(now * plan.rate))):
            sent.append(_write(producer, n))
        producer.poll(0)
        if moments and now >= moments[0][0]:
            if moments.pop(0)[1] == "broker":
                broker.kill()
                report.kills["broker SIGKILL"] += 1
                broker.start()
            else:
                crew.kill(dice.choice(crew.workers()), dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        time.sleep(TICK_S)
    assert producer.flush(60) == 0
    return sent


def _write(producer: Producer, n: int) -> str:
    endpoint, number = n % ENDPOINTS, n // ENDPOINTS
    name, key = f"e{endpoint}", f"k{number % KEYS}"
    event_id = f"{name}-{key}-{number}"
    headers = {"ce_id": event_id, "ce_source": f"/webhooks/{name}", "ce_type": "storm", "x-key": key}
    producer.produce(topics.DELIVERIES.name, json.dumps({"n": n}).encode(), name.encode(), headers=list(headers.items()))
    return event_id


def _moments(plan: Plan, dice: random.Random) -> Iterator[tuple[float, str]]:
    for what, count in (("worker", plan.kills), ("broker", plan.broker_kills)):
        for n in range(count):
            yield plan.seconds * (n + dice.uniform(0.3, 0.9)) / count, what


def rested(settings: Settings, crew: Crew, events: int) -> bool:
    """Tell whether everything has gone out, as far as was told."""
    crew.tick()
    rows = [row for row in ledger.read(settings, scan=False) if row.flow == FLOW]
    return sum(row.arrived for row in rows) == events and not any(row.waiting for row in rows)


def proofs(bootstrap: str, sent: list[str], seen: Seen) -> Iterable[str]:
    """Hold the journal and the target's memory against what was sent."""
    if lost := set(sent) - seen.delivered.keys():
        yield f"lost: {len(lost):,} events were never answered with 2xx: {some(lost)}"
    if strange := seen.delivered.keys() - set(sent):
        yield f"invented: {len(strange):,} deliveries have an id that nobody sent: {some(strange)}"
    attempts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for read in topic_reader(bootstrap, topics.JOURNAL.name, timeout_s=120):
        entry = json.loads(read.value or b"{}")
        attempts[entry["event_id"]].append(entry)
    for event_id in sent:
        yield from _told(event_id, sorted(attempts[event_id], key=lambda entry: int(entry["attempt"])))
    yield from _in_order(sent, seen)


def _told(event_id: str, entries: list[dict[str, Any]]) -> Iterable[str]:
    numbers = [entry["attempt"] for entry in entries]
    if numbers != list(range(1, len(entries) + 1)):
        yield f"attempts of {event_id} are told as {numbers}"
    if [entry["outcome"] == "delivered" for entry in entries] != [False] * (len(entries) - 1) + [True]:
        yield f"{event_id} ended as {[entry['outcome'] for entry in entries]}"
    for before, after in pairwise(entries):
        if after["at_ms"] < before["next_due_ms"]:
            yield f"early: attempt {after['attempt']} of {event_id} was made {before['next_due_ms'] - after['at_ms']} ms before it was due"


def _in_order(sent: list[str], seen: Seen) -> Iterable[str]:
    last: dict[str, tuple[str, float]] = {}
    for event_id in sent:
        name, key, _ = event_id.split("-")
        if int(name[1:]) % 2 and event_id in seen.delivered:
            first = seen.delivered[event_id][0]
            ahead = last.get(f"{name}-{key}")
            if ahead is not None and first < ahead[1]:
                yield f"out of order: {event_id} was delivered {ahead[1] - first:.3f} s before {ahead[0]}"
            last[f"{name}-{key}"] = event_id, first


def balanced(settings: Settings, events: int) -> Iterable[str]:
    """The ledger adds up, and to what was sent."""
    rows = [row for row in ledger.read(settings, scan=True) if row.flow == FLOW]
    yield from (f"unbalanced: {row}" for row in rows if not row.balanced)
    told = sum(row.arrived for row in rows), sum(row.out for row in rows), sum(row.waiting for row in rows)
    if told != (events, events, 0):
        yield f"the ledger says in, out, waiting are {told}; {events} events were sent"
