"""Fixtures that every test may ask for; registered in tests/conftest.py."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import broker, ports, valkey
from flows.core.settings import Settings
from tests.kit.settings import settings_for


@pytest.fixture(scope="session")
def own_broker() -> Iterator[broker.RunningBroker]:
    """A private broker that a test may also kill and start again (it gives it back running)."""
    home = Path(tempfile.mkdtemp(prefix="xyra-kafka-"))
    try:
        with broker.running(home, os.environ) as running:
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """Bootstrap servers of a real Kafka: that of XYRA_TEST_BOOTSTRAP, else a private broker for this session."""
    given = os.environ.get("XYRA_TEST_BOOTSTRAP")
    if given:
        return given
    running: broker.RunningBroker = request.getfixturevalue("own_broker")
    return running.bootstrap


@pytest.fixture(scope="session")
def valkey_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a private Valkey on 127.0.0.1 for this session."""
    with valkey.running(tmp_path_factory.mktemp("valkey"), ports.free_port()) as port:
        yield port


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    """Settings with the session's Kafka, free ports and a data directory of the test's own."""
    return settings_for(kafka, tmp_path)
