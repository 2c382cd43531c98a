"""The body of an upload, chunk by chunk, read only as fast as what takes it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from ingress.body import Disconnected, Receive, RequestTimeout

IDLE_S: Final = 30.0
LINGER_S: Final = 1.0
LINGER_BYTES: Final = 16 * 1024 * 1024


class Body:
    """One request's body."""

    def __init__(self, receive: Receive) -> None:
        """Take the ASGI channel."""
        self._receive = receive
        self._over = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what comes.

        Raises:
            Disconnected: the sender went away before its end.
            RequestTimeout: nothing came for half a minute.

        """
        while not self._over:
            try:
                async with asyncio.timeout(IDLE_S):
                    data = await self._next()
            except TimeoutError as error:
                raise RequestTimeout(f"No byte of the body came for {IDLE_S:g} s.") from error
            if data:
                yield data

    async def linger(self) -> None:
        """Read on for a moment and throw it away: a sender in mid-word would not see its answer."""
        left = LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_S):
                while left > 0 and not self._over:
                    left -= len(await self._next())
        except (TimeoutError, Disconnected):
            return

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._over = True
            raise Disconnected
        self._over = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data
