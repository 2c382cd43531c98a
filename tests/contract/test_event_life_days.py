"""Lives that last for days, on a broker of their own: its topics are in the order of time, as they are where time passes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.local import broker
from flows.core import ids, topics
from flows.core.clock import SystemClock
from flows.core.settings import Settings
from flows.wire.kafka import ensure_topics
from ingress.life import NOWHERE, Life, Replayed
from ingress.lookup import look_up
from tests.kit.log import Log
from tests.kit.settings import settings_for

HOUR_MS = 3_600_000
BEGUN_MS = SystemClock().now_ms() - 100 * HOUR_MS
DUE_H = (2, 7, 29, 30, 90)
"""When each attempt after the first is due, in hours after the event."""


@dataclass(frozen=True)
class Past:
    """A log in which an event was received, kept and tried again and again, among others."""

    settings: Settings
    event_id: str
    noise: int

    def life(self, now_ms: int) -> Life:
        """Look the event up as of a time."""
        return look_up(self.settings, self.event_id, BEGUN_MS, now_ms, lambda _: NOWHERE, lambda _: None)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    home = tmp_path_factory.mktemp("days")
    with broker.running(home / "kafka", os.environ) as running:
        settings = settings_for(running.bootstrap, home, kafka_partitions="1")
        ensure_topics(settings, topics.TOPICS)
        made = Past(settings, ids.event_id(BEGUN_MS), 2000)
        write(made, Log(settings))
        yield made


def write(past: Past, log: Log) -> None:
    """Write the event's way, and other events' between its attempts."""
    source = {"ce_source": "/webhooks/shop", "ce_id": past.event_id}
    partition, offset = log.write(topics.WEBHOOKS.name, "k", b"{}", BEGUN_MS, **source)
    log.write(topics.EVENTS.name, "k", b"{}", BEGUN_MS + 20, x_origin=f"xyra.webhooks/{partition}/{offset}", **source)
    log.write(topics.DELIVERIES.name, "shop", b"{}", BEGUN_MS + 20, x_origin=f"xyra.webhooks/{partition}/{offset}", **source)
    at_ms = BEGUN_MS + 50
    for n, hours in enumerate(DUE_H):
        log.journal(past.event_id, "attempt", at_ms, attempt=n + 1, status=500, next_due_ms=BEGUN_MS + hours * HOUR_MS)
        for other in range(past.noise):
            log.post(topics.JOURNAL.name, f"other-{other}", b"{}", at_ms + HOUR_MS // 2)
        at_ms = BEGUN_MS + hours * HOUR_MS + 40
    log.flush()
    assert partition == 0
    through(past.settings, offset + 1)


def through(settings: Settings, offset: int) -> None:
    """Say that the flow has read as far."""
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "xyra-webhooks", "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topics.WEBHOOKS.name, 0, offset)], asynchronous=False)
    consumer.close()


def test_attempts_days_apart_are_found_without_reading_between_them(past: Past) -> None:
    life = past.life(BEGUN_MS + 31 * HOUR_MS)
    assert [entry["attempt"] for _, entry in life.entries] == [1, 2, 3, 4, 5]
    assert life.due_ms == BEGUN_MS + 90 * HOUR_MS
    assert life.records < past.noise / 10
    assert not life.left


def test_an_attempt_that_is_overdue_is_told_as_due(past: Past) -> None:
    life = past.life(BEGUN_MS + 99 * HOUR_MS)
    assert [entry["attempt"] for _, entry in life.entries] == [1, 2, 3, 4, 5]
    assert life.due_ms == BEGUN_MS + 90 * HOUR_MS


def test_what_retention_has_left_is_told(past: Past) -> None:
    log, event_id = Log(past.settings), ids.event_id(BEGUN_MS + HOUR_MS)
    letter = {"x_dlq_topic": "xyra.webhooks", "x_dlq_partition": "0", "x_dlq_offset": "7", "x_dlq_flow": "webhooks", "x_dlq_step": "schema"}
    log.write(topics.DLQ.name, "k", b"{}", BEGUN_MS + HOUR_MS + 9, ce_id=event_id, x_dlq_code="schema", **letter)
    log.write(topics.WEBHOOKS.name, "k", b"{}", SystemClock().now_ms())
    place, admin = TopicPartition(topics.WEBHOOKS.name, 0, 1), AdminClient({"bootstrap.servers": past.settings.kafka_bootstrap_servers})
    admin.delete_records([place])[place].result(20)
    found = look_up(past.settings, event_id, BEGUN_MS + HOUR_MS, SystemClock().now_ms(), lambda _: NOWHERE, lambda _: None)
    assert found.received is None
    assert found.fate is not None
    assert (found.fate.outcome, found.fate.origin) == ("buried", "xyra.webhooks/0/7")
    assert found.cut == {topics.WEBHOOKS.name}


def test_a_replayed_dead_letter_is_followed_to_what_became_of_it(past: Past) -> None:
    log, event_id, now_ms = Log(past.settings), ids.event_id(SystemClock().now_ms() - HOUR_MS), SystemClock().now_ms()
    source = {"ce_source": "/webhooks/shop", "ce_id": event_id}
    first = log.write(topics.WEBHOOKS.name, "k", b"{", now_ms - HOUR_MS, **source)
    told = {"x_dlq_topic": "xyra.webhooks", "x_dlq_partition": str(first[0]), "x_dlq_offset": str(first[1]), "x_dlq_flow": "webhooks", "x_dlq_code": "schema"}
    letter = log.write(topics.DLQ.name, "k", b"{", now_ms - HOUR_MS + 30, x_dlq_step="schema", **source, **told)
    again = log.write(topics.WEBHOOKS.name, "k", b"{}", now_ms - 60_000, x_replayed_letter=f"{letter[0]}-{letter[1]}", **source)
    log.write(topics.EVENTS.name, "k", b"{}", now_ms - 59_000, x_origin=f"xyra.webhooks/{again[0]}/{again[1]}", **source)
    through(past.settings, again[1] + 1)
    replayed = {f"{letter[0]}-{letter[1]}": Replayed("r-1", now_ms - 60_000)}
    life = look_up(past.settings, event_id, now_ms - HOUR_MS, now_ms, lambda _: NOWHERE, replayed.get)
    assert [(fate.outcome, fate.step) for fate in life.fates] == [("buried", "schema"), ("kept", "")]
    ((letter_id, order, record),) = life.returns
    assert (letter_id, order.replay_id, record and record.offset) == (f"{letter[0]}-{letter[1]}", "r-1", again[1])
    assert life.received is not None
    assert life.received.offset == first[1]


def test_a_replayed_delivery_is_followed_through_its_further_attempts(past: Past) -> None:
    log, event_id, now_ms = Log(past.settings), ids.event_id(SystemClock().now_ms() - HOUR_MS), SystemClock().now_ms()
    source = {"ce_source": "/webhooks/shop", "ce_id": event_id}
    partition, offset = log.write(topics.WEBHOOKS.name, "k", b"{}", now_ms - HOUR_MS, **source)
    log.write(topics.EVENTS.name, "k", b"{}", now_ms - HOUR_MS + 9, x_origin=f"xyra.webhooks/{partition}/{offset}", **source)
    through(past.settings, offset + 1)
    log.write(topics.DELIVERIES.name, "shop", b"{}", now_ms - HOUR_MS + 9, x_origin=f"xyra.webhooks/{partition}/{offset}", **source)
    log.journal(event_id, "attempt", now_ms - HOUR_MS + 20, attempt=1, status=400)
    told = {"x_dlq_topic": "xyra.deliveries", "x_dlq_partition": "0", "x_dlq_offset": "0", "x_dlq_flow": "deliveries", "x_dlq_code": "refused"}
    letter = log.write(topics.DLQ.name, "shop", b"{}", now_ms - HOUR_MS + 20, **source, **told)
    log.journal(event_id, "attempt", now_ms - 1000, attempt=1, status=200, outcome="delivered")
    replayed = {f"{letter[0]}-{letter[1]}": Replayed("r-2", now_ms - 2000)}
    life = look_up(past.settings, event_id, now_ms - HOUR_MS, now_ms, lambda _: NOWHERE, replayed.get)
    assert [entry["status"] for _, entry in life.entries] == [400, 200]
    assert [one.replayed.replay_id for one in life.returns] == ["r-2"]
    assert [record.topic for record in life.outputs] == ["xyra.events", "xyra.deliveries"]
    assert (life.ended, life.due_ms) == ("delivered", None)
