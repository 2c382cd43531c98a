"""The one way of ours to call out over HTTP: judged, resolved once, connected to what was judged, bounded in time and bytes."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

from flows.core.clock import Clock
from flows.core.outbound.egress import Answer, Failure, Outgoing, Policy, Refusal, Vetted, head
from flows.core.outbound.urls import Target
from flows.core.signals import EGRESS_CALLS, EGRESS_CONNECTIONS, EGRESS_SECONDS
from flows.wire.exchange import Broken, Exchange
from flows.wire.inflow import Inflow
from flows.wire.lines import Limits, Lines
from flows.wire.names import Found, Names, Resolve, system_addresses
from flows.wire.telemetry import Child, Telemetry

Outcome = Answer | Refusal | Failure
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is still coming; whoever has it closes it. It holds no place for a call: whoever opens streams bounds how many."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """In the order they came, names in lower case."""
    authority: str
    line: Inflow

    async def take(self, patience_s: float) -> bytes | Failure:
        """Return the next bytes of the body, as they came, or nothing when it is over; a failure when it broke off, or nothing has come for `patience_s`."""
        try:
            return await self.line.take(patience_s)
        except Broken as broken:
            return Failure(broken.code, f"{self.authority} {broken.detail}.", sent=True)

    def close(self) -> None:
        """Close the connection, at once."""
        self.line.abort()


@cache
def tls_context(authorities: Path | None = None) -> ssl.SSLContext:
    """Return TLS as it is spoken to targets: 1.2 or later, certificate and host name checked, against the system's authorities or those of a file.

    Reading the authorities takes some 30 ms, once: a flow that calls nobody does not wait for them.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(slots=True)
class _Progress:
    """How far a call has come, for what becomes of one that runs out of time."""

    limit: asyncio.Timeout
    until: float
    """When its time is over, on the loop's clock."""
    begin: float
    stage: str = "its name was resolved"
    queue: str = ""
    """What it waits for a place for; nothing: for none."""
    line: Exchange | None = None
    """Where the request was sent."""

    def hurry(self, rest_s: float) -> None:
        """Give the call no more than this from now on, and no more than it had."""
        self.limit.reschedule(min(self.until, asyncio.get_running_loop().time() + rest_s))

    def wait(self, what: str) -> None:
        """Wait for a place, for half of what is left: the target is to have the other half, and is not to be judged by the last moments."""
        now = asyncio.get_running_loop().time()
        self.queue = what
        self.limit.reschedule(now + (self.until - now) / 2)

    def served(self) -> None:
        """Have a place."""
        if self.queue:
            self.queue = ""
            self.limit.reschedule(self.until)


class Egress:
    """Calls out, for one event loop. It follows no redirect and knows no proxy, cookie or stored password.

    A name is resolved once for a call, and only addresses that were judged are connected to; whether the name means
    something else a moment later changes nothing. A crash leaves nothing behind; a call that was under way may or may
    not have reached its target.
    """

    def __init__(
        self,
        policy: Policy,
        clock: Clock,
        telemetry: Telemetry,
        *,
        tls: Callable[[], ssl.SSLContext] = tls_context,
        limits: Limits | None = None,
        resolve: Resolve = system_addresses,
    ) -> None:
        """Prepare; connects to nothing.

        Args:
            policy: what may be called.
            clock: measures calls, and the age of names and of kept connections.
            telemetry: counts calls.
            tls: `tls_context`, or one with other authorities; called when the first connection wants it.
            limits: how much is held open.
            resolve: asks for a name's addresses; blocks, in a thread.

        """
        self._policy = policy
        self._monotonic = clock.monotonic
        self._telemetry = telemetry
        self._names = Names(policy, clock, resolve)
        self._lines = lines = Lines(limits or Limits(), clock.monotonic, tls)
        self._counters: dict[str, Child] = {}
        self._seconds = telemetry.child(EGRESS_SECONDS)
        telemetry.mirror(lambda: [(EGRESS_CONNECTIONS, {"state": "busy"}, lines.busy), (EGRESS_CONNECTIONS, {"state": "idle"}, lines.idle)])

    def close(self) -> None:
        """Close the connections that are kept, and keep none from here on; calls under way go on."""
        self._lines.close()

    async def call(self, request: Outgoing) -> Outcome:
        """Make one call and return what came of it, within `request.deadline_s`; raises nothing for anything a target can do."""
        return await self._timed(request, self._call, self._late)

    async def open(self, request: Outgoing) -> Stream | Refusal | Failure:
        """Make one call whose answer may have any length; return it when its head is there, within `request.deadline_s`. Raises nothing, as `call`.

        The connection is a new one, and is closed somewhere behind the first `keep_bytes` of the body. No body is sent.
        """
        return await self._timed(request, self._open, self._too_late)

    async def _timed(
        self,
        request: Outgoing,
        make: Callable[[Outgoing, _Progress], Awaitable[A | Refusal | Failure]],
        late: Callable[[Outgoing, _Progress], A | Failure],
    ) -> A | Refusal | Failure:
        """Let a call have its time, and count it."""
        until = asyncio.get_running_loop().time() + request.deadline_s
        progress = _Progress(asyncio.timeout_at(until), until, self._monotonic())
        outcome: A | Refusal | Failure
        try:
            async with progress.limit:
                outcome = await make(request, progress)
        except TimeoutError:
            outcome = late(request, progress)
        self._seconds.observe(self._monotonic() - progress.begin)
        self._counter(outcome.code if isinstance(outcome, (Refusal, Failure)) else "answered").inc()
        return outcome

    async def check(self, url: str) -> tuple[Target, Vetted] | Refusal | Failure:
        """Return where a URL leads and the addresses it may be called at, or why not; waits for a name server where the name is not known."""
        return await self._check(url, None)

    def _late(self, request: Outgoing, progress: _Progress) -> Answer | Failure:
        """Return what became of a call whose time is over: an answer, where its head is there and is enough."""
        line = progress.line
        reply = line.so_far() if line is not None else None
        if line is not None and reply is not None:
            return Answer(*reply, self._monotonic() - progress.begin, line.address)
        return self._too_late(request, progress)

    def _too_late(self, request: Outgoing, progress: _Progress) -> Failure:
        """Return why there is no answer in time."""
        if progress.queue:
            return Failure("no_place", f"There was no place for {progress.queue} in time: as many as may be at once were under way.")
        return Failure(
            "timed_out", f"The call was not done within {request.deadline_s:g} s; the time was over before {progress.stage}.", progress.line is not None
        )

    async def _check(self, url: str, progress: _Progress | None) -> tuple[Target, Vetted] | Refusal | Failure:
        target = self._policy.judge(url)
        if isinstance(target, Refusal):
            return target
        found: Found | None = self._policy.vet(target.host, (target.host,)) if target.literal else self._names.known(target.host)
        if found is None:
            if progress is not None:
                progress.wait(f"a look-up of {target.host}")
                await self._names.turn(target.host)
                progress.served()
            found = self._names.known(target.host) or await self._names.ask(target.host)
        return (self._policy.port(target, found) or (target, found)) if isinstance(found, Vetted) else found

    def _counter(self, outcome: str) -> Child:
        counter = self._counters.get(outcome)
        if counter is None:
            counter = self._counters[outcome] = self._telemetry.child(EGRESS_CALLS, outcome=outcome)
        return counter

    async def _prepared(self, request: Outgoing, progress: _Progress) -> tuple[Target, Vetted, bytes] | Refusal | Failure:
        """Return where a call goes, and its line and headers; sees what its place has to be waited for."""
        checked = await self._check(request.url, progress)
        if not isinstance(checked, tuple):
            return checked
        target, vetted = checked
        first = head(target, request)
        if isinstance(first, Refusal):
            return first
        if self._lines.full(target):
            progress.wait(f"a call to {target.authority}")
        return target, vetted, first

    async def _open(self, request: Outgoing, progress: _Progress) -> Stream | Refusal | Failure:
        prepared = await self._prepared(request, progress)
        if not isinstance(prepared, tuple):
            return prepared
        target, vetted, first = prepared
        async with self._lines.place(target):
            progress.served()
            progress.stage = f"{target.authority} was connected to"
            line = await self._lines.connect(target, vetted.addresses, progress.until, Inflow)
            if isinstance(line, Failure):
                return line
            progress.stage, progress.line = f"{target.authority} had answered to the last header", line
            try:
                reply = await line.begin(first, request.keep_bytes)
            except Broken as broken:
                return Failure(broken.code, f"{target.authority} {broken.detail}.", sent=True)
            except BaseException:  # out of time, or cancelled
                line.abort()
                raise
            return Stream(reply.status, reply.headers, target.authority, line)

    async def _call(self, request: Outgoing, progress: _Progress) -> Outcome:
        prepared = await self._prepared(request, progress)
        if not isinstance(prepared, tuple):
            return prepared
        target, vetted, first = prepared
        standing = partial(progress.hurry, request.rest_s) if request.rest_s is not None else None
        async with self._lines.place(target) as lane:
            progress.served()
            line, again = self._lines.kept(lane, vetted.addresses), request.repeatable
            while True:
                reused = line is not None
                if line is None:
                    progress.stage = f"{target.authority} was connected to"
                    connected = await self._lines.connect(target, vetted.addresses, progress.until, Exchange)
                    if isinstance(connected, Failure):
                        return connected
                    line = connected
                progress.stage, progress.line = f"{target.authority} had answered to the last {'byte' if standing is None else 'header'}", line
                try:
                    reply = await line.ask(first, request.body, request.keep_bytes, standing, bodiless=request.method == "HEAD")
                except Broken as broken:
                    if not (reused and again and broken.silent):
                        return Failure(broken.code, f"{target.authority} {broken.detail}.", sent=True)
                    line, again = None, False  # the target closed what was kept, and may or may not have seen the request
                    continue
                except BaseException:  # out of time, or cancelled
                    line.abort()
                    raise
                self._lines.keep(lane, line)
                return Answer(*reply, self._monotonic() - progress.begin, line.address)
