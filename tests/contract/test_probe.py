"""The worker's own HTTP port, and clients that break off."""

import logging
import socket
import struct
from collections.abc import Mapping
from threading import Event
from urllib.error import HTTPError
from urllib.request import urlopen

import orjson
import pytest

from flows.wire.probe import Probe
from flows.wire.telemetry import Telemetry
from tests.kit.door import until

ABORT = struct.pack("ii", 1, 0)


class Checks:
    """A check that answers once it may, and one that raises."""

    def __init__(self) -> None:
        self.asked, self.answer = Event(), Event()

    def slow(self) -> Mapping[str, object] | None:
        self.asked.set()
        self.answer.wait(10)
        return None

    def wrong(self) -> Mapping[str, object] | None:
        raise ValueError("a bug of a check")


def ask(port: int, path: str) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), 10)
    line.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return line


def test_a_client_that_breaks_off_leaves_nothing_in_the_log_and_a_bug_one_record(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    checks = Checks()
    probe = Probe("127.0.0.1", 0, Telemetry(), {"slow": checks.slow, "wrong": checks.wrong})
    try:
        with caplog.at_level(logging.DEBUG):
            line = ask(probe.port, "/health/slow")
            assert checks.asked.wait(10)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            line.close()
            checks.answer.set()
            with ask(probe.port, "/health/wrong") as other:
                assert other.recv(100) == b""
            until(lambda: caplog.records, timeout_s=10)
            with pytest.raises(HTTPError):
                urlopen(f"http://127.0.0.1:{probe.port}/health/none")
        (record,) = caplog.records
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], ValueError)
        assert "Traceback" not in capfd.readouterr().err.replace(caplog.text, "")
    finally:
        probe.close()


def test_health_is_all_checks_at_once() -> None:
    wrong: dict[str, object] = {"waiting_for": "broker"}
    probe = Probe("127.0.0.1", 0, Telemetry(), {"live": lambda: None, "ready": lambda: wrong or None})
    try:
        with pytest.raises(HTTPError) as refused:
            urlopen(f"http://127.0.0.1:{probe.port}/health")
        assert refused.value.code == 503
        assert orjson.loads(refused.value.read()) == {
            "status": "failing",
            "parts": {"live": {"status": "ok"}, "ready": {"status": "failing", "waiting_for": "broker"}},
        }
        wrong.clear()
        with urlopen(f"http://127.0.0.1:{probe.port}/health") as answer:
            assert (answer.status, orjson.loads(answer.read())["status"]) == (200, "ok")
    finally:
        probe.close()
