"""The server before it serves."""

import socket
from pathlib import Path

import pytest

from flows.core.errors import Busy, WrongSetting
from flows.core.settings import load
from ingress.serve import run


def test_a_host_of_another_machine_is_no_busy_port(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match=r"^INTEGRATION_HTTP_HOST is '192\.0\.2\.1', which is not an address of this machine"):
        run(load({"INTEGRATION_HTTP_HOST": "192.0.2.1", "INTEGRATION_DATA_DIR": str(tmp_path)}))


def test_a_port_that_is_held_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(Busy, match=rf"cannot listen on 127\.0\.0\.1:{port}.*INTEGRATION_HTTP_PORT"):
            run(load({"INTEGRATION_HTTP_PORT": str(port), "INTEGRATION_DATA_DIR": str(tmp_path)}))
