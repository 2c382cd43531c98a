"""A sender of HTTP requests that stays out of the way: one process, one epoll, connections kept open, every request made before the start.

Closed loop: each connection sends its next request when it has its answer; asks how many a second a server answers.
Open loop: requests leave at their appointed times whether or not earlier ones are answered, and the time of a request counts
from its appointment; a server that stalls cannot hide it (no coordinated omission).

Run as a process, `python -m tests.bench.http_load PLAN.pickle OUT.json`, so that it has an interpreter of its own.
"""

import json
import pickle
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

READ_BYTES: Final = 65_536
HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length:"
ANSWER_S: Final = 10.0
"""After the last request was sent; what is not answered then counts as an error."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent to whom."""

    host: str
    port: int
    requests: Sequence[bytes]
    """Whole requests, head and body; used in turn, from the beginning again when they run out."""
    connections: int
    seconds: float = 0.0
    """Closed loop: for how long."""
    warm_s: float = 0.0
    """Closed loop: how long before anything is counted."""
    due: Sequence[float] = ()
    """Open loop: when each request leaves, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came back."""

    answered: int
    """In the seconds that count."""
    total: int
    """And before them."""
    seconds: float
    statuses: dict[str, int]
    errors: int
    latencies: list[float] = field(repr=False)
    """Seconds, in the order of the answers: from sending (closed loop) or from the appointment (open loop)."""


class Connection:
    """One socket with at most one request on its way."""

    def __init__(self, host: str, port: int) -> None:
        """Connect; blocks until that is done."""
        self.socket = socket.create_connection((host, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.fd = self.socket.fileno()
        self.since = 0.0
        self._buffer = b""

    def send(self, request: bytes, since: float) -> None:
        """Send a whole request: a few KiB fit a socket's buffer that is empty."""
        self.since = since
        sent = self.socket.send(request)
        if sent != len(request):
            msg = f"the socket took {sent} of {len(request)} bytes"
            raise OSError(msg)

    def receive(self) -> int:
        """Read what is there; return the status of a complete answer, 0 while it is not complete.

        Raises:
            ConnectionError: the server has hung up.

        """
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError
        buffer = self._buffer + data if self._buffer else data
        head = buffer.find(HEAD_END)
        if head < 0 or len(buffer) - head - len(HEAD_END) < _length(buffer, head):
            self._buffer = buffer
            return 0
        self._buffer = b""
        return int(buffer[9:12])


def _length(buffer: bytes, head: int) -> int:
    at = buffer.lower().find(LENGTH, 0, head)
    return int(buffer[at + len(LENGTH) : buffer.find(b"\r\n", at)]) if at >= 0 else 0


class Load:
    """The loop."""

    def __init__(self, plan: Plan) -> None:
        """Open every connection."""
        self._plan = plan
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._statuses: Counter[int] = Counter()
        self._latencies: list[float] = []
        self._errors = 0
        self._total = 0
        for _ in range(plan.connections):
            self._open()

    def _open(self) -> Connection:
        connection = Connection(self._plan.host, self._plan.port)
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLIN)
        return connection

    def _answers(self, timeout: float) -> list[Connection]:
        """Wait for answers; return the connections that are free again."""
        free = []
        for fd, _ in self._epoll.poll(timeout):
            connection = self._connections[fd]
            try:
                status = connection.receive()
            except OSError:
                self._errors += 1
                self._epoll.unregister(fd)
                connection.socket.close()
                del self._connections[fd]
                free.append(self._open())
                continue
            if status:
                self._latencies.append(time.time() - connection.since)
                self._statuses[status] += 1
                self._total += 1
                free.append(connection)
        return free

    def closed(self) -> Report:
        """Keep every connection busy."""
        plan, requests, number = self._plan, self._plan.requests, 0
        for connection in list(self._connections.values()):
            connection.send(requests[number % len(requests)], time.time())
            number += 1
        begin = time.time()
        counting = plan.warm_s == 0
        while (now := time.time()) < begin + plan.warm_s + plan.seconds:
            if not counting and now >= begin + plan.warm_s:
                counting, begin = True, now - plan.warm_s
                self._statuses.clear()
                self._latencies.clear()
            for connection in self._answers(0.1):
                connection.send(requests[number % len(requests)], time.time())
                number += 1
        return self._report(now - begin - plan.warm_s)

    def open(self) -> Report:
        """Send each request at its time; those that find no free connection wait, and their time runs."""
        free, waiting, number = deque(self._connections.values()), deque[int](), 0
        due, requests = self._plan.due, self._plan.requests
        deadline = due[-1] + ANSWER_S
        while (now := time.time()) < deadline and (number < len(due) or waiting or len(free) < len(self._connections)):
            while number < len(due) and due[number] <= now:
                waiting.append(number)
                number += 1
            while waiting and free:
                at = waiting.popleft()
                free.popleft().send(requests[at % len(requests)], due[at])
            free.extend(self._answers(max(0.0, min(due[number] - time.time(), 0.1)) if number < len(due) else 0.1))
        self._errors += len(waiting) + len(self._connections) - len(free)
        return self._report(time.time() - due[0])

    def _report(self, seconds: float) -> Report:
        for connection in self._connections.values():
            connection.socket.close()
        return Report(sum(self._statuses.values()), self._total, seconds, {str(k): n for k, n in self._statuses.items()}, self._errors, self._latencies)


def request(method: str, path: str, host: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return a whole HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}", "content-type: application/json"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers), "", ""]).encode() + body


def main(plan_file: str, out: str) -> None:
    """Do what the plan says and write the report."""
    plan: Plan = pickle.loads(Path(plan_file).read_bytes())  # noqa: S301  our own parent wrote it
    load = Load(plan)
    report = load.open() if plan.due else load.closed()
    Path(out).write_text(json.dumps(asdict(report)))


if __name__ == "__main__":
    main(*sys.argv[1:])
