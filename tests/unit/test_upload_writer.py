"""A file is cut alike whatever requests bring it, and however often an ingress dies and goes on from an older record of the upload."""

import asyncio
import hashlib
import random
from collections.abc import Callable

import orjson
import pytest

from flows.core.files.pieces import truncated
from flows.core.imports.shelf import End, Shelf, read
from flows.core.imports.uploads import Digest, Upload, create
from flows.core.record import Output, Record
from flows.wire.produce import Delivery
from ingress.uploads.writer import Reread, Writer

SIZE = 1_600_000


def csv(source: random.Random) -> bytes:
    """Return rows, with a quote that is never closed, a row larger than a piece and one larger than what is looked ahead among them."""
    rows = [b'%d,"text %d\nmore"\r\n' % (n, source.getrandbits(60)) for n in range(SIZE // 40)]
    rows[source.randrange(len(rows))] = b'1,"never closed\r\n'
    rows[source.randrange(len(rows))] = b'2,"' + b"x\n" * 300_000 + b'"\r\n'
    rows[source.randrange(len(rows))] = b'3,"' + b"a long text\n" * 150_000 + b'"\r\n'
    return b"".join(rows)


def lines(source: random.Random) -> bytes:
    rows = [b'{"a": %d}\n' % source.getrandbits(200) for n in range(SIZE // 70)]
    rows[source.randrange(1, len(rows))] = b'{"a": "' + b"x" * 700_000 + b'"}\n'
    return b"".join(rows)


def array(source: random.Random) -> bytes:
    rows = [b'{"a": %d, "b": [{"c": "},{"}]}' % source.getrandbits(200) for n in range(SIZE // 90)]
    rows[source.randrange(1, len(rows))] = b'{"a": "\n'
    return b"[" + b",\n".join(rows) + b"]"


def raw(source: random.Random) -> bytes:
    return b"PAR1" + source.randbytes(SIZE)


async def send_all(data: bytes, source: random.Random, deaths: float) -> tuple[list[Record], Upload]:
    """Send a file in random parts; now and then what was sent since the record is forgotten, but stays on the log."""
    log: list[Record] = []

    def send(output: Output) -> "asyncio.Future[Delivery]":
        log.append(Record(output.topic, 3, len(log), 0, output.key, output.value, output.headers))
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        future.set_result(Delivery(3, len(log) - 1))
        return future

    async def again(upload: Upload) -> Digest:
        reread = Reread()
        for record in log[upload.first : upload.last + 1]:
            reread.take(read(record))  # type: ignore[arg-type]  # no end has been written
        return reread.found(upload)

    upload = create("u", len(data), "", 0, 1000, len(data))
    while not upload.sha256:
        writer = Writer(upload, Digest(), send)
        end = min(len(data), upload.offset + source.randrange(1, 900_000))
        while writer.came < end:
            await writer.take(data[writer.came : min(end, writer.came + source.randrange(1, 70_000))])
        if source.random() < deaths:
            continue
        after = await (writer.finish(again) if writer.came == len(data) else writer.settle())
        upload = Upload.of(orjson.loads(after.text()))
    return log, upload


@pytest.mark.parametrize("make", [csv, lines, array, raw])
async def test_a_file_is_cut_alike_however_it_comes(make: Callable[[random.Random], bytes]) -> None:
    source = random.Random(make.__name__)  # noqa: S311  no secret
    data = make(source)
    ways: list[list[tuple[int, int]]] = []
    for deaths in (0.0, 0.4):
        shelf, got, parts = Shelf(), b"", []
        log, upload = await send_all(data, source, deaths)
        for record in log:
            found, before = read(record), shelf
            shelf = shelf.after(found, record)
            if not isinstance(found, End) and shelf.at > before.at:
                got += found.data
                parts.append((found.start, found.records))
        assert got == data
        assert shelf.whole
        assert upload.sha256 == shelf.sha256 == hashlib.sha256(data).hexdigest()
        ways.append(parts)
    assert ways[0] == ways[1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("lines", ["1,text\n", "a long text\n"])
async def test_small_parts_get_on_whatever_is_held_back(encoding: str, lines: str) -> None:
    def send(output: Output) -> "asyncio.Future[Delivery]":  # noqa: ARG001  it stands somewhere
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        future.set_result(Delivery(3, 0))
        return future

    data = ('a,b\n1,text\n1,"' + lines * (SIZE // len(lines)) + '"\n').encode(encoding)
    upload = create("u", len(data), "", 0, 1000, len(data))
    for at in range(0, len(data) - 1, 50_000):
        writer = Writer(upload, Digest(), send)
        await writer.take(data[at : at + 50_000])
        upload = await writer.settle()
        assert upload.offset == writer.came


async def test_a_file_that_breaks_off_comes_whole_and_is_told_as_torn() -> None:
    log, upload = await send_all(b'[{"a":1},{"a":2}', random.Random(1), 0.0)  # noqa: S311  no secret
    shelf = Shelf()
    for record in log:
        shelf = shelf.after(read(record), record)
    assert shelf.whole
    assert shelf.torn == upload.torn == truncated(16, 2, "its array").detail
    assert Shelf.of(shelf.text()) == shelf
