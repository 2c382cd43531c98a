"""An ingress that the contract tests share."""

from collections.abc import Iterator

import pytest

from tests.kit.door import RunningDoor, running_door
from tests.kit.settings import settings_for


@pytest.fixture(scope="session")
def door(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """Run one for the session, impatient with slow senders."""
    home = tmp_path_factory.mktemp("door")
    with running_door(settings_for(kafka, home), home / "log", webhook_body_timeout_ms="700", webhook_max_payload_size="1048576") as running:
        yield running
