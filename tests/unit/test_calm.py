"""A client that repeats itself is heard once."""

import logging

import pytest

from flows.wire.calm import calm_logger


def test_a_sentence_is_written_once_whatever_numbers_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    logger = calm_logger("xyra.test.calm")
    for n in range(50):
        logger.warning("Connect to 127.0.0.1:%d failed after %d ms", 9092, n)
    logger.warning("Another thing")
    assert [record.getMessage() for record in caplog.records] == ["Connect to 127.0.0.1:9092 failed after 0 ms", "Another thing"]
    assert calm_logger("xyra.test.calm") is logger
    assert len(logger.filters) == 1
    assert logger.level == logging.NOTSET
