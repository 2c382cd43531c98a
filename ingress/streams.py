"""Answers that go on for a while: as many at once as there are seats for."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from flows.core.errors import Unavailable
from ingress.aside import Room

READINGS: Final = 4
"""Readings of rejected rows at once: each has a client of its own, and reads up to 8 MiB."""
EXPORTS: Final = 4
"""Files of rejected rows at once."""
PREVIEWS: Final = 2
"""Dry runs of imports at once: each has a process of its own for up to 5 s."""
WRITINGS: Final = 2
"""Files of rejected rows in Parquet or Excel that are being written: each has a process of its own, and a file on disk."""
LISTENERS: Final = 100
"""Streams of reports at once; each costs a look four times a second."""


class Seats:
    """Counts who is being answered; in the event loop only."""

    def __init__(self, most: int, what: str, retry_after_s: int) -> None:
        """Take how many there may be, what they are for a person, and when to come again."""
        self._free = most
        self._most, self._what, self._retry_after_s = most, what, retry_after_s

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a seat for the length of a block.

        Raises:
            Unavailable: all are taken.

        """
        if not self._free:
            raise Unavailable(f"{self._most} {self._what} at once are as many as there may be; ask again.", retry_after_s=self._retry_after_s)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class Streamed(StreamingResponse):
    """A stream that has a seat from its first byte to its last, or to when its reader has gone; without a seat it is refused before it begins."""

    def __init__(
        self, parts: AsyncIterator[bytes], seats: Seats, media_type: str, headers: Mapping[str, str], behind: Callable[[], None] = lambda: None
    ) -> None:
        """Take what is sent, where it sits, what stands in its head, and what is done behind it, whatever it came to."""
        super().__init__(parts, media_type=media_type, headers=headers)
        self._seats, self._behind = seats, behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; raises Unavailable when all seats are taken."""
        try:
            with self._seats.taken():
                await super().__call__(scope, receive, send)
        finally:
            self._behind()


@dataclass(frozen=True)
class Streams:
    """Where those sit who follow an import or fetch its rejected rows."""

    readings: Room = field(default_factory=lambda: Room(READINGS, "Readings of rejected rows", 1))
    previews: Room = field(default_factory=lambda: Room(PREVIEWS, "Previews of imports", 2))
    exports: Seats = field(default_factory=lambda: Seats(EXPORTS, "exports of rejected rows", 5))
    writings: Room = field(default_factory=lambda: Room(WRITINGS, "Files of rejected rows in Parquet or Excel", 5))
    listeners: Seats = field(default_factory=lambda: Seats(LISTENERS, "listeners to imports", 5))
