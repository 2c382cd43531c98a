"""What a call out costs: the check alone, and a whole small delivery on a kept connection."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Final

from flows.core.clock import SystemClock
from flows.core.outbound.egress import Answer, Outgoing, Policy
from flows.core.settings import load
from flows.wire.egress import Egress
from flows.wire.telemetry import Telemetry
from tests.bench.place import Place
from tests.bench.results import Figure, Result, Series

CHECK: Final = Figure("egress-check", "check before a call out: URL read, name known, address and port judged; CPU", "µs", 50, "at most")
CALL: Final = Figure("egress-call", "call out, POST of 1 KB on a kept connection, 64 at once; CPU of the caller", "µs", 500, "at most")
CHECKS: Final = 80_000
CALLS: Final = 40_000
AT_ONCE: Final = 64
HOSTS: Final = 100
BODY: Final = b"x" * 1024
HEADERS: Final = (("Content-Type", "application/json"), ("webhook-id", "msg_1"), ("webhook-timestamp", "1800000000"), ("webhook-signature", "v1,abc"))
OK: Final = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'


class _Target(asyncio.Protocol):
    """Answers when a whole request has come; all are equally long, but for their path."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._text = transport, b""

    def data_received(self, data: bytes) -> None:
        self._text += data
        if self._text.endswith(BODY):
            self._text = b""
            assert isinstance(self._transport, asyncio.Transport)
            self._transport.write(OK)


@contextlib.contextmanager
def _target() -> Iterator[int]:
    """Answer in a thread of its own, whose time is not the caller's."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(_Target, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def _client() -> Egress:
    return Egress(Policy.of(load({}, egress_allow="127.0.0.0/8")), SystemClock(), Telemetry(), resolve=lambda _: ["127.0.0.1"])


async def _check(amount: int) -> float:
    """Return the CPU time of a check; no URL comes twice, so each is read."""
    client = _client()
    urls = [f"https://hook{number % HOSTS}.example.com:8443/hooks/{number}?tenant=t{number}" for number in range(amount + HOSTS)]
    for url in urls[:HOSTS]:
        await client.check(url)
    begin = time.thread_time()
    for url in urls[HOSTS:]:
        await client.check(url)
    return (time.thread_time() - begin) / amount


async def _call(amount: int, port: int) -> float:
    """Return the CPU time of a call."""
    client, numbers = _client(), iter(range(amount))

    async def work() -> None:
        for number in numbers:
            found = await client.call(Outgoing("POST", f"http://hook.example.com:{port}/hooks/{number % HOSTS}", HEADERS, BODY))
            if not isinstance(found, Answer):
                raise TypeError(found)

    begin = time.thread_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    took = time.thread_time() - begin
    client.close()
    return took / amount


def egress(place: Place) -> Iterator[Result]:
    """Measure both."""
    place.say("egress: checks")
    yield Result(CHECK, Series(tuple(1e6 * asyncio.run(_check(place.amount(CHECKS))) for _ in range(place.rounds()))))
    place.say("egress: calls")
    with _target() as port:
        yield Result(CALL, Series(tuple(1e6 * asyncio.run(_call(place.amount(CALLS), port)) for _ in range(place.rounds()))))
