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

from flows.core.clock import SystemClock
from flows.core.errors import Busy, WrongSetting, XyraError
from flows.core.settings import Settings
from ingress.app import create_app
from ingress.protocol import DoorProtocol

LOG: Final = logging.getLogger("xyra.ingress")
DRAIN_S: Final = 1
"""How long requests in hand may go on after the signal; flushing what they produced takes up to a second more."""
KEEP_ALIVE_S: Final = 30
BACKLOG: Final = 2048
GC_AFTER: Final = 20_000
"""Young objects that start a collection: a few thousand belong to the requests in hand, and would be walked through in vain."""


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
    gc.enable()
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
