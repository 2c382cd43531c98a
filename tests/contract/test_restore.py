"""Restoring state from a real changelog: transactions, compaction, deletion, a topic made anew."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports them without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from connectors.testing import ManualClock
from deploy.local.broker import RunningBroker
from flows.core import codec
from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.engine import changelog
from flows.engine.state import PartitionState
from flows.wire.replay import Replay
from tests.kit.settings import settings_for
from tests.kit.state import Entry, content, opened


@pytest.fixture
def admin(kafka: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka})


@pytest.fixture
def topic(admin: AdminClient) -> Iterator[str]:
    name = f"restore-{uuid4()}"
    make(admin, name)
    yield name
    admin.delete_topics([name])[name].result(30)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[PartitionState]:
    state = opened(tmp_path / "state", ManualClock())
    yield state
    state.close()


def make(admin: AdminClient, name: str, **config: str) -> None:
    policy = {"cleanup.policy": "compact"} | {key.replace("_", "."): value for key, value in config.items()}
    admin.create_topics([NewTopic(name, 2, 1, config=policy)])[name].result(30)


def producer(kafka: str) -> Producer:
    made = Producer({"bootstrap.servers": kafka, "transactional.id": f"restore-{uuid4()}", "linger.ms": 5})
    made.init_transactions(30)
    return made


def begin(made: Producer, topic: str, changes: list[Entry]) -> None:
    made.begin_transaction()
    for key, entry in changes:
        made.produce(topic, key=key, value=entry, partition=1)
    made.flush(30)


def committed(made: Producer, topic: str, changes: list[Entry]) -> None:
    begin(made, topic, changes)
    made.commit_transaction(30)


def aborted(made: Producer, topic: str, changes: list[Entry]) -> None:
    begin(made, topic, changes)
    made.abort_transaction(30)


def users(first: int, end: int, value: bytes = b"v") -> list[Entry]:
    return [(b"u%05d" % number, codec.plain(value)) for number in range(first, end)]


def end_of(settings: Settings, topic: str) -> int:
    reader = Replay(settings, topic, 1)
    try:
        return reader.extent().end
    finally:
        reader.close()


def test_committed_entries_come_back_and_aborted_ones_do_not(settings: Settings, kafka: str, topic: str, state: PartitionState) -> None:
    made = producer(kafka)
    aborted(made, topic, users(0, 3, b"aborted"))
    committed(made, topic, users(0, 4000))
    aborted(made, topic, users(2000, 6000, b"aborted"))
    committed(made, topic, [*users(4000, 5000), (b"tone", codec.timer(5, b"payload")), (b"u00000", None)])
    told: list[tuple[int, int]] = []
    assert changelog.restore(settings, state, topic, 1, lambda done, left: told.append((done, left))) == 5002
    assert [key for key, _ in state.scan()] == [b"%05d" % number for number in range(1, 5000)]
    assert {value for _, value in state.scan()} == {b"v"}
    assert state.timers.next_due_ms() == 5
    assert told[-1] == (5002, 0)


@pytest.mark.parametrize("last", [committed, aborted])
def test_a_marker_may_be_the_last_offset(settings: Settings, kafka: str, topic: str, state: PartitionState, last: object) -> None:
    made = producer(kafka)
    committed(made, topic, users(0, 10))
    if last is aborted:
        aborted(made, topic, users(5, 20))
    changelog.restore(settings, state, topic, 1)
    assert len(list(state.scan())) == 10
    assert state.position == end_of(settings, topic) == (11 if last is committed else 27)
    assert changelog.restore(settings, state, topic, 1) == 0


def test_an_empty_changelog_is_restored_at_once(settings: Settings, topic: str, state: PartitionState) -> None:
    assert changelog.restore(settings, state, topic, 1) == 0
    assert state.position == 0


def test_restoring_goes_on_from_the_position(settings: Settings, kafka: str, topic: str, state: PartitionState) -> None:
    made = producer(kafka)
    committed(made, topic, users(0, 10))
    for key, _ in users(0, 10):
        state.put(key[1:], b"v")
    state.apply(10)  # what a checkpoint knows: behind its last entry, before the marker
    committed(made, topic, users(10, 15))
    assert changelog.restore(settings, state, topic, 1) == 5
    assert len(list(state.scan())) == 15


def test_a_transaction_still_open_is_waited_for(settings: Settings, kafka: str, topic: str, state: PartitionState) -> None:
    """What it will be, committed or not, is part of the state: another process may have to come back from it."""
    made = producer(kafka)
    committed(made, topic, users(0, 10))
    begin(made, topic, users(10, 20))
    reader = Replay(settings, topic, 1, stall_s=1.0)
    with pytest.raises(Unavailable, match=r"stands still at offset 11 of 21 since 1 s: a transaction is still open there"):
        changelog.catch_up(reader, state, topic)
    reader.close()
    assert len(list(state.scan())) == 10
    with ThreadPoolExecutor(1) as pool:
        restoring = pool.submit(changelog.restore, settings, state, topic, 1)
        made.commit_transaction(30)
        assert restoring.result(60) == 10
    assert len(list(state.scan())) == 20


def test_records_deleted_from_the_start_mean_a_rebuild(settings: Settings, kafka: str, admin: AdminClient, tmp_path: Path) -> None:
    topic, reasons = f"restore-{uuid4()}", list[str]()
    make(admin, topic, cleanup_policy="compact,delete")
    state = opened(tmp_path / "behind", ManualClock(), reasons)
    made = producer(kafka)
    committed(made, topic, users(0, 10, b"old"))
    state.put(b"00001", b"old")
    state.apply(3)
    committed(made, topic, users(0, 5, b"new"))
    place = TopicPartition(topic, 1, 11)
    admin.delete_records([place])[place].result(30)
    assert changelog.restore(settings, state, topic, 1) == 5
    assert reasons == ["behind"]
    assert dict(state.scan()) == {b"%05d" % number: b"new" for number in range(5)}
    state.close()
    admin.delete_topics([topic])[topic].result(30)


def test_a_topic_made_anew_means_a_rebuild(settings: Settings, kafka: str, admin: AdminClient, tmp_path: Path) -> None:
    name, reasons = f"restore-{uuid4()}", list[str]()
    state = opened(tmp_path / "ahead", ManualClock(), reasons)
    make(admin, name)
    committed(producer(kafka), name, users(0, 100))
    changelog.restore(settings, state, name, 1)
    admin.delete_topics([name])[name].result(30)
    while True:
        try:
            make(admin, name)
            break
        except KafkaException:
            continue  # the broker is still at the deletion
    committed(producer(kafka), name, users(500, 502))
    assert changelog.restore(settings, state, name, 1) == 2
    assert reasons == ["ahead"]
    assert [key for key, _ in state.scan()] == [b"00500", b"00501"]
    state.close()
    admin.delete_topics([name])[name].result(30)


def test_a_compacted_changelog_gives_the_same_state(own_broker: RunningBroker, tmp_path: Path) -> None:
    """On a broker of our own, whose cleaner is told to look for work more often than each 15 s."""
    kafka = own_broker.bootstrap
    settings, admin, made = settings_for(kafka, tmp_path), AdminClient({"bootstrap.servers": kafka}), producer(kafka)
    name = f"restore-{uuid4()}"
    make(admin, name, segment_ms="100", min_cleanable_dirty_ratio="0.001", max_compaction_lag_ms="100", delete_retention_ms="0")
    for turn in range(5):
        committed(made, name, [*users(0, 200, b"%d" % turn), (b"u%05d" % turn, None)])
        aborted(made, name, users(300, 310))
    whole = opened(tmp_path / "whole", ManualClock())
    changelog.restore(settings, whole, name, 1)
    hurry(admin, "100")
    try:
        while committed_now(settings, name, tmp_path / "watch") > 300:
            committed(made, name, users(199, 200, b"4"))  # in a new segment, so that the one before can be compacted
    finally:
        hurry(admin, None)
    changelog.restore(settings, whole, name, 1)
    compacted = opened(tmp_path / "compacted", ManualClock())
    changelog.restore(settings, compacted, name, 1)
    assert content(compacted) == content(whole)
    whole.close()
    compacted.close()


def committed_now(settings: Settings, topic: str, home: Path) -> int:
    """How many records a restore from nothing reads."""
    state = opened(home / str(uuid4()), ManualClock())
    count = changelog.restore(settings, state, topic, 1)
    state.close()
    return count


def hurry(admin: AdminClient, backoff_ms: str | None) -> None:
    """Let the broker's cleaner look for work more often than each 15 s, or as often as before."""
    operation = AlterConfigOpType.DELETE if backoff_ms is None else AlterConfigOpType.SET
    entry = ConfigEntry("log.cleaner.backoff.ms", backoff_ms or "", incremental_operation=operation)
    for node in admin.list_topics(timeout=30).brokers:
        broker = ConfigResource(ResourceType.BROKER, str(node), incremental_configs=[entry])
        admin.incremental_alter_configs([broker])[broker].result(30)
