"""One real Apache Kafka broker on this machine: KRaft, loopback only, its data in one directory."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from deploy.local import jars
from deploy.local.cache import replacing
from deploy.local.java import Java
from flows.core.errors import Fatal, WrongSetting
from flows.core.topics import RECORD_BYTES

HOST: Final = "127.0.0.1"
CLUSTER_ID: Final = "eHlyYS1sb2NhbC1rYWZrYQ"
"""Base64 of `xyra-local-kafka`. Always the same, so that data whose mark was lost can be given it back."""
FORMAT_TIMEOUT_S: Final = 60
MARK: Final = "meta.properties"
RELEASE: Final = "release"
"""The file beside the data that names the Kafka they were last opened with; before it was written, that was 4.3.1."""
FIRST_RELEASE: Final = "4.3.1"
PROPERTIES: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(RECORD_BYTES),
    "replica.fetch.max.bytes": str(RECORD_BYTES),
    "socket.request.max.bytes": str(2 * RECORD_BYTES),
    # One node: nothing can be replicated.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Few partitions: a start opens every one of them.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "transaction.max.timeout.ms": "900000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "log.retention.hours": "168",
    "log.segment.bytes": str(256 * 1024 * 1024),
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),  # of the heap; the default of 128 MiB is for large brokers
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    # A broker that was killed is let in again only when its old session has run out: this is what a start after kill -9 waits.
    "broker.session.timeout.ms": "6000",
    "broker.heartbeat.interval.ms": "400",
}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where one broker lives: its directory, its port (the controller takes the next one), its Java."""

    home: Path
    port: int
    java: Java

    @property
    def data(self) -> Path:
        """The log directory."""
        return self.home / "data"

    @property
    def bootstrap(self) -> str:
        """What clients are given."""
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        """Return the command line that runs the broker in the foreground; `prepare` comes before."""
        return self.java.command("kafka.Kafka", str(self.home / "server.properties"), options=options())


def options() -> list[str]:
    """Return the JVM options that are Kafka's rather than Java's."""
    return [f"-Dlog4j2.configurationFile={resources.files('deploy.local').joinpath('log4j2.yaml')}"]


def properties(port: int, data: Path) -> str:
    """Return the broker's configuration file."""
    here = {
        "controller.quorum.voters": f"1@{HOST}:{port + 1}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{port + 1}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "log.dirs": str(data),
    }
    return "".join(f"{name}={value}\n" for name, value in (here | PROPERTIES).items())


def prepare(broker: Broker, say: Callable[[str], None]) -> None:
    """Write the configuration and see that the data directory is formatted, mending what a crash left half done.

    Blocks for a second on the first start. A directory that was never completely formatted is formatted again; one that holds
    records and has lost its mark gets the mark back from the copy beside it. Nothing that holds records is deleted.

    Raises:
        WrongSetting: the directory holds what a later Kafka has written.
        Fatal: Kafka's own tool could not format the directory; its words are in the text.

    """
    broker.home.mkdir(parents=True, exist_ok=True)
    _check_release(broker, ours := jars.release())
    with replacing(broker.home / RELEASE) as part:  # before anything is formatted: a crash must not leave data without a name
        part.write_text(ours)
    (broker.home / "server.properties").write_text(properties(broker.port, broker.data))
    copy = broker.home / MARK
    if not whole(broker.data / MARK):
        if broker.data.exists():
            _mend(broker, copy, say)
        if not broker.data.exists():
            _format(broker)
    if not whole(copy):
        with replacing(copy) as part:
            shutil.copyfile(broker.data / MARK, part)


def _check_release(broker: Broker, ours: str) -> None:
    """Refuse data of a later Kafka: an earlier one ends in the middle of its start, with a page of Java."""
    if not broker.data.exists():
        return
    written = broker.home / RELEASE
    theirs = written.read_text() if written.exists() else FIRST_RELEASE
    if _line(theirs) > _line(ours):
        raise WrongSetting(
            f"The data in {broker.data} were written by Kafka {theirs}, and this is Kafka {ours}, which cannot read them. "
            "Set INTEGRATION_DATA_DIR to another directory, or move this one away, to start empty."
        )


def _line(release: str) -> tuple[int, ...]:
    """Return major and minor: what is written in one of them is read in all."""
    return tuple(int(part) for part in release.split(".")[:2])


def whole(mark: Path) -> bool:
    """Tell whether `meta.properties` is there and complete."""
    try:
        lines = mark.read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return False
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("cluster.id") == CLUSTER_ID and values.get("node.id") == "1" and len(values.get("directory.id", "")) == len(CLUSTER_ID)


def _mend(broker: Broker, copy: Path, say: Callable[[str], None]) -> None:
    if whole(copy):
        shutil.copyfile(copy, broker.data / MARK)
        say("Kafka's data had lost its meta.properties; put back from the copy")
    elif holds_records(broker.data):
        aside = broker.home / f"data.unmarked-{int(time.time())}"
        broker.data.rename(aside)
        say(f"Kafka's data has no meta.properties and there is no copy; kept aside in {aside}, starting empty")
    else:
        shutil.rmtree(broker.data)
        say("Kafka's data was half formatted; formatting it again")


def holds_records(data: Path) -> bool:
    """Tell whether any topic's log has a byte in it."""
    return any(log.stat().st_size for log in data.glob("*-*/*.log") if not log.parent.name.startswith("__cluster_metadata"))


def _format(broker: Broker) -> None:
    """Format beside the data directory and rename: there is a formatted directory or none."""
    scratch = broker.home / "data.new"
    shutil.rmtree(scratch, ignore_errors=True)
    config = broker.home / "format.properties"
    config.write_text(properties(broker.port, scratch))
    command = broker.java.command("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(config), options=options())
    done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False)
    if done.returncode or not whole(scratch / MARK):
        msg = f"Kafka's storage tool could not format {broker.data}: {(done.stderr or done.stdout).strip()[-500:]}"
        raise Fatal(msg)
    scratch.rename(broker.data)
    with contextlib.suppress(FileNotFoundError):
        config.unlink()
