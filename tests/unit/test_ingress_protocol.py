"""A connection at rest: closed after a while, by one timer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

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
    server = await asyncio.get_running_loop().create_server(lambda: DoorProtocol(config, ServerState(), {}), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
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
