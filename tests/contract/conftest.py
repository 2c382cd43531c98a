"""An ingress that the contract tests share, and a worker beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.door import RunningDoor, running_door
from tests.kit.settings import settings_for
from tests.kit.workers import running_workers


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
    with running_workers(door.settings, home, "webhooks"):
        yield home / "webhooks"
