"""Room for a few blocking calls at once."""

import asyncio
import threading
from threading import Event

import pytest

from flows.core.errors import Unavailable
from ingress.aside import Room


def never() -> None:
    raise AssertionError("it was called all the same")


async def test_one_call_too_many_is_told_to_come_back() -> None:
    room, go_on = Room(1, "Searches of the log", 3), Event()
    first = asyncio.ensure_future(room.aside(lambda: go_on.wait(10)))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="Searches of the log at once") as raised:
        await room.aside(never)
    assert raised.value.retry_after_s == 3
    go_on.set()
    assert await first
    assert await room.aside(lambda: 7) == 7


async def test_a_place_is_held_until_its_call_has_ended_though_nobody_waits_for_it_any_more() -> None:
    room, go_on = Room(1, "x", 1), Event()
    first = asyncio.ensure_future(room.aside(lambda: go_on.wait(10)))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(Unavailable):
        await room.aside(never)
    go_on.set()
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("aside-")]:
        thread.join(10)
    assert await room.aside(lambda: 7) == 7


async def test_what_a_call_raises_comes_out_and_gives_its_place_back() -> None:
    room = Room(1, "x", 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await room.aside(lambda: 1 // 0)
