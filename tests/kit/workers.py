"""Flow workers for tests: processes of their own beside an ingress."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.local.ports import free_port
from flows.core import topics
from flows.core.settings import PREFIX, Settings
from flows.wire.kafka import ensure_topics

DRAIN_S = 60.0
"""A worker drains within 30 s; one that starts yet ends when it has started."""


@contextlib.contextmanager
def running_workers(settings: Settings, home: Path, *flows: str, **env: str) -> Iterator[None]:
    """Run a worker of each of these flows for the length of a block; their logs and data are under `home`, `env` has further settings, by field name."""
    ensure_topics(settings, topics.TOPICS)
    own = {
        "kafka_bootstrap_servers": settings.kafka_bootstrap_servers,
        "kafka_partitions": str(settings.kafka_partitions),
        "data_dir": str(home / "data"),
        "dlq_ratio": "1",  # tests share a broker: what another has left for endpoints of its own would make a flow pause itself
    }
    whole = {**os.environ, **{PREFIX + name.upper(): value for name, value in {**own, **env}.items()}}
    processes = []
    for flow in flows:
        command = [sys.executable, "-m", "deploy.cli.main", "worker", flow, "--slot", "0", "--port", str(free_port())]
        with (home / flow).open("wb") as out:
            processes.append(subprocess.Popen(command, env=whole, stdout=out, stderr=out))
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _leave(process)


def _leave(process: subprocess.Popen[bytes]) -> None:
    """Wait until a worker has drained; one that does not is ended, for whoever comes next takes its place in the group, and fails its test."""
    try:
        process.wait(DRAIN_S)
    finally:
        process.kill()
        process.wait()
