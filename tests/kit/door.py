"""A running ingress for tests: a process of its own, on a real port, over a real Kafka."""

import contextlib
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx2

from flows.core.settings import PREFIX, Settings

KEY: Final = "test-admin-key"
SEALING_KEY: Final = "dGVzdC1zZWNyZXQta2V5LW9mLTMyLWJ5dGVzLWxvbmc="
SECRET: Final = "whsec_test"
START_S: Final = 60.0
LOOK_S: Final = 0.05


class RunningDoor:
    """What a test does with an ingress."""

    process: subprocess.Popen[bytes] | None = None

    def __init__(self, settings: Settings, log: Path, *, start: bool = True, **env: str) -> None:
        """Start it, unless told not to, and wait until it is ready; `env` has further settings, by field name."""
        self.port = settings.http_port
        self.settings = settings
        self.log = log
        own = {
            "kafka_bootstrap_servers": settings.kafka_bootstrap_servers,
            "http_port": str(settings.http_port),
            "kafka_partitions": str(settings.kafka_partitions),
            "data_dir": str(settings.data_dir),
            "admin_key": KEY,
            "secret_key": SEALING_KEY,
        }
        self.env = {**os.environ, **{PREFIX + name.upper(): value for name, value in {**own, **env}.items()}}
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx2.Client(base_url=self.url, headers={"x-api-key": KEY}, timeout=30)
        self.stranger = httpx2.Client(base_url=self.url, timeout=30)
        if start:
            self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        self.process = process = self.launch()
        until(lambda: process.poll() is not None or self.is_ready(), timeout_s=START_S, why=self.log.read_text)
        assert process.poll() is None, self.log.read_text()

    def launch(self) -> subprocess.Popen[bytes]:
        """Start a process and wait for nothing."""
        with self.log.open("ab") as out:
            return subprocess.Popen([sys.executable, "-m", "ingress"], env=self.env, stdout=out, stderr=out)

    def is_ready(self) -> bool:
        """Ask it."""
        with contextlib.suppress(httpx2.TransportError):
            return self.stranger.get("/health/ready").status_code == 200
        return False

    def in_flight(self) -> int:
        """Ask how many webhooks it has in hand."""
        found: int = self.stranger.get("/metrics", headers={"accept": "application/json"}).json()["requests"]["in_flight"]
        return found

    def refuses(self) -> bool:
        """Tell whether it takes no more connections."""
        try:
            self.connect(1).close()
        except OSError:
            return True
        return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def close(self) -> None:
        """End it however it stands."""
        self.http.close()
        self.stranger.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def register(self, endpoint_id: str | None = None, **fields: Any) -> str:
        """Register an endpoint, under a name of its own where none is given, and return its id."""
        name = endpoint_id or f"e-{uuid4().hex}"
        answer = self.http.post("/integration/webhooks/register", json={"endpoint_id": name, "secret": SECRET, **fields})
        assert answer.status_code == 201, answer.text
        return name

    def send(self, endpoint_id: str, body: bytes = b"{}", secret: str = SECRET, **headers: str) -> httpx2.Response:
        """Send a webhook signed in the default way."""
        signed = {"x-signature": sign(body, secret), "content-type": "application/json"}
        return self.stranger.post(f"/integration/webhooks/{endpoint_id}", content=body, headers=signed | headers)

    def raw(self, *pieces: bytes, end: bool = False, timeout: float = 30) -> bytes:
        """Write bytes on a connection and read until the ingress closes it."""
        with self.connect(timeout) as line:
            for piece in pieces:
                line.sendall(piece)
            if end:
                line.shutdown(socket.SHUT_WR)
            return read_all(line)

    def connect(self, timeout: float = 30) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)


def until(true: Callable[[], object], *, timeout_s: float = 120.0, why: Callable[[], object] = str) -> None:
    """Wait for what is to come; `why` says what stood in the way."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, why()
        time.sleep(LOOK_S)


def throughout(true: Callable[[], object], seconds: float) -> bool:
    """Look again and again for some seconds; tell whether it always held."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not true():
            return False
        time.sleep(LOOK_S)
    return True


def sign(body: bytes, secret: str = SECRET) -> str:
    """Sign as a sender does where a definition says nothing."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def head_of_unfinished(endpoint_id: str) -> tuple[bytes, bytes]:
    """Give a signed request in two parts: its head with half of its body, and the rest."""
    body = b'{"n": 1}'
    head = f"POST /integration/webhooks/{endpoint_id} HTTP/1.1\r\nhost: x\r\nx-signature: {sign(body)}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body[:4], body[4:]


def read_all(line: socket.socket) -> bytes:
    """Read until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := line.recv(65536):
            found += piece
    return found


@contextlib.contextmanager
def running_door(settings: Settings, log: Path, **env: str) -> Iterator[RunningDoor]:
    """Run an ingress for the length of a block."""
    door = RunningDoor(settings, log, start=True, **env)
    try:
        yield door
    finally:
        door.close()
