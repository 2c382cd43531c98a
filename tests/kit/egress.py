"""A client for calls to targets on this machine."""

import contextlib
from collections.abc import Iterator
from functools import partial

from flows.core.clock import Clock, SystemClock
from flows.core.outbound.egress import Answer, Failure, Outgoing, Policy, Refusal
from flows.core.settings import load
from flows.wire.egress import Egress, tls_context
from flows.wire.lines import Limits
from flows.wire.names import Resolve
from flows.wire.telemetry import Telemetry
from tests.kit.certificates import Authority

SOON_S = 0.3
"""A deadline that is waited for."""
LONG_S = 20.0
"""A deadline that is not reached."""
PATIENT = Limits(idle_s=3600)


@contextlib.contextmanager
def egress(
    *names: tuple[str, list[str]],
    allow: str = "127.0.0.0/8",
    clock: Clock | None = None,
    limits: Limits = PATIENT,
    authority: Authority | None = None,
    resolve: Resolve | None = None,
    telemetry: Telemetry | None = None,
) -> Iterator[Egress]:
    """Make a client that knows these names, or asks `resolve`, and may call `allow`."""
    known = dict(names)

    def look_up(name: str) -> list[str]:
        if name not in known:
            raise OSError(name)
        return known[name]

    made = Egress(
        Policy.of(load({}, egress_allow=allow)),
        clock or SystemClock(),
        telemetry or Telemetry(),
        tls=partial(tls_context, authority.file) if authority else tls_context,
        limits=limits,
        resolve=resolve or look_up,
    )
    try:
        yield made
    finally:
        made.close()


def post(
    url: str, body: bytes = b"{}", *, deadline_s: float = LONG_S, keep_bytes: int = 1000, repeatable: bool = False, rest_s: float | None = None
) -> Outgoing:
    """Return a delivery-like request."""
    return Outgoing("POST", url, (("Content-Type", "application/json"),), body, deadline_s, keep_bytes, repeatable, rest_s)


async def answer(client: Egress, request: Outgoing) -> Answer:
    """Call, and insist on an answer."""
    found = await client.call(request)
    assert isinstance(found, Answer), found
    return found


async def failure(client: Egress, request: Outgoing) -> Failure:
    """Call, and insist on there being none this time."""
    found = await client.call(request)
    assert isinstance(found, Failure), found
    return found


async def refusal(client: Egress, request: Outgoing) -> Refusal:
    """Call, and insist on a refusal."""
    found = await client.call(request)
    assert isinstance(found, Refusal), found
    return found
