"""Where an answer's head is enough its word stands, whatever becomes of the body; and what comes of the body in time is there to see."""

import time
from asyncio import StreamReader, StreamWriter

import pytest

from tests.kit.egress import LONG_S, SOON_S, answer, egress, failure, post
from tests.kit.targets import OK, Talk, Target, answers, answers_once, begins, drips, floods, hangs, read_request, target

REST_S = 0.2
LONG = b"HTTP/1.1 %d X\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = b"HTTP/1.1 %d X\r\n\r\n"


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize(
    ("head", "said", "body"),
    [
        (LONG, b"", b""),
        (LONG, b"some", b"some"),
        (CHUNKED, b"", b""),
        (CHUNKED, b"4\r\nsome\r\n", b"some"),
        (CHUNKED, b"ff\r\nsome", b"some"),
        (ENDLESS, b"some", b"some"),
    ],
)
async def test_a_body_that_hangs_is_cut_off(status: int, head: bytes, said: bytes, body: bytes) -> None:
    async with target(begins(head % status + said)) as seen:
        with egress() as client:
            begin = time.monotonic()
            found = await answer(client, post(seen.url, rest_s=REST_S))
            took = time.monotonic() - begin
            await seen.gone.wait()
            await answer(client, post(seen.url, rest_s=REST_S))
    assert (found.status, found.body, found.truncated) == (status, body, True)
    assert REST_S - 0.01 <= took < LONG_S / 2
    assert seen.connections == 2


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_that_drips_is_cut_off(status: int) -> None:
    async with target(drips(b"", 0.02, LONG % status)) as seen:
        with egress() as client:
            found = await answer(client, post(seen.url, rest_s=REST_S))
            await seen.gone.wait()
    assert (found.status, found.truncated) == (status, True)
    assert 1 <= len(found.body) < 50
    assert set(found.body) == {ord("x")}


async def test_the_deadline_cuts_a_body_off_too() -> None:
    async with target(begins(LONG % 200)) as seen:
        with egress() as client:
            found = await answer(client, post(seen.url, deadline_s=SOON_S, rest_s=LONG_S))
    assert (found.status, found.truncated) == (200, True)
    assert found.seconds < LONG_S / 2


@pytest.mark.parametrize(
    ("talk", "status"),
    [
        (answers_once(LONG % 200 + b"some"), 200),
        (answers_once(CHUNKED % 500 + b"ff\r\nsome"), 500),
        (answers_once(CHUNKED % 200 + b"4\r\nsome\r\nzz\r\n"), 200),
        (floods(CHUNKED % 200 + b"4\r\nsome\r\n1;x=", b"y" * 1000), 200),
        (floods(CHUNKED % 200 + b"4\r\nsome\r\n0\r\n", b"X-Trailer: y\r\n"), 200),
    ],
    ids=["closed", "closed amid a chunk", "a chunk that is none", "a chunk's extension that never ends", "trailers that never end"],
)
async def test_a_body_that_breaks_off_is_cut_off(talk: Talk, status: int) -> None:
    async with target(talk) as seen:
        with egress() as client:
            found = await answer(client, post(seen.url, rest_s=LONG_S))
            await seen.gone.wait()
    assert (found.status, found.body, found.truncated) == (status, b"some", True)
    assert found.seconds < LONG_S / 2


@pytest.mark.parametrize(
    ("talk", "code"),
    [
        (hangs, "timed_out"),
        (begins(b"HTTP/1.1 200 OK\r\nX-Half: "), "timed_out"),
        (drips(b"", 0.02, b"HTTP/1.1 200 OK\r\nX-Slow: "), "timed_out"),
        (begins(b"HTTP/1.1 100 Continue\r\n\r\n"), "timed_out"),
        (answers_once(b"HTTP/1.1 200 OK\r\nX-Half: "), "closed"),
        (answers_once(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 129 + b"Content-Length: 9\r\n\r\n"), "answer_head_too_large"),
        (answers_once(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "bad_answer"),
    ],
)
async def test_without_a_whole_head_there_is_no_answer(talk: Talk, code: str) -> None:
    async with target(talk) as seen:
        with egress() as client:
            found = await failure(client, post(seen.url, deadline_s=SOON_S, rest_s=LONG_S))
    assert (found.code, found.sent) == (code, True)
    if code == "timed_out":
        assert f"127.0.0.1:{seen.port} had answered to the last header" in found.detail


async def test_a_body_that_comes_in_time_is_whole_and_its_connection_is_kept() -> None:
    slow = drips(b"ok" * 5, 0.01, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    async with target(slow) as seen, target(answers(OK)) as quick:
        with egress() as client:
            found = await answer(client, post(seen.url, rest_s=LONG_S))
            assert (found.body, found.truncated) == (b"okokokokok", False)
            for _ in range(3):
                assert (await answer(client, post(quick.url, rest_s=LONG_S))).truncated is False
    assert quick.connections == 1


async def answers_then_hangs(seen: Target, reader: StreamReader, writer: StreamWriter) -> None:
    """Answer the first request on a connection, and no other."""
    await read_request(seen, reader)
    writer.write(OK)
    await hangs(seen, reader, writer)


async def test_a_kept_connection_whose_answer_was_whole_says_nothing_of_the_next() -> None:
    """The head of the answer before is not taken for one of the request that hangs."""
    async with target(answers_then_hangs) as seen:
        with egress() as client:
            await answer(client, post(seen.url, rest_s=REST_S))
            assert (await failure(client, post(seen.url, deadline_s=SOON_S, rest_s=REST_S))).code == "timed_out"
    assert seen.connections == 1
