"""An ingress that the contract tests share, and a worker beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.ports import free_port
from flows.core import topics
from flows.core.settings import PREFIX
from flows.wire.kafka import ensure_topics
from tests.kit.door import RunningDoor, running_door
from tests.kit.settings import settings_for


@pytest.fixture(scope="session")
def door(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """Run one for the session, impatient with slow senders; targets of deliveries may be on this machine."""
    home = tmp_path_factory.mktemp("door")
    own = {"webhook_body_timeout_ms": "700", "webhook_max_payload_size": "1048576", "egress_allow": "127.0.0.0/8"}
    with running_door(settings_for(kafka, home), home / "log", **own) as running:
        yield running


@pytest.fixture(scope="module")
def worker(door: RunningDoor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a worker of the webhooks flow beside the ingress; gives its log."""
    home = tmp_path_factory.mktemp("worker")
    ensure_topics(door.settings, [topics.EVENTS])
    own = {
        "KAFKA_BOOTSTRAP_SERVERS": door.settings.kafka_bootstrap_servers,
        "KAFKA_PARTITIONS": str(door.settings.kafka_partitions),
        "DATA_DIR": str(home / "data"),
    }
    env = {**os.environ, **{PREFIX + name: value for name, value in own.items()}}
    command = [sys.executable, "-m", "deploy.cli.main", "worker", "webhooks", "--slot", "0", "--port", str(free_port())]
    with (home / "log").open("wb") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out)
    yield home / "log"
    process.terminate()
    process.wait(30)
