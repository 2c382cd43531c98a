"""The whole ingress as one ASGI app: the hot path first, then the key, then the control plane."""

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from flows.core import signals
from flows.core.clock import Clock
from flows.core.errors import MethodNotAllowed, Unauthorized, Unavailable, XyraError
from flows.core.resources import RESERVED_IDS
from flows.core.settings import Settings
from ingress.answers import Answer, Send, of_error, respond
from ingress.auth import KeyCheck
from ingress.body import Receive
from ingress.control import control_plane
from ingress.door import Door
from ingress.intake import ROUTE
from ingress.judgement import Scope
from ingress.methods import METHODS
from ingress.metrics import breaker_readings, flow_readings, spill_readings

WEBHOOKS: Final = "/integration/webhooks/"
VERSION: Final = "/v1"
OPEN: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics", "/openapi.json"})
"""Asked by probes and scrapers, which have no key; none of them shows a secret or a payload."""
NO_KEY: Final = Unauthorized("This needs the admin key, as `X-API-Key: KEY` or `Authorization: Bearer KEY`.")
NOT_ASKED: Final = Unauthorized(
    "Nothing here answers this. A sender's question on set-up has to bring the endpoint's own token, such as `hub.verify_token`; "
    "to look at an endpoint takes the admin key, as `X-API-Key: KEY` or `Authorization: Bearer KEY`."
)
"""For every GET that a sender may make: one text, whether there is no such endpoint, it asks for nothing, or the token is wrong."""
STOPPING: Final = Unavailable("The ingress is stopping; send it again.", retry_after_s=1)
HOT_METHODS: Final = "DELETE, GET, POST, PUT"


class Ingress:
    """One ASGI app. Opens and closes its parts with the server's lifespan; what it answers is never a 5xx for bad input."""

    def __init__(self, settings: Settings, clock: Clock, fail: Callable[[XyraError], None]) -> None:
        """Put the app together; see `Door` for what is raised and what `fail` is told."""
        self.door = Door(settings, clock, fail)
        self.door.telemetry.mirror(lambda: [*flow_readings(self.door), *spill_readings(self.door), *breaker_readings(self.door)])
        self._control = control_plane(self.door)
        self._key = KeyCheck(self.door.admin_key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's request, or open and close the parts."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            await self._answer(scope, receive, send)
        except asyncio.CancelledError:  # by the server alone, which stops, and whose patience is over
            with contextlib.suppress(RuntimeError):  # the answer had begun
                await self._counted(scope, send, "none", of_error(STOPPING, close=True))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD" and scope["path"].removeprefix(VERSION) in OPEN:
            scope = {**scope, "method": "GET"}  # the server leaves the body out
        endpoint_id = hot_endpoint(scope["path"])
        if endpoint_id is not None:
            if scope["method"] == "POST":
                await self.door.intake.receive(endpoint_id, scope, receive, send)
                return
            if scope["method"] in {"GET", "HEAD"}:
                asked = self.door.intake.ask(endpoint_id, scope)
                if asked is not None:
                    await self._counted(scope, send, ROUTE, asked)
                    return
        path = scope["path"].removeprefix(VERSION)
        if path not in OPEN and not self._key.allows(dict(scope["headers"])):
            if scope["method"] == "HEAD" and endpoint_id is not None:
                error = MethodNotAllowed("Webhooks are sent with POST.")
                await self._counted(scope, send, ROUTE, of_error(error, headers={"allow": HOT_METHODS}))
            else:
                await self._counted(scope, send, "none", of_error(NOT_ASKED if endpoint_id is not None and scope["method"] == "GET" else NO_KEY))
            return
        await self._controlled(scope, receive, send)

    async def _controlled(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = monotonic(), 500

        async def watching(event: Any) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            await send(event)

        try:
            await self._control(scope, receive, watching)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.door.telemetry.count(signals.HTTP_REQUESTS, route=route, method=_method(scope), status=status)
            self.door.telemetry.observe(signals.HTTP_SECONDS, monotonic() - started, route=route)

    async def _counted(self, scope: Scope, send: Send, route: str, answer: Answer) -> None:
        self.door.telemetry.count(signals.HTTP_REQUESTS, route=route, method=_method(scope), status=answer.status)
        await respond(answer, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self.door.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.door.close()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(settings: Settings, clock: Clock, fail: Callable[[XyraError], None]) -> Ingress:
    """Return the ASGI app of an ingress.

    Args:
        settings: where Kafka is, where data lies, and the limits.
        clock: the one clock.
        fail: is told of an error after which the process must end.

    Raises:
        WrongSetting: a key cannot be read.
        Busy: the data directory has no place for another ingress.

    """
    return Ingress(settings, clock, fail)


def hot_endpoint(path: str) -> str | None:
    """Return the endpoint a path posts to, None for every other path."""
    start = path.find(WEBHOOKS)
    if start != 0 and (start != len(VERSION) or not path.startswith(VERSION)):
        return None
    rest = path[start + len(WEBHOOKS) :]
    return rest if rest and "/" not in rest and rest not in RESERVED_IDS else None


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in METHODS else "other"
