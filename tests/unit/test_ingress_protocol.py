"""A connection at rest: closed after a while, by one timer. And one on which no HTTP comes: it is told why that is none."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
import uvicorn
from uvicorn.server import ServerState

from flows.core.clock import SystemClock
from flows.core.settings import load
from ingress.app import create_app
from ingress.protocol import DoorProtocol

WEBHOOK = b"POST /integration/webhooks/x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """Serve with a keep-alive of a fifth of a second an ingress that has not read its definitions: it says 503."""
    settings = load({"INTEGRATION_DATA_DIR": str(tmp_path), "INTEGRATION_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    app = create_app(settings, SystemClock(), lambda _: None)
    config = uvicorn.Config(app, http=DoorProtocol, lifespan="off", log_config=None, timeout_keep_alive=0.2)  # type: ignore[arg-type]  # the loop takes parts of a second
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: DoorProtocol(config, state, {}), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for _ in range(100_000):
        if not state.connections:
            break
        await asyncio.sleep(0)  # an ended one is read from until its client closes it
    await app.door.close()


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


async def test_a_connection_that_rests_is_closed(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(WEBHOOK)
        assert (await answer(reader)).startswith(b"HTTP/1.1 503 ")
    assert await reader.read() == b""
    writer.close()


async def test_a_connection_that_rests_after_the_usual_way_is_closed_too(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(WEBHOOK)
    await answer(reader)
    writer.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    await answer(reader)
    assert await reader.read() == b""
    writer.close()


HEAD = b"POST /integration/webhooks/x HTTP/1.1\r\nhost: x\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (HEAD + b"content-length: -1\r\n\r\n", "Content-Length is no whole number, or a negative one"),
        (HEAD + b"content-length: 0x8\r\n\r\n", "Content-Length is no whole number"),
        (HEAD + b"content-length: \r\n\r\n", "Content-Length is empty"),
        (HEAD + b"content-length: 99999999999999999999999999\r\n\r\n", "Content-Length is larger than any"),
        (HEAD + b"content-length: 8\r\ncontent-length: 9\r\n\r\n", "more than one Content-Length"),
        (HEAD + b"content-length: 8\r\ntransfer-encoding: chunked\r\n\r\n", "both Content-Length and Transfer-Encoding"),
        (HEAD + b"transfer-encoding: chunked\r\ncontent-length: 8\r\n\r\n", "both Content-Length and Transfer-Encoding"),
        (HEAD + b"transfer-encoding: chunked, identity\r\n\r\n", "`chunked` has to be the last"),
        (HEAD + b"transfer-encoding: gzip\r\n\r\n", "`chunked` has to be the last"),
        (HEAD + b"na me: x\r\n\r\n", "a header has no name"),
        (HEAD + b"x: a\x00b\r\n\r\n", "control character"),
        (HEAD + b"x: y\n\r\n", "does not end with CR LF"),
        (b"POST /x HTTP/1.1\r\n x: y\r\n\r\n", "begins with a space"),
        (b"\x16\x03\x01\x02\x00\x01", "no TLS"),
        (b"GET\r\n\r\n", "a method and a space"),
        (b"GET /a b HTTP/1.1\r\n\r\n", "first line"),
        (b"GET / HTTP/9.9\r\n\r\n", "a version of HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", "its path"),
        (b"GET x HTTP/1.1\r\n\r\n", "its path"),
        (b"GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n", "its path"),
        (b"GET /health/live HTTP/1.1\r\n\r\n", "has one header Host"),
        (b"POST /integration/webhooks/x HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", "has one header Host"),
        (HEAD + b"host: y\r\ncontent-length: 2\r\n\r\n{}", "has one header Host"),
        (CHUNKED + b"g\r\nx\r\n", "no hexadecimal number"),
        (CHUNKED + b"ffffffffffffffffff\r\nx", "size of a chunk is larger"),
    ],
)
async def test_what_is_no_http_is_told_why(port: int, sent: bytes, why: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answered = await reader.read()
    writer.close()
    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    found = orjson.loads(body)
    assert (found["type"], why in found["detail"]) == ("urn:xyra:problem:bad_request", True), found
    assert found["detail"].startswith("The request is not valid HTTP/1.1: ")


async def test_a_head_without_an_end_is_told_so_before_the_connection_closes(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + b"x-flood: " + b"y" * 5_000_000)  # more than any buffer on the way holds
    answered = await reader.read()
    writer.close()
    assert answered.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert answered.count(b"HTTP/1.1 4") == 1
    assert b"larger than 65,536 bytes" in answered


def head_of(size: int) -> bytes:
    begin = HEAD + b"content-length: 2\r\nx-flood: "
    return begin + b"y" * (size - len(begin) - 4) + b"\r\n\r\n"


CUTS = [(), (1,), (60_000,), (30_000, 65_000), (65_534,)]


async def ask(port: int, sent: bytes, cuts: tuple[int, ...]) -> bytes:
    """Send it in pieces, each read before the next is there, and return the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for begin, end in itertools.pairwise((0, *cuts, len(sent))):
        writer.write(sent[begin:end])
        await writer.drain()
        for _ in range(50):
            await asyncio.sleep(0)  # the server's turn
    answered = await reader.read()
    writer.close()
    return answered


@pytest.mark.parametrize("cuts", CUTS, ids=str)
@pytest.mark.parametrize("behind", [b"", WEBHOOK, WEBHOOK * 500], ids=["alone", "behind one", "behind many"])
async def test_a_head_is_as_large_as_it_is_however_it_comes(port: int, cuts: tuple[int, ...], behind: bytes) -> None:
    before = behind.count(b"POST")
    for size, refused in ((65_536, 0), (65_537, 1), (140_000, 1)):
        answered = await ask(port, behind + head_of(size) + b"{}", tuple(len(behind) + cut for cut in cuts))
        assert answered.count(b"HTTP/1.1 431 Request Header Fields Too Large") == refused, size
        assert answered.count(b"HTTP/1.1 503 ") == before + 1 - refused, size


@pytest.mark.parametrize("size", [66_000, 140_000])
async def test_a_head_that_is_too_large_need_not_end(port: int, size: int) -> None:
    assert (await ask(port, head_of(size)[:-4], ())).startswith(b"HTTP/1.1 431 ")


async def test_no_http_with_much_behind_it_is_told_why(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + b"na me: x\r\n" + b"y" * 5_000_000)
    answered = await reader.read()
    writer.close()
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert answered.count(b"HTTP/1.1 4") == 1


async def go_on(writer: asyncio.StreamWriter, piece: bytes, most: int) -> None:
    for _ in range(most // len(piece)):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)  # the server's turn


@pytest.mark.parametrize("piece", [b"y", b"y" * 1_000_000], ids=["time", "bytes"])
async def test_a_client_that_goes_on_writing_is_hung_up_on(port: int, piece: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + b"na me: x\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")  # all that is said; the other direction stays open
    with pytest.raises(ConnectionError):
        await go_on(writer, piece, 64_000_000)
    writer.close()
