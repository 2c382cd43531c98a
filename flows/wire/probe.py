"""The worker's own HTTP: `/metrics`, `/health`, `/health/live`, `/health/ready`. A thread that reads and never writes."""

import logging
import sys
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

import orjson

from flows.core.errors import Busy
from flows.wire.telemetry import CONTENT_TYPE, Telemetry

LOG: Final = logging.getLogger(__name__)
TIMEOUT_S: Final = 5.0
OK: Final = "ok"
FAILING: Final = "failing"

Check = Callable[[], Mapping[str, object] | None]
"""Returns None when all is well, else what is not."""


class Probe:
    """Serves the metrics and the checks of one process."""

    def __init__(self, host: str, port: int, telemetry: Telemetry, checks: Mapping[str, Check]) -> None:
        """Listen; `checks` are answered under `/health/<name>`, with 200 or 503, and all of them under `/health`.

        Raises:
            Busy: the port is taken.

        """
        handler = type("Handler", (_Handler,), {"telemetry": telemetry, "checks": dict(checks)})
        try:
            self._server = _Server((host, port), handler)
        except OSError as error:
            raise Busy(
                f"The port {port} for a worker's own /health and /metrics cannot be had ({error.strerror}). "
                "Give it another one with --port, or set INTEGRATION_WORKER_PORT to the first of a free range."
            ) from error
        Thread(target=self._server.serve_forever, name="probe", daemon=True).start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening; blocks for half a second at most."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  as socketserver calls it
        """Say nothing of a client that has broken off; what else is raised goes to the log as one record, and not to stderr piece by piece."""
        error = sys.exception()
        if not isinstance(error, OSError):
            LOG.error("A request to the worker's own HTTP port could not be answered.", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    telemetry: Telemetry
    checks: Mapping[str, Check]
    timeout = TIMEOUT_S
    server_version = "xyra"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        check = self.checks.get(path.removeprefix("/health/")) if path.startswith("/health/") else None
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE, self.telemetry.render())
        elif path == "/health":
            parts = {name: _told(check()) for name, check in self.checks.items()}
            well = all(part["status"] == OK for part in parts.values())
            self._health({"status": OK if well else FAILING, "parts": parts})
        elif check is not None:
            self._health(_told(check()))
        else:
            self._answer(404, "application/json", orjson.dumps({"status": 404, "title": "Not found"}))

    def _health(self, body: Mapping[str, object]) -> None:
        self._answer(200 if body["status"] == OK else 503, "application/json", orjson.dumps(body))

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name http.server has
        """Say nothing: a probe comes every few seconds."""


def _told(wrong: Mapping[str, object] | None) -> dict[str, object]:
    return {"status": OK} if wrong is None else {"status": FAILING, **wrong}
