"""Calls out to targets that hang, lie and never end: each has a verdict in time, and costs no more than it may."""

import time
from collections.abc import Callable

import pytest

from flows.wire.exchange import HEAD_BYTES
from tests.kit.egress import SOON_S, answer, egress, failure, post
from tests.kit.targets import Talk, answers, answers_once, drips, floods, hangs, target

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SECRET = b"the-body-of-an-inner-service"


@pytest.mark.parametrize(
    "talk",
    [
        hangs,
        drips(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        drips(CHUNKED + b"fffff\r\n"),
        drips(b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
    ids=["says nothing", "drips headers", "drips a body", "drips a chunk", "drips without a length"],
)
async def test_the_deadline_is_for_the_whole_call(talk: Talk) -> None:
    async with target(talk) as seen:
        with egress() as client:
            begin = time.monotonic()
            found = await failure(client, post(seen.url, deadline_s=SOON_S))
            took = time.monotonic() - begin
    assert (found.code, found.sent) == ("timed_out", True)
    assert SOON_S - 0.01 <= took < SOON_S + 1  # a loop may round to a millisecond
    assert f"127.0.0.1:{seen.port} had answered to the last byte" in found.detail


async def test_a_target_that_accepts_nothing_runs_into_the_deadline() -> None:
    async with target(hangs) as seen:
        with egress(("full.test", ["240.0.0.1", "240.0.0.2"]), allow="240.0.0.0/4") as client:
            found = await client.call(post(f"http://full.test:{seen.port}/", deadline_s=SOON_S))
    assert not isinstance(found, tuple)
    assert found.code in {"connect_failed", "timed_out"}  # where there is no route, the system says so at once


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        (CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    ],
    ids=["with a length", "without", "in chunks"],
)
async def test_of_ten_gigabytes_the_first_are_kept(first: bytes, again: bytes) -> None:
    async with target(floods(first, again)) as seen:
        with egress() as client:
            found = await answer(client, post(seen.url, keep_bytes=100_000))
        await seen.gone.wait()
    assert (found.status, found.body, found.truncated) == (200, b"x" * 100_000, True)
    assert seen.written < 20_000_000  # what the sockets' buffers took


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Again: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"y" * 1000),
        (b"HTTP/1.1 200 OK\r\nX", b"y" * 1000),
        (b"HTTP/1.1 200 ", b"y" * 1000),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n", b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n"),
        (CHUNKED + b"1;x=", b"y" * 1000),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: y\r\n"),
    ],
    ids=["headers", "a header", "a header's name", "a reason", "interim answers", "interim headers", "a chunk's extension", "trailers"],
)
async def test_what_never_ends_around_a_body_is_cut_off(first: bytes, again: bytes) -> None:
    async with target(floods(first, again)) as seen:
        with egress() as client:
            found = await failure(client, post(seen.url))
        await seen.gone.wait()
    assert found.code == "answer_head_too_large"


@pytest.mark.parametrize("headers", [b"x: y\r\n" * 129, b"x: %s\r\n" % (b"y" * HEAD_BYTES)], ids=["too many", "too long"])
async def test_headers_are_bounded(headers: bytes) -> None:
    async with target(answers_once(b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: 0\r\n\r\n")) as seen:
        with egress() as client:
            assert (await failure(client, post(seen.url))).code == "answer_head_too_large"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Half: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + SECRET,
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"ff\r\n" + SECRET,
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
    ids=["at once", "amid headers", "amid a body", "between chunks", "amid a chunk", "after an interim answer"],
)
async def test_an_answer_that_breaks_off_is_none(said: bytes) -> None:
    async with target(answers_once(said)) as seen:
        with egress() as client:
            found = await failure(client, post(seen.url))
    assert (found.code, found.sent) == ("closed", True)
    assert SECRET.decode() not in found.detail


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"-ERR unknown command 'POST'\r\n",
        b"220 smtp ready\r\n" * 3,
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + SECRET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX y: z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        CHUNKED + b"zz\r\n" + SECRET,
        CHUNKED + b"fffffffffffffffffff\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
async def test_what_is_not_http_is_no_answer(said: bytes) -> None:
    async with target(answers_once(said)) as seen:
        with egress() as client:
            found = await failure(client, post(seen.url))
    assert (found.code, found.sent) == ("bad_answer", True)
    assert SECRET.decode() not in found.detail


async def test_nobody_listens() -> None:
    async with target(hangs) as seen:
        url = seen.url
    with egress() as client:
        found = await failure(client, post(url + "?token=secret"))
    assert (found.code, found.sent) == ("connect_failed", False)
    assert found.detail == f"There is no connection to 127.0.0.1:{seen.port}: Connection refused."


@pytest.mark.parametrize("talk", [lambda: answers(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n%s" % (len(SECRET), SECRET))])
async def test_a_failing_target_answers_too(talk: Callable[[], Talk]) -> None:
    async with target(talk()) as seen:
        with egress() as client:
            found = await answer(client, post(seen.url))
    assert (found.status, found.body) == (500, SECRET)
