"""How far a flow is behind: records count, the ends of transactions do not."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Producer

from flows.core.topics import EVENTS
from flows.wire.inlet import Inlet
from flows.wire.kafka import client_config, ensure_topics
from tests.kit.door import until
from tests.kit.settings import settings_for


class Nobody:
    """Is told of partitions and lets them flow."""

    def __init__(self) -> None:
        self.held: list[int] = []

    def assigned(self, partitions: list[int]) -> None:
        self.held += partitions

    def revoked(self, partitions: list[int]) -> None: ...

    def lost(self, partitions: list[int]) -> None: ...


def test_ends_of_transactions_are_no_lag_and_records_are(kafka: str, tmp_path: Path) -> None:
    settings, name, owner = settings_for(kafka, tmp_path, kafka_partitions="1"), f"t-{uuid4().hex[:10]}", Nobody()
    ensure_topics(settings, [replace(EVENTS, name=name)])
    producer = Producer(client_config(settings, transactional_id=name))
    producer.init_transactions(30)
    inlet = Inlet(settings, name, name, 0, owner)
    inlet.join()
    taken = 0

    def take() -> bool:
        nonlocal taken
        taken += sum(map(len, inlet.poll(10, 0, 0.1).values()))
        return taken == 3

    def write(count: int, *, commit: bool) -> None:
        producer.begin_transaction()
        for _ in range(count):
            producer.produce(name, b"x")
        producer.flush(20)
        (producer.commit_transaction if commit else producer.abort_transaction)(20)

    write(3, commit=True)
    write(5, commit=False)
    until(lambda: inlet.poll(10, 0, 0.1) is not None and owner.held)
    inlet.resume(0)
    until(take)
    until(lambda: inlet.poll(10, 0, 0.1) == {} and inlet.behind(0, 3) == 0, why=lambda: inlet.behind(0, 3))
    write(2, commit=True)
    until(lambda: (inlet.behind(0, 3) or 0) >= 2, why=lambda: inlet.behind(0, 3))
    inlet.close()
