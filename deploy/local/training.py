"""Make the AOT cache: run a broker once on scratch data, let it do a little of everything, stop it."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # the package re-exports it without saying so

from deploy.local import kafka
from deploy.local.cache import held
from deploy.local.java import Java, prune
from deploy.local.ports import free_port
from flows.core.errors import XyraError

START_TIMEOUT_S: Final = 90.0
END_TIMEOUT_S: Final = 120.0
QUIET: Final[dict[str, str | int | float | bool]] = {
    "enable.sparse.connections": False,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 100,
    "log_level": 0,
}


def ensure_aot_cache(cache: Path, java: Java, say: Callable[[str], None]) -> None:
    """Make the AOT cache if there is none that fits; only the first start on a machine pays for it (10 s).

    A training that fails is not an error: Kafka then starts without the cache, two seconds slower, and the next start tries again.
    """
    if java.aot.exists():
        return
    with held(cache / "aot.lock"):
        if java.aot.exists():
            return
        say("Preparing Kafka for fast starts (once)")
        with tempfile.TemporaryDirectory(dir=cache, prefix=".training-") as scratch:
            output = Path(scratch) / "aot"
            try:
                _train(kafka.Broker(Path(scratch), free_port(2), java), output)
                output.replace(java.aot)
            except (KafkaException, OSError, subprocess.SubprocessError, XyraError) as error:
                say(f"That did not work ({error}); Kafka starts two seconds slower, and the next start tries again")
        prune(cache)


def _train(broker: kafka.Broker, output: Path) -> None:
    kafka.prepare(broker, lambda _: None)
    command = broker.java.training("kafka.Kafka", str(broker.home / "server.properties"), output=output, options=kafka.options())
    with (broker.home / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            await_kafka(broker.bootstrap, START_TIMEOUT_S, lambda: process.poll() is None)
            _exercise(broker.bootstrap)
            process.terminate()
            process.wait(END_TIMEOUT_S)
        finally:
            process.kill()


def await_kafka(bootstrap: str, timeout_s: float, alive: Callable[[], bool] = lambda: True) -> bool:
    """Wait until a broker answers with metadata; False when `alive` turned false or time ran out first."""
    return await_answer(AdminClient({"bootstrap.servers": bootstrap, **QUIET}), timeout_s, alive)


def first_producer(bootstrap: str) -> Producer:
    """Return a client that asks for a producer id as soon as it can, in the background.

    A broker that has just started sends the first one who asks away, and that one comes back after a second; better us than the ingress.
    """
    return Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, **QUIET})


def await_answer(client: AdminClient | Producer, timeout_s: float, alive: Callable[[], bool] = lambda: True) -> bool:
    """As `await_kafka`, with a client of the caller's."""
    end = time.monotonic() + timeout_s
    while alive() and time.monotonic() < end:
        try:
            if client.list_topics(timeout=0.5).brokers:
                return True
        except KafkaException:
            continue  # not yet; it has waited for the half second
    return False


def _exercise(bootstrap: str) -> None:
    """Create, write in transactions, read as a group: what the broker is going to do all day."""
    common: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, **QUIET}
    admin = AdminClient(common)
    admin.create_topics([NewTopic("training", 2, 1)])["training"].result(START_TIMEOUT_S)
    producer = Producer({**common, "transactional.id": "training", "linger.ms": 1})
    producer.init_transactions(START_TIMEOUT_S)
    consumer = Consumer({**common, "group.id": "training", "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    consumer.subscribe(["training"])
    for _ in range(20):
        producer.begin_transaction()
        for n in range(200):
            producer.produce("training", key=str(n), value=b"{}" * 100)
        producer.send_offsets_to_transaction(consumer.position(consumer.assignment()), consumer.consumer_group_metadata())
        producer.commit_transaction(START_TIMEOUT_S)
        consumer.consume(1000, 0.1)
    consumer.close()
