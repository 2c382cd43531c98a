"""The server: uvicorn on uvloop, bounded before a request has even begun, drained within two seconds when it is told to stop."""

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from flows.core.clock import SystemClock
from flows.core.errors import Busy, WrongSetting, XyraError
from flows.core.settings import Settings
from ingress import problems
from ingress.app import create_app

LOG: Final = logging.getLogger("xyra.ingress")
DRAIN_S: Final = 1
"""How long requests in hand may go on after the signal; flushing what they produced takes up to a second more."""
HEAD_S: Final = 10.0
"""How long a sender may take over a request's head."""
MOST_HEAD: Final = 64 * 1024
KEEP_ALIVE_S: Final = 30
BACKLOG: Final = 2048
GC_AFTER: Final = 20_000
"""Young objects that start a collection: a few thousand belong to the requests in hand, and would be walked through in vain."""


class DoorProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with bounds on the head of a request, in bytes and in time, and problem documents for what is no HTTP."""

    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it the same way
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head that has not come whole; past the bound the connection ends."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD:
                self._end(431, f"The head of the request is larger than {MOST_HEAD:,} bytes.")
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_S, self._late)

    def on_message_begin(self) -> None:
        """Begin a request's head."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End a request's head; most come whole, in one piece, and have cost nothing here."""
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's sentence; ours is a problem document
        """Say that it was no HTTP."""
        self._end(400, "The request is not valid HTTP/1.1.")

    def _late(self) -> None:
        if not self.transport.is_closing():
            self._end(408, f"The head of the request was not complete after {HEAD_S:g} s.")

    def _end(self, status: int, detail: str) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:  # an answer under way is not to be mixed with another
            answer = problems.of_status(status, detail, {"connection": "close"})
            lines = [f"HTTP/1.1 {answer.status} ", *(f"\r\n{name}: {value}" for name, value in answer.headers), "\r\n\r\n"]
            self.transport.write("".join(lines).encode("latin-1") + answer.body)
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(uvicorn.Server):
    """uvicorn, which ends with exit code 0 when it was asked to end."""

    failure: XyraError | None = None

    def fail(self, error: XyraError) -> None:
        """End, since the process cannot go on."""
        self.failure = error
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM and SIGINT; unlike uvicorn's own, the signal is not raised again at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT and return the exit code; blocks.

    On the signal no more connections are taken, requests in hand have a second, records on their way another.

    Raises:
        Busy: the port is held by another process.
        WrongSetting: a key cannot be read, or the host is not this machine's.
        XyraError: the process could not go on; its `exit_code` says how it ends.

    """
    with _listen(settings) as listener:
        return uvloop.run(_serve(settings, listener))


async def _serve(settings: Settings, listener: socket.socket) -> int:
    config = uvicorn.Config(
        _not_yet,
        http=DoorProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        backlog=BACKLOG,
    )
    server = Server(config)
    config.app = create_app(settings, SystemClock(), server.fail)
    gc.collect()
    gc.freeze()  # what is loaded now stays: no collection has to walk through it again
    gc.set_threshold(GC_AFTER)
    await server.serve(sockets=[listener])
    if server.failure is not None:
        raise server.failure
    return 0


async def _not_yet(_scope: Any, _receive: Any, _send: Any) -> None:
    """Stand in for the app until it has the server to tell its failures to."""


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.http_host.strip("[]"), settings.http_port))
    except OSError as error:
        listener.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise WrongSetting(f"INTEGRATION_HTTP_HOST is {settings.http_host!r}, which is not an address of this machine: {error.strerror}.") from error
        place = f"{settings.http_host}:{settings.http_port}"
        raise Busy(f"The ingress cannot listen on {place}: {error.strerror}. Choose another INTEGRATION_HTTP_HOST or INTEGRATION_HTTP_PORT.") from error
    return listener
