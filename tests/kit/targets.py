"""Targets that calls out meet: well behaved, slow, lying, endless; each on a port of its own, counting who comes."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Request:
    """One request as a target read it."""

    head: str
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header's value."""
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return next((value for found, _, value in lines if found.lower() == name.lower()), None)


@dataclass
class Target:
    """What a target has seen."""

    host: str
    port: int = 0
    connections: int = 0
    open: int = 0
    most: int = 0
    """Connections that were open at once."""
    requests: list[Request] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request has been read."""
    written: int = 0
    """Bytes it has got rid of."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection has been closed by the other side, or by the target."""

    @property
    def url(self) -> str:
        """Where it is, by its address."""
        return f"http://{self.host}:{self.port}/hook"


Talk = Callable[[Target, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]
"""What a target does on a connection; what it returns is not looked at, and the connection is closed afterwards."""


@contextlib.asynccontextmanager
async def target(talk: Talk, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Target]:
    """Run a target; at the end its connections are cut."""
    seen, running = Target(host), set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        seen.connections += 1
        seen.open += 1
        seen.most = max(seen.most, seen.open)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(seen, reader, writer)
        seen.open -= 1
        seen.gone.set()
        writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()
        running.discard(asyncio.current_task())

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        left = [task for task in running if task is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def read_request(seen: Target, reader: asyncio.StreamReader) -> Request:
    """Read one request; raises IncompleteReadError when none comes any more."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request = Request(head[:-4], b"")
    request.body = await reader.readexactly(int(request.header("content-length") or 0))
    seen.requests.append(request)
    seen.asked.set()
    return request


def answers(*answers: bytes) -> Talk:
    """Answer each request on a connection with the next of these, the last one again and again."""

    async def talk(seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(1000):
            await read_request(seen, reader)
            writer.write(answers[min(number, len(answers) - 1)])

    return talk


def answers_in_turn(*replies: bytes) -> Talk:
    """Answer each request to the target, over all its connections, with the next of these, the last one again and again."""

    async def talk(seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(seen, reader)
            writer.write(replies[min(len(seen.requests), len(replies)) - 1])

    return talk


def answers_once(answer: bytes) -> Talk:
    """Answer the first request on a connection and close it."""

    async def talk(seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(seen, reader)
        writer.write(answer)
        await writer.drain()

    return talk


async def swallows(seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the first request on a connection, read the second, and close without a word."""
    await read_request(seen, reader)
    writer.write(OK)
    await read_request(seen, reader)


async def swallows_all(seen: Target, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read a request and close without a word."""
    await read_request(seen, reader)


async def hangs(seen: Target, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read the request and never say anything."""
    await read_request(seen, reader)
    await reader.read()


def begins(text: bytes) -> Talk:
    """Say this, and never anything more."""

    async def talk(seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(seen, reader)
        writer.write(text)
        await reader.read()

    return talk


def drips(text: bytes, every_s: float = 0.05, first: bytes = b"") -> Talk:
    """Answer one byte at a time, for ever; `first` at once."""

    async def talk(seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(seen, reader)
        writer.write(first)
        number = 0
        while not reader.at_eof() and not writer.transport.is_closing():
            writer.write(text[number : number + 1] or b"x")
            number += 1
            await asyncio.sleep(every_s)

    return talk


def floods(first: bytes, again: bytes) -> Talk:
    """Answer with `first`, and then `again` for as long as the other side listens."""

    async def talk(seen: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(seen, reader)
        writer.write(first)
        while not writer.transport.is_closing():
            writer.write(again)
            await writer.drain()
            seen.written += len(again)

    return talk


@contextlib.contextmanager
def counted(host: str = "127.0.0.1") -> Iterator[tuple[int, list[object]]]:
    """Listen on a port, and count who comes; for those to whom nobody may come."""
    with socket.create_server((host, 0)) as listener:
        come: list[object] = []

        def accept() -> None:
            while True:
                try:
                    connection, where = listener.accept()
                except OSError:
                    return
                come.append(where)  # before whoever came hears of it
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1], come
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
