"""Topics that are made: which refusal is to be mended, and which is only to be waited for."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # the package re-exports it without saying so

from flows.core import topics
from flows.core.errors import Unavailable, WrongSetting
from flows.core.settings import load
from flows.wire.kafka import make_topics, refusal

SETTINGS = load({})
FENCED = KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, "Unable to replicate the partition 1 time(s): All brokers are currently fenced.")
TOO_FEW = KafkaError(
    KafkaError.INVALID_REPLICATION_FACTOR,
    "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered.",
)
THERE = KafkaError(KafkaError.TOPIC_ALREADY_EXISTS, "it is there")


class Controller:
    """A controller that answers each request by what stands there for it; makes what is not refused, and everything after the last."""

    def __init__(self, *answers: Mapping[str, KafkaError]) -> None:
        """Take why topics are refused, request by request."""
        self._answers = [*answers]
        self.asked: list[list[str]] = []

    def create_topics(self, new_topics: Iterable[NewTopic], /, *, operation_timeout: float) -> dict[str, Future[Any]]:
        assert operation_timeout > 0
        names = [topic.topic for topic in new_topics]
        refused, found = self._answers.pop(0) if self._answers else {}, {name: Future[Any]() for name in names}
        self.asked.append(names)
        for name, future in found.items():
            if name in refused:
                future.set_exception(KafkaException(refused[name]))
            else:
                future.set_result(None)
        return found


def test_a_cluster_without_a_broker_that_is_let_in_is_away_and_no_setting_is_wrong() -> None:
    told = refusal(SETTINGS, "xyra.events", FENCED)
    assert type(told) is Unavailable
    assert "does not answer" in told.detail


def test_a_cluster_with_too_few_brokers_has_a_setting_that_is_wrong() -> None:
    told = refusal(SETTINGS, "xyra.events", TOO_FEW)
    assert type(told) is WrongSetting
    assert "only 1 broker(s) are registered. Mend INTEGRATION_KAFKA_REPLICATION_FACTOR" in told.detail


def test_brokers_that_are_let_in_again_are_waited_for() -> None:
    events, dlq, status = topics.EVENTS.name, topics.DLQ.name, topics.STATUS.name
    controller = Controller({dlq: FENCED, status: THERE}, {dlq: FENCED})
    assert make_topics(controller, SETTINGS, [topics.EVENTS, topics.DLQ, topics.STATUS]) == [events, dlq]
    assert controller.asked == [[events, dlq, status], [dlq], [dlq]]


def test_a_wrong_setting_is_told_at_once() -> None:
    controller = Controller({topics.EVENTS.name: TOO_FEW})
    with pytest.raises(WrongSetting):
        make_topics(controller, SETTINGS, [topics.EVENTS])
    assert len(controller.asked) == 1
