"""Settings for a test."""

from pathlib import Path
from typing import Final

from deploy.local.ports import free_port
from flows.core.settings import Settings, load

PARTITIONS: Final = 4
"""Each costs every worker a store, a restore and a dozen files: four, so that two workers have two each. Tests of a whole stack keep the eight of a user."""


def settings_for(kafka: str, tmp_path: Path, **over: str) -> Settings:
    """Return settings with the given Kafka, free ports, data under `tmp_path`, and `over` (texts, by field name) over them."""
    own = {
        "kafka_bootstrap_servers": kafka,
        "data_dir": str(tmp_path / "data"),
        "batch_import_upload_dir": str(tmp_path / "uploads"),
        "http_port": str(free_port()),
        "worker_port": str(free_port(8)),
        "kafka_partitions": str(PARTITIONS),
    }
    return load({}, **(own | over))
