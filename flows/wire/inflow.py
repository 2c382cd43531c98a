"""Answers of any length: the body is taken block by block while it comes, and the target waits where nobody takes it."""

import asyncio
from typing import Final, cast

from flows.wire.exchange import Broken, Exchange, Reply

HELD_BYTES: Final = 1 << 20
"""From here on no more is read from the connection until what there is was taken."""


class Inflow(Exchange):
    """A connection for one such answer; it is not used again."""

    def __init__(self) -> None:
        """Begin unconnected."""
        super().__init__()
        self._stock = bytearray()
        self._come = asyncio.Event()
        self._paused = False
        self._ended: asyncio.Future[Reply] | None = None

    async def begin(self, head: bytes, most_bytes: int) -> Reply:
        """Send a request without a body, and return the answer's status and headers as soon as they are there.

        Args:
            head: the request's line and headers.
            most_bytes: of the body; the connection is closed somewhere behind them.

        Raises:
            Broken: there was no answer.

        """
        self._ended = self.ask(head, b"", most_bytes, self._come.set, bodiless=False)
        self._ended.add_done_callback(self._is_over)
        while True:
            if self._ended.done():
                return self._ended.result()
            reply = super().so_far()
            if reply is not None:
                return reply
            await self._more()

    async def take(self, patience_s: float) -> bytes:
        """Return what has come of the body since, nothing when it is over; waits where nothing has.

        Raises:
            Broken: it broke off, or nothing has come for `patience_s`.

        """
        ended = cast("asyncio.Future[Reply]", self._ended)
        while not self._stock:
            if ended.done():
                if ended.result().truncated:
                    raise Broken("closed", "closed the connection before its answer was whole", silent=False)
                return b""
            try:
                async with asyncio.timeout(patience_s):
                    await self._more()
            except TimeoutError:
                self.abort()
                raise Broken("timed_out", f"sent nothing for {patience_s:g} s", silent=False) from None
        block = bytes(self._stock)
        self._stock.clear()
        if self._paused:
            self._pause(on=False)
        return block

    def so_far(self) -> Reply | None:
        """Return nothing: a head that came too late is nobody's."""
        return None

    def on_body(self, data: bytes) -> None:
        """Hold a piece of the body until it is taken."""
        self._length += len(data)
        self._stock += data
        self._come.set()
        if len(self._stock) >= HELD_BYTES and not self._paused:
            self._pause(on=True)

    async def _more(self) -> None:
        self._come.clear()
        await self._come.wait()

    def _is_over(self, ended: "asyncio.Future[Reply]") -> None:
        if not ended.cancelled():
            ended.exception()  # whoever waited may have gone; so somebody has looked at it
        self._come.set()

    def _pause(self, *, on: bool) -> None:
        self._paused = on
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if on else self._transport.resume_reading)()
