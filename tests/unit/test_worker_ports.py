"""The port of a worker that is started by hand."""

import os
import socket
from pathlib import Path

import pytest

from deploy.cli.worker import own_port
from deploy.local import record
from deploy.local.ports import free_port
from deploy.local.processes import Identity, identify
from flows.core.errors import Busy
from flows.core.settings import Settings, load
from flows.wire.probe import Probe
from flows.wire.telemetry import Telemetry


def settings(data_dir: Path, first: int) -> Settings:
    return load({}, worker_port=str(first), data_dir=str(data_dir))


def runs(data_dir: Path, supervisor: Identity | None, *ports: int) -> None:
    assert supervisor is not None
    record.path(data_dir).parent.mkdir(exist_ok=True)
    parts = (record.PartRecord("kafka", "ready", url="127.0.0.1:9092"), *(record.PartRecord("w", "ready", url=f"http://127.0.0.1:{port}") for port in ports))
    record.write(data_dir, record.StackRecord(supervisor, "ready", {}, parts))


def test_it_is_the_slots_own_where_nobody_has_it(tmp_path: Path) -> None:
    first = free_port(4)
    assert [own_port(settings(tmp_path, first), slot) for slot in (0, 1, 3)] == [first, first + 1, first + 3]


def test_one_that_is_held_is_passed_over(tmp_path: Path) -> None:
    first = free_port(4)
    with socket.create_server(("127.0.0.1", first + 1)):
        assert own_port(settings(tmp_path, first), 1) == first + 2
        assert own_port(settings(tmp_path, first), 0) == first


def test_those_of_a_running_stack_are_left_to_it(tmp_path: Path) -> None:
    """Nobody listens there now: as while a worker of the stack is just being started again."""
    first = free_port(4)
    runs(tmp_path, identify(os.getpid()), first, first + 1, first + 2)
    assert own_port(settings(tmp_path, first), 1) == first + 3
    runs(tmp_path, Identity(1, 0.0, ("gone",)), first, first + 1, first + 2)
    assert own_port(settings(tmp_path, first), 1) == first + 1


def test_there_may_be_none(tmp_path: Path) -> None:
    with pytest.raises(Busy, match="name one with --port"):
        own_port(settings(tmp_path, 65_535), 1)


def test_a_port_that_cannot_be_had_is_told_with_the_option_that_gives_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(Busy, match=r"Give it another one with --port, or set INTEGRATION_WORKER_PORT") as told:
        Probe("127.0.0.1", port := held.getsockname()[1], Telemetry(), {})
    assert told.value.detail.startswith(f"The port {port} ")
