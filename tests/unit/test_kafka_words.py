"""What a person reads of the Kafka client's errors."""

import pytest
from confluent_kafka import KafkaError

from flows.wire.kafka import said


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Timed out waiting for operation to finish, retry call to resume", "Timed out waiting for operation to finish"),
        ("Failed to initialize Producer ID: retry call to resume.", "Failed to initialize Producer ID"),
        ("Broker: Not coordinator.", "Broker: Not coordinator"),
    ],
)
def test_advice_to_callers_of_the_client_is_left_out(text: str, read: str) -> None:
    assert said(KafkaError(KafkaError.REQUEST_TIMED_OUT, text)) == read
