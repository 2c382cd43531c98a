"""`xyra status` while Kafka hangs: what runs is said at once, and why the rest is not known once."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from deploy.flows import FLOWS
from deploy.local import record
from deploy.local.place import KAFKA
from deploy.local.processes import identify

HANGS = "does not answer, so how far the flows are behind is not known"


@pytest.fixture
def hanging() -> Iterator[str]:
    """An address that takes connections and never answers, as a broker that was stopped by a signal."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A data directory on which a stack runs, as far as its record says: this process, which is its Kafka too."""
    own = identify(os.getpid())
    assert own is not None
    record.path(tmp_path).parent.mkdir()
    record.write(tmp_path, record.StackRecord(own, "ready", {}, (record.PartRecord("kafka", "unready", own),)))
    return tmp_path


def asked(stack: Path, bootstrap: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deploy.cli.main", "status", "--data-dir", str(stack), *options]
    return subprocess.Popen(command, env=os.environ | {KAFKA: bootstrap}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_runs_is_shown_before_kafka_is_waited_for_and_its_silence_is_told_once(stack: Path, hanging: str) -> None:
    begun = monotonic()
    with asked(stack, hanging) as status:
        assert status.stdout is not None
        shown = [status.stdout.readline() for _ in range(5)]
        assert status.poll() is None, "Kafka is still being waited for"
        rest = status.stdout.read()
        assert status.wait(60) == 1
    assert monotonic() - begun < 9
    assert shown[3].startswith("kafka "), shown
    assert shown[4].startswith("Memory of the whole stack")
    assert rest.count(HANGS) == 1
    log = stack / "logs" / "kafka.log"
    assert rest == (
        f"Kafka at {hanging} {HANGS}. {log} says what it is doing; "
        f"where it hangs, `kill -9 {os.getpid()}`: `xyra up` then starts it again, and nothing that was acknowledged is lost.\n"
    )


def test_each_flow_says_so_in_json(stack: Path, hanging: str) -> None:
    record.write(stack, record.StackRecord(identify(os.getpid()) or pytest.fail("this process runs"), "ready", {}))
    with asked(stack, hanging, "--json") as status:
        assert status.stdout is not None
        found = json.loads(status.stdout.read())
        assert status.wait(60) == 0
    assert [(flow["flow"], flow["lag"]) for flow in found["flows"]] == [(flow, None) for flow in FLOWS]
    assert {flow["error"] for flow in found["flows"]} == {f"Kafka at {hanging} {HANGS}. See that it runs, and that {KAFKA} names it."}
