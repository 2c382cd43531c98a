"""What is said where Kafka takes no more from a worker: no other process is blamed for what a standing machine does as well."""

import pytest
from confluent_kafka import KafkaError

from flows.core.errors import Expired, Fatal, Fenced
from flows.wire.inlet import FENCED
from flows.wire.outlet import failed


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION])
def test_a_member_that_the_group_does_not_know_any_more_stood_still(code: int) -> None:
    told = failed(KafkaError(code), "k:1")
    assert type(told) is Expired
    assert "gave no sign of life for 10 s" in told.detail
    assert "nother process" not in told.detail
    assert (told.code, told.exit_code) == ("expired", 4)


@pytest.mark.parametrize("code", FENCED)
def test_a_producer_that_is_shut_out_was_replaced_or_stood_still(code: int) -> None:
    told = failed(KafkaError(code), "k:1")
    assert type(told) is Fenced
    assert told.detail.startswith("Another process has started with this slot, or this one stood still until Kafka ended its transaction, after 30 s")


def test_everything_else_is_told_as_it_is() -> None:
    told = failed(KafkaError(KafkaError.INVALID_TXN_STATE, "no such transaction"), "k:1")
    assert type(told) is Fatal
    assert told.detail == "A transaction on Kafka at k:1 failed and counts for nothing (INVALID_TXN_STATE: no such transaction)."
