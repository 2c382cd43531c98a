"""Room for a few blocking calls at once."""

import asyncio
from threading import Event

import pytest

from flows.core.errors import Unavailable
from ingress.aside import Room


async def test_one_call_too_many_is_told_to_come_back_and_a_place_is_held_until_its_call_has_ended() -> None:
    room, go_on, ended = Room(1, "Searches of the log", 3), Event(), Event()

    def search() -> int:
        go_on.wait(10)
        return 7

    first = asyncio.ensure_future(room.aside(search))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="Searches of the log at once") as raised:
        await room.aside(ended.set)
    assert raised.value.retry_after_s == 3
    assert not ended.is_set()
    first.cancel()
    with pytest.raises(Unavailable):
        await room.aside(ended.set)  # nobody waits for the first one any more, and it runs all the same
    go_on.set()
    for _ in range(1000):
        try:
            await room.aside(ended.set)
            break
        except Unavailable:
            await asyncio.to_thread(ended.wait, 0.001)
    assert ended.is_set()


async def test_what_a_call_raises_comes_out_and_gives_its_place_back() -> None:
    room = Room(1, "x", 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await room.aside(lambda: 1 // 0)
