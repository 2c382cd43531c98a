"""The client's connections: how many calls may be under way, which connection a call gets, and which are kept for the next."""

import asyncio
import os
import socket
import ssl
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeVar

from flows.core.outbound.egress import Failure
from flows.core.outbound.urls import Target
from flows.wire.exchange import Exchange

E = TypeVar("E", bound=Exchange)
MOST_ADDRESSES: Final = 8
"""Addresses of one name that are tried."""


class Limits(NamedTuple):
    """How much one client holds open."""

    calls: int = 4096
    """Calls at once; one more waits, for half of its time."""
    calls_per_host: int = 256
    """Calls at once to one scheme, host and port."""
    idle: int = 256
    """Connections kept for the next call; the oldest gives way."""
    idle_s: float = 4.0
    """How long they are kept: less than the five seconds after which common servers close, for that is when requests get lost."""


class Lane:
    """What there is for one scheme, host and port."""

    __slots__ = ("idle", "key", "slots", "users")

    def __init__(self, key: tuple[str, str, int], calls: int) -> None:
        """Begin with nothing."""
        self.key = key
        self.slots = asyncio.Semaphore(calls)
        self.users = 0
        self.idle: deque[Exchange] = deque()


class Lines:
    """Connections and places for calls, for one event loop."""

    def __init__(self, limits: Limits, monotonic: Callable[[], float], tls: Callable[[], ssl.SSLContext]) -> None:
        """Begin with none."""
        self._limits = limits
        self._monotonic = monotonic
        self._tls = tls
        self._slots = asyncio.Semaphore(limits.calls)
        self._lanes: dict[tuple[str, str, int], Lane] = {}
        self._idle: OrderedDict[Exchange, Lane] = OrderedDict()  # the oldest first
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self.busy = 0
        """Calls under way."""

    @property
    def idle(self) -> int:
        """How many connections are kept."""
        return len(self._idle)

    def close(self) -> None:
        """Close the connections that are kept, and keep none from here on; calls under way go on."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for line in list(self._idle):
            self._drop(line)

    def full(self, target: Target) -> bool:
        """Tell whether a call would have to wait for its place; does not block."""
        lane = self._lanes.get(_key(target))
        return self._slots.locked() or (lane is not None and lane.slots.locked())

    @asynccontextmanager
    async def place(self, target: Target) -> AsyncIterator[Lane]:
        """Wait until few enough calls are under way: to one host first, so that those who wait for it hold nobody else's place."""
        key = _key(target)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, self._limits.calls_per_host)
        lane.users += 1
        try:
            async with lane.slots, self._slots:
                self.busy += 1
                try:
                    yield lane
                finally:
                    self.busy -= 1
        finally:
            lane.users -= 1
            self._forget(lane)

    def kept(self, lane: Lane, addresses: Sequence[str]) -> Exchange | None:
        """Return a connection that was kept, the youngest first, if it leads to one of the addresses and is still good; does not block."""
        while lane.idle:
            line = lane.idle.pop()
            del self._idle[line]
            if line.address in addresses and line.fresh():
                return line
            line.abort()
        return None

    def keep(self, lane: Lane, line: Exchange) -> None:
        """Keep a connection for the next call, or close it if it is of no more use."""
        if self._closed or not line.reusable:
            line.abort()
            return
        line.since = self._monotonic()
        lane.idle.append(line)
        self._idle[line] = lane
        if len(self._idle) > self._limits.idle:
            self._drop(next(iter(self._idle)))
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._limits.idle_s, self._sweep)

    async def connect(self, target: Target, addresses: Sequence[str], until: float, made: type[E]) -> E | Failure:
        """Connect a `made` to the first address that can be connected to, with TLS for the host's name where the scheme wants it.

        Each but the last may take its share of the time that is left until `until`, on the loop's clock.
        """
        loop = asyncio.get_running_loop()
        tls, name = (self._tls(), target.host) if target.scheme == "https" else (None, None)
        tried = addresses[:MOST_ADDRESSES]
        failure = Failure("connect_failed", f"{target.authority} has no address.")
        for number, address in enumerate(tried, 1):
            share = None if number == len(tried) else loop.time() + (until - loop.time()) / (len(tried) - number + 1)
            try:
                async with asyncio.timeout_at(share):
                    _, line = await loop.create_connection(
                        made, address, target.port, ssl=tls, server_hostname=name, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                    )
            except ssl.SSLError as error:
                failure = Failure("tls_failed", f"{target.authority} and we agreed on no TLS: {_why_no_tls(error)}.")
            except (ConnectionResetError, ConnectionAbortedError):  # a connection that is not there yet is refused, and not reset
                failure = Failure("tls_failed" if tls else "connect_failed", f"{target.authority} closed the connection while it was made.")
            except OSError as error:
                why = os.strerror(error.errno) if error.errno else "it did not come about in time"
                failure = Failure("connect_failed", f"There is no connection to {target.authority}: {why}.")
            else:
                line.address = address
                return line
        return failure

    def _drop(self, line: Exchange) -> None:
        lane = self._idle.pop(line)
        lane.idle.remove(line)
        line.abort()
        self._forget(lane)

    def _forget(self, lane: Lane) -> None:
        if not lane.users and not lane.idle:
            self._lanes.pop(lane.key, None)

    def _sweep(self) -> None:
        old = self._monotonic() - self._limits.idle_s
        for line in [line for line in self._idle if line.since <= old or not line.reusable]:
            self._drop(line)
        self._sweeper = asyncio.get_running_loop().call_later(self._limits.idle_s / 2, self._sweep) if self._idle else None


def _key(target: Target) -> tuple[str, str, int]:
    return target.scheme, target.host, target.port


def _why_no_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted, {error.verify_message}".rstrip(".")
    return (error.reason or "it broke off").replace("_", " ").lower()
