"""The end of a connection whose client may still be writing: what comes is read for a moment and thrown away."""

import asyncio
from collections.abc import Callable
from typing import Final

LINGER_S: Final = 1.0
MOST: Final = 16 * 1024 * 1024


class Lingering(asyncio.Protocol):
    """Takes a connection over when the last answer was written, and closes it when the client does, after a second or 16 MiB, whichever is first.

    Closed at once on a client in mid-word, the connection would be reset, and the answer with it (RFC 9112, 9.6).
    """

    def __init__(self, transport: asyncio.Transport, lost: Callable[[Exception | None], None]) -> None:
        """Say that nothing more is written, and throw away what comes; `lost` is told of the end."""
        self._transport, self._lost, self._left = transport, lost, MOST
        transport.set_protocol(self)
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """Throw it away, up to a bound."""
        self._left -= len(data)
        if self._left < 0:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whose connection it was."""
        self._timer.cancel()
        self._lost(exc)
