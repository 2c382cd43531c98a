"""The body of an upload, chunk by chunk, read only as fast as what takes it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from ingress.body import Disconnected, Receive, RequestTimeout

IDLE_S: Final = 30.0
LINGER_S: Final = 1.0
LINGER_BYTES: Final = 16 * 1024 * 1024


async def chunks(receive: Receive) -> AsyncIterator[bytes]:
    """Yield what comes.

    Raises:
        Disconnected: the sender went away before its end.
        RequestTimeout: nothing came for half a minute.

    """
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                message = await receive()
        except TimeoutError as error:
            raise RequestTimeout(f"No byte of the body came for {IDLE_S:g} s.") from error
        if message["type"] == "http.disconnect":
            raise Disconnected
        if data := message.get("body", b""):
            yield data
        if not message.get("more_body", False):
            return


async def linger(receive: Receive) -> None:
    """Read on for a moment and throw it away: a sender in mid-word would not see its answer."""
    left = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
