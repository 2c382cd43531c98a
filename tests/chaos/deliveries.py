"""A storm over deliveries: workers are killed while targets fail, hang, hang up and ask for patience; then it is proved that nothing shows.

How: a broker, several workers of the flow deliveries and one of the flow replay, and one target in this process that serves many endpoints and
answers by dice. A third of the endpoints make two attempts only, and their target refuses some events for a while, again and again: those are
buried, and every few seconds an operator orders that all that was buried enters once more. Events come all the while; workers get SIGKILL and
SIGTERM at the plan's moments, the broker SIGKILL. When all is sent the targets are mended, and what is still buried is ordered once more.
What is proved then, from the logs and the target's memory:

- every event was answered with 2xx by its target at least once, under the id it has, and nothing else was;
- every letter has entered once, whatever was ordered how often, and the index says so;
- no attempt was made before it was due;
- the journal tells every attempt that counts once, without a gap: one life for each burial, and one that ends with the delivery;
- of one key, no event was delivered before the one ahead of it, but for those that a burial set apart;
- the ledgers of both flows balance, and their sums are those of the logs; nothing waits.
"""

import json
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from confluent_kafka import Producer

from deploy.cli import ledger
from deploy.cli.topics import all_topics
from deploy.local.broker import RunningBroker
from deploy.local.ports import free_port
from flows.core import topics
from flows.core.deadletters.summaries import BURIED
from flows.core.errors import Unavailable
from flows.core.outbound import delivery
from flows.core.resources import StoredSecret, StoredWebhook, WebhookDefinition, delivery_context
from flows.core.settings import Settings, load
from flows.wire.kafka import PARTITIONER, ensure_topics
from flows.wire.vault import Vault
from tests.bench.place import environment
from tests.bench.topics import wait_until
from tests.chaos import delivery_proofs
from tests.chaos.crew import Crew, Part
from tests.chaos.orders import Ordered, all_over, index, last_letters, order
from tests.chaos.plan import Plan, Report
from tests.chaos.receiver import FEW_EVERY, Receiver

FLOW: Final = "deliveries"
ENDPOINTS: Final = 24
KEYS: Final = 5
"""Of an endpoint that keeps order."""
MANY: Final = {"max_attempts": 100, "retry_delays": (1, 1, 2)}
FEW: Final = {"max_attempts": 2, "retry_delays": (1,)}
REFUSES_S: Final = 4
"""For so long targets are not in trouble, and for as long they are."""
ORDER_S: Final = 3.0
"""Between two orders."""
MOST_ROUNDS: Final = 10
QUIET_S: Final = 480.0
"""After the last kill everything must have gone out within this: a breaker stays open for six minutes at most."""
TICK_S: Final = 0.05


class Operator:
    """Orders, now and then, that what was buried enters once more."""

    def __init__(self, bootstrap: str) -> None:
        """Order nothing yet."""
        self.orders: list[Ordered] = []
        self._bootstrap = bootstrap
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 2})
        self._next_s = ORDER_S

    def tick(self, now_s: float) -> None:
        """Order, when it is time to and there is anything."""
        if now_s >= self._next_s and last_letters(self._bootstrap):
            self._next_s = now_s + ORDER_S
            self.order()

    def order(self) -> None:
        """Order everything of the flow that is buried."""
        self.orders.append(order(self._producer, self._bootstrap, {"flow": FLOW}))


def run(plan: Plan, broker: RunningBroker, home: Path) -> Report:
    """Run a storm on a broker that is running; `home` takes logs and state. `report.wrong` is empty when every promise held.

    Raises:
        TimeoutError: the deliveries did not come to rest.

    """
    begin, report = time.monotonic(), Report(plan)
    home.mkdir(parents=True, exist_ok=True)
    settings = load({}, kafka_bootstrap_servers=broker.bootstrap, data_dir=str(home / "data"), kafka_partitions=str(plan.partitions))
    ensure_topics(settings, all_topics())
    receiver, operator = Receiver(plan.seed), Operator(broker.bootstrap)
    crew = Crew(workers_of(plan, broker.bootstrap, home), home, report)
    try:
        define(settings, receiver.url)
        sent = Storm(plan, crew, broker, receiver, operator).rage(report)
        receiver.mended = True
        settle(settings, crew, operator)
        crew.stop()
        report.counts["orders"] = len(operator.orders)
        report.wrong += delivery_proofs.compare(settings, sent, receiver.seen, report.counts)
        report.answers += receiver.seen.answers
    except TimeoutError as error:
        error.add_note(f"{report.text()}\n{crew.tails()}")
        raise
    finally:
        crew.stop()
        receiver.close()
    report.seconds = time.monotonic() - begin
    return report


def workers_of(plan: Plan, bootstrap: str, home: Path) -> dict[str, Part]:
    """Return the workers' command lines and environments; a flow that buries much is to go on burying."""
    own = {"KAFKA_PARTITIONS": str(plan.partitions), "EGRESS_ALLOW": "127.0.0.0/8", "DLQ_RATIO": "1"}
    env = environment(bootstrap, home / "data", **{f"INTEGRATION_{name}": value for name, value in own.items()})
    first = free_port(plan.workers + 1)
    whole = [*((FLOW, "worker", slot) for slot in range(plan.workers)), ("replay", "replay", 0)]
    command = [sys.executable, "-m", "deploy.cli.main", "worker"]
    return {f"{kind}-{slot}": ([*command, flow, "--slot", str(slot), "--port", str(first + n)], env) for n, (flow, kind, slot) in enumerate(whole)}


def define(settings: Settings, url: str) -> None:
    """Put the endpoints on the log; every second one keeps order by key, every third one has few attempts."""
    vault, producer = Vault.load(settings), Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for n in range(ENDPOINTS):
        name = f"e{n}"
        secret = StoredSecret(secret_id="s", sealed=vault.seal(delivery.new_secret(), delivery_context(name, "s")), created_at_ms=0)
        definition = WebhookDefinition.model_validate(
            {
                "endpoint_id": name,
                "url": f"{url}/{name}",
                "retry_config": MANY if n % FEW_EVERY else FEW,
                "delivery": {"timeout_seconds": 1, "concurrency": 8, "order": "key" if n % 2 else "none"},
            }
        )
        stored = StoredWebhook(definition=definition, secrets=(), delivery_secrets=(secret,), created_at_ms=0, updated_at_ms=0)
        producer.produce(topics.CONFIG.name, stored.model_dump_json(by_alias=True, exclude_none=True).encode(), f"webhook/{name}".encode())
    producer.flush(20)


class Storm:
    """The storm itself: who sends, who is killed, who is in trouble."""

    def __init__(self, plan: Plan, crew: Crew, broker: RunningBroker, receiver: Receiver, operator: Operator) -> None:
        """Take everybody who is in it."""
        self._plan, self._crew, self._broker, self._receiver, self._operator = plan, crew, broker, receiver, operator
        self._dice = random.Random(plan.seed)

    def rage(self, report: Report) -> list[str]:
        """Write events and kill at the plan's moments; return the ids of the events, in the order in which they were written."""
        plan, sent, moments = self._plan, list[str](), sorted(_moments(self._plan, self._dice))
        producer = Producer({"bootstrap.servers": self._broker.bootstrap, "partitioner": PARTITIONER, "enable.idempotence": True, "log_level": 2})
        begin = time.monotonic()
        while moments or len(sent) < plan.records:
            self._crew.tick()
            now = time.monotonic() - begin
            for n in range(len(sent), min(plan.records, int(now * plan.rate))):
                sent.append(_write(producer, n))
            producer.poll(0)
            self._receiver.refuses = int(now) // REFUSES_S % 2 == 1
            self._operator.tick(now)
            if moments and now >= moments[0][0]:
                self._strike(moments.pop(0)[1], report)
            time.sleep(TICK_S)
        assert producer.flush(60) == 0
        return sent

    def _strike(self, what: str, report: Report) -> None:
        if what == "broker":
            self._broker.kill()
            report.kills["broker SIGKILL"] += 1
            self._broker.start()
        else:
            self._crew.kill(self._dice.choice(self._crew.workers()), self._dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))


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


def settle(settings: Settings, crew: Crew, operator: Operator) -> None:
    """Wait until all has gone out, and have what is still buried enter once more, until nothing is.

    Raises:
        TimeoutError: it did not come to rest, or is buried again and again though its target is mended.

    """
    for _ in range(MOST_ROUNDS):
        wait_until(partial(rested, settings, crew, operator.orders), QUIET_S, "rest after the storm", every_s=0.5)
        if not any(summary.status == BURIED for summary in index(settings.kafka_bootstrap_servers)):
            return
        operator.order()
    raise TimeoutError("letters are still buried, though their targets are mended")


def rested(settings: Settings, crew: Crew, orders: Sequence[Ordered]) -> bool:
    """Tell whether every order is carried out, and then whether everything on the topics has gone out, as far as was told."""
    crew.tick()
    try:
        rows = ledger.read(settings, scan=True) if all_over(settings.kafka_bootstrap_servers, orders) else []
    except Unavailable:
        return False
    return bool(rows) and all(row.balanced and not row.waiting and row.committed >= row.end for row in rows)
