"""Reading a request's body: every byte counted as it comes, the time bounded, what was packed unpacked within the same bounds."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import zstandard

from flows.core.errors import BadRequest, Refused, TooLarge, Unavailable, UnsupportedMedia

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

LINGER_S: Final = 1.0
"""How long a refused body is still read and thrown away: closing on a sender in mid-word would take the answer away from it."""
ZSTD_WINDOW: Final = 8 * 1024 * 1024
"""The most a decoder should support, RFC 8878 §3.1.1.1.2."""
ZSTD_STEP: Final = 128
"""Bytes unpacked in one go: a block of 4 bytes can come to 128 KiB, so that no step makes more than 4 MiB."""
GZIP: Final = 16 + zlib.MAX_WBITS


class Disconnected(Exception):
    """The sender went away before its body was complete; there is nobody to answer."""


class RequestTimeout(Refused):
    """The head or the body did not come in time."""

    code, title, status = "request_timeout", "The request took too long", 408


class Budget:
    """How many bytes of bodies may be held at once, over all requests: many large ones cannot use up the memory."""

    def __init__(self, limit: int) -> None:
        """Allow `limit` bytes."""
        self._free = limit

    def take(self, count: int) -> None:
        """Take `count` bytes.

        Raises:
            Unavailable: there are not so many left; nothing was taken.

        """
        if count > self._free:
            raise Unavailable("Too many large requests are in hand; send it again.", retry_after_s=1)
        self._free -= count

    def give_back(self, count: int) -> None:
        """Give bytes back."""
        self._free += count


class Patience:
    """Bounds how long each of many waits may take, with one timer for all of them: nearly every one is over before it is looked at."""

    def __init__(self, seconds: float) -> None:
        """Allow `seconds` for each; one may take a tenth longer."""
        self.seconds = seconds
        self._waiting: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> "asyncio.Task[object]":
        """Let the current task's time run, and return that task; when it is over the task is cancelled."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can wait")
        loop = task.get_loop()
        self._waiting[task] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_later(self.seconds / 10, self._look, loop)
        return task

    def end(self, task: "asyncio.Task[object]") -> None:
        """Let its time run no longer."""
        self._waiting.pop(task, None)

    def was_late(self, task: "asyncio.Task[object]") -> bool:
        """Tell whether a cancellation was ours; it is taken back then."""
        if task not in self._late:
            return False
        self._late.discard(task)
        task.uncancel()
        return True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task in [task for task, until in self._waiting.items() if until <= now]:
            del self._waiting[task]
            self._late.add(task)
            task.cancel()
        self._timer = loop.call_later(self.seconds / 10, self._look, loop) if self._waiting else None


async def read_body(receive: Receive, announced: bytes | None, limit: int, patience: Patience, budget: Budget) -> bytes:
    """Read a whole body; its length has then been taken from `budget`, and the caller gives it back.

    Args:
        receive: the ASGI channel.
        announced: the Content-Length header, which is believed only where it is larger than `limit`.
        limit: most bytes.
        patience: how long it may take, from now to the last byte.
        budget: what all requests together may hold.

    Raises:
        TooLarge, RequestTimeout, Unavailable, Disconnected: and what had come was given back.

    """
    if announced is not None and announced.isdigit() and int(announced[:20]) > limit:
        await _linger(receive, limit)
        raise _too_large(limit)
    taken: list[bytes] = []
    task = patience.begin()
    try:
        await _collect(receive, limit, budget, taken)
        return taken[0] if len(taken) == 1 else b"".join(taken)
    except asyncio.CancelledError as error:
        budget.give_back(sum(map(len, taken)))
        if patience.was_late(task):
            raise RequestTimeout(f"The body was not complete after {patience.seconds:g} s.") from error
        raise
    except (Refused, Unavailable, Disconnected):
        budget.give_back(sum(map(len, taken)))
        raise
    finally:
        patience.end(task)


async def _collect(receive: Receive, limit: int, budget: Budget, taken: list[bytes]) -> None:
    """Read to the end; `taken` holds what has come so far, also when this ends early."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            await _linger(receive, limit)
            raise _too_large(limit)
        budget.take(len(chunk))
        taken.append(chunk)
        if not message.get("more_body", False):
            return


async def _linger(receive: Receive, most: int) -> None:
    """Read on for a moment, so that a sender that only writes comes to read the answer."""
    try:
        async with asyncio.timeout(LINGER_S):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit:,} bytes.")


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Unpack a body by its Content-Encoding; takes no more memory than `limit` whatever comes. May run in any thread.

    Raises:
        UnsupportedMedia: an encoding other than gzip and zstd, or several.
        TooLarge: it comes to more than `limit` bytes.
        BadRequest: it is damaged or ends early.

    """
    try:
        if encoding in {"gzip", "x-gzip"}:
            return _gunzip(body, limit)
        if encoding == "zstd":
            return _unzstd(body, limit)
    except (zlib.error, zstandard.ZstdError) as error:
        raise BadRequest(f"The body is not valid {encoding}.") from error
    raise UnsupportedMedia("Content-Encoding may be gzip, zstd or identity.")


def _gunzip(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        unpacker = zlib.decompressobj(GZIP)
        piece = unpacker.decompress(body, limit - size + 1)
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if not unpacker.eof:
            raise zlib.error("ends early")
        body = unpacker.unused_data  # RFC 1952 §2.2: a file may have several members
        if not body:
            return b"".join(pieces)


def _unzstd(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = at = 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    while at < len(body) or not pieces:
        unpacker = decompressor.decompressobj()
        while not unpacker.eof:
            if at >= len(body):
                raise zstandard.ZstdError("ends early")
            piece = unpacker.decompress(body[at : at + ZSTD_STEP])
            at += ZSTD_STEP
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
        at = min(at, len(body)) - len(unpacker.unused_data)  # RFC 8878 §3.1: frames may follow one another
    return b"".join(pieces)
