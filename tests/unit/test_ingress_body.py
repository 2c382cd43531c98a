import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import zstandard

from flows.core.errors import BadRequest, TooLarge, Unavailable, UnsupportedMedia, XyraError
from ingress.body import Budget, Disconnected, Patience, RequestTimeout, inflate, read_body

LIMIT = 1000


def feed(*chunks: bytes, then: dict[str, Any] | None = None) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Give the chunks one by one, and at the end `then`."""
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if len(left) == 1 and then is None:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return {"type": "http.request", "body": left.pop(0), "more_body": True} if left else then or {"type": "http.disconnect"}

    return receive


async def test_chunks_are_put_together() -> None:
    budget = Budget(LIMIT)
    assert await read_body(feed(b"a", b"", b"b" * 900), None, LIMIT, Patience(5), budget) == b"a" + b"b" * 900
    with pytest.raises(Unavailable):
        budget.take(100)
    budget.take(99)


@pytest.mark.parametrize("announced", [None, b"1", b"1001", b"99999999999999999999999999", b"-1", b"\xff"])
async def test_what_counts_is_the_bytes_read(announced: bytes | None) -> None:
    budget = Budget(2 * LIMIT)
    with pytest.raises(TooLarge):
        await read_body(feed(b"x" * 600, b"x" * 401, b"x"), announced, LIMIT, Patience(5), budget)
    budget.take(2 * LIMIT)


async def test_exactly_the_limit_passes() -> None:
    assert len(await read_body(feed(b"x" * LIMIT), b"1000", LIMIT, Patience(5), Budget(LIMIT))) == LIMIT


async def test_a_sender_that_goes_away_leaves_nothing_held() -> None:
    budget = Budget(LIMIT)
    with pytest.raises(Disconnected):
        await read_body(feed(b"x" * 500, then={"type": "http.disconnect"}), None, LIMIT, Patience(5), budget)
    budget.take(LIMIT)


async def test_a_slow_sender_runs_out_of_time() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    patience = Patience(0.01)
    for _ in range(2):
        with pytest.raises(RequestTimeout):
            await read_body(never, None, LIMIT, patience, Budget(LIMIT))
    assert await read_body(feed(b"x"), None, LIMIT, patience, Budget(LIMIT)) == b"x"


async def test_a_cancellation_by_others_is_none_of_ours() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    task = asyncio.create_task(read_body(never, None, LIMIT, Patience(5), Budget(LIMIT)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_all_bodies_together_are_bounded() -> None:
    budget = Budget(LIMIT)
    await read_body(feed(b"x" * 700), None, LIMIT, Patience(5), budget)
    with pytest.raises(Unavailable):
        await read_body(feed(b"x" * 400), None, LIMIT, Patience(5), budget)
    budget.give_back(700)
    await read_body(feed(b"x" * 400), None, LIMIT, Patience(5), budget)


PACKED = {"gzip": gzip.compress(b"{}" * 100, mtime=0), "x-gzip": gzip.compress(b"{}" * 100, mtime=0), "zstd": zstandard.compress(b"{}" * 100)}


@pytest.mark.parametrize("encoding", PACKED)
def test_packed_bodies_are_unpacked(encoding: str) -> None:
    assert inflate(PACKED[encoding], encoding, 200) == b"{}" * 100


@pytest.mark.parametrize("encoding", PACKED)
def test_several_members_are_one_body(encoding: str) -> None:
    assert inflate(PACKED[encoding] * 3, encoding, 600) == b"{}" * 300
    with pytest.raises(TooLarge):
        inflate(PACKED[encoding] * 3, encoding, 599)


@pytest.mark.parametrize(
    ("body", "encoding", "error"),
    [
        (gzip.compress(b"\0" * 20_000_000, mtime=0), "gzip", TooLarge),
        (zstandard.compress(b"\0" * 20_000_000), "zstd", TooLarge),
        (PACKED["gzip"][:-1], "gzip", BadRequest),
        (PACKED["gzip"] + b"more", "gzip", BadRequest),
        (PACKED["zstd"][:-1], "zstd", BadRequest),
        (PACKED["zstd"] + b"more", "zstd", BadRequest),
        (b"", "gzip", BadRequest),
        (b"{}", "gzip", BadRequest),
        (b"{}", "zstd", BadRequest),
        (b"{}", "br", UnsupportedMedia),
        (b"{}", "gzip, gzip", UnsupportedMedia),
        (b"{}", "\xff", UnsupportedMedia),
    ],
)
def test_what_cannot_be_unpacked_is_refused(body: bytes, encoding: str, error: type[XyraError]) -> None:
    with pytest.raises(error):
        inflate(body, encoding, LIMIT)
