"""Where a bench runs: a directory and a broker of its own, and how much it does."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local import broker

HOME: Final = Path(".bench")
"""In the working directory: what is made once (`quix/`, `classes/`) and each run's own data (`run-PID/`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """What every measurement is handed."""

    home: Path
    """Kept between runs."""
    data: Path
    """This run's own; deleted at its end."""
    kafka: broker.RunningBroker
    """Its broker, which may be killed and started again."""
    quick: bool
    """Fewer and shorter runs, to see that everything works; says little about the figures."""
    say: Callable[[str], None]

    @property
    def bootstrap(self) -> str:
        """What clients are given."""
        return self.kafka.bootstrap

    def rounds(self, full: int = 3) -> int:
        """How often a contest is repeated."""
        return 1 if self.quick else full

    def amount(self, full: int) -> int:
        """How much of something: an eighth when quick."""
        return full // 8 if self.quick else full

    def env(self, name: str, **more: str) -> dict[str, str]:
        """Return the environment of one of our processes, with a data directory of its own; the machine's own settings stay outside."""
        return environment(self.bootstrap, self.data / name, **more)


def environment(bootstrap: str, data: Path, **more: str) -> dict[str, str]:
    """Return what our processes are started with on top of our own environment; empty is not set."""
    nothing = {name: "" for name in os.environ if name.startswith("INTEGRATION_")}
    ours = {"INTEGRATION_KAFKA_BOOTSTRAP_SERVERS": bootstrap, "INTEGRATION_DATA_DIR": str(data), "INTEGRATION_LOG_LEVEL": "warning"}
    return nothing | ours | more


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Make this run's directory and delete it at the end."""
    path = (HOME / f"run-{os.getpid()}").absolute()
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def place(*, quick: bool, say: Callable[[str], None]) -> Iterator[Place]:
    """Set everything up, and take it down again whatever happens."""
    say("Starting Kafka")
    with directory() as data, broker.running(data / "kafka", os.environ) as kafka:
        yield Place(HOME.absolute(), data, kafka, quick, say)
