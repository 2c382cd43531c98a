"""One HTTP/1.1 connection of the client: a request goes out, an answer comes in, everything in it bounded."""

import asyncio
import select
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from flows.core.outbound.egress import Code

HEAD_BYTES: Final = 64 * 1024
"""Bytes of an answer that are not body: headers, interim answers, chunk sizes, trailers."""
FRAMING: Final = 6
"""Times its body that an answer's framing may be on top of that: a chunk of one byte has five bytes around it."""
HEADERS: Final = 128
DRAIN_BYTES: Final = 64 * 1024
"""How much of a body is read past what is kept, since a new connection costs more; with more to come the connection is closed."""
JOINED_BYTES: Final = 64 * 1024
"""Up to here a body is copied behind its head, for one packet and one call instead of two."""
_OK: Final = 200
NO_CONTENT: Final = 204
_VERSIONS: Final = frozenset({"1.0", "1.1"})


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool


class Broken(Exception):
    """The exchange came to nothing; the connection is closed."""

    def __init__(self, code: Code, detail: str, *, silent: bool) -> None:
        """Take what happened, in words that follow the target's name, and whether not one byte had come."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.silent = silent


class Exchange(asyncio.Protocol):
    """A connection: one request at a time. Does not block; nothing of what it holds outlives it."""

    def __init__(self) -> None:
        """Begin unconnected."""
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._waiting: asyncio.Future[Reply] | None = None
        self._poll = select.poll()
        self._begin(0, None, bodiless=False)
        self.address = ""
        """Whom it is connected to."""
        self.since = 0.0
        """When it was last put aside, for its owner."""

    def _begin(self, keep: int, standing: Callable[[], None] | None, *, bodiless: bool) -> None:
        self._keep = keep
        self._standing = standing
        self._bodiless = bodiless
        self._wire = self._head = self._length = 0
        self._headers: list[tuple[str, str]] = []
        self._framed = self._headed = self._stands = self._extra = False
        self._body = bytearray()
        self._reply: Reply | None = None

    def ask(self, head: bytes, body: bytes, keep: int, standing: Callable[[], None] | None = None, *, bodiless: bool) -> "asyncio.Future[Reply]":
        """Send a request and return a future of its answer, which fails with `Broken`. Whoever no longer waits calls `abort`.

        Args:
            head: the request's line and headers.
            body: its body.
            keep: how much of the answer's body is kept.
            standing: given where the answer's head is enough: a body that breaks off is then cut off, and fails nothing.
                Called when the head is there and the body is not; whoever has waited long enough for it finds `so_far`.
            bodiless: where no answer can have a body (`HEAD`).

        """
        transport = cast("asyncio.Transport", self._transport)
        self._begin(keep, standing, bodiless=bodiless)
        self._waiting = waiting = asyncio.get_running_loop().create_future()
        if len(body) <= JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        return waiting

    def fresh(self) -> bool:
        """Tell whether a connection put aside is still good: open, and nothing has come from the other side, not even its end."""
        return self._transport is not None and not self._transport.is_closing() and not self._poll.poll(0)

    def abort(self) -> None:
        """Close at once; what was still to be sent is not."""
        if self._transport is not None:
            self._transport.abort()

    def so_far(self) -> Reply | None:
        """Return the answer as far as it has come, where its head is there and is enough; also after `abort`."""
        return (self._reply or self._made(cut=True)) if self._stands else None

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the last one was sent and answered to the last byte, and both sides want to go on."""
        transport = self._transport
        return transport is not None and not transport.is_closing() and self._waiting is None and not self._extra and not transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hear that it is connected, TLS and all."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that it is closed: the end of an answer without a length, or of the exchange."""
        self._transport = None
        if self._waiting is None:
            return
        if exc is None and self._headed and not self._framed:
            self._finish()
        else:
            self._fail("closed", "closed the connection before its answer was whole")

    def data_received(self, data: bytes) -> None:
        """Read on; what comes unasked closes the connection."""
        if self._waiting is None:
            self.abort()
            return
        self._wire += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._extra = True
            if self._reply is None:
                self._fail("bad_answer", "sent what is not HTTP/1.1")
                return
        if self._too_much:
            self._fail("answer_head_too_large", f"sent more than {HEADERS} headers, or more than {HEAD_BYTES:,} bytes of them")
        elif self._reply is not None:
            self._settle(self._reply)
        elif self._headed and (self._bodiless or self._length > self._keep + DRAIN_BYTES):
            self._finish()
        elif self._wire - self._length > HEAD_BYTES + FRAMING * self._length:
            self._fail("answer_head_too_large", f"sent more than {HEAD_BYTES:,} bytes around its body")
        elif self._stands and self._standing is not None and not self._waiting.done():
            standing, self._standing = self._standing, None
            standing()

    def on_message_begin(self) -> None:
        """Hear of an answer; a second one was not asked for."""
        self._extra = self._reply is not None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which is counted and dropped."""
        self._head += len(name) + len(value)
        if self._headed or len(self._headers) > HEADERS:
            return
        lower = name.lower()
        self._framed = self._framed or lower in {b"content-length", b"transfer-encoding"}
        self._headers.append((lower.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Hear that all headers have come; those of an interim answer are dropped later. Raises HttpParserError for another HTTP."""
        if self._parser.get_http_version() not in _VERSIONS:
            raise HttpParserError("a version that is not spoken")
        self._headed = self._parser.get_status_code() >= _OK
        self._stands = self._headed and self._standing is not None and not self._too_much

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body, and keep as much as is wanted."""
        self._length += len(data)
        missing = self._keep - len(self._body)
        if missing > 0:
            self._body += data[:missing]

    def on_message_complete(self) -> None:
        """Hear that an answer is whole; after an interim one the real one follows."""
        if self._reply is not None:
            return
        if not self._headed:
            self._headers, self._framed = [], False
            return
        self._reply = self._made()
        announced = any(name == "content-length" and value.strip() not in {"0", ""} for name, value in self._headers)
        without = self._parser.get_status_code() == NO_CONTENT
        self._extra = not self._parser.should_keep_alive() or (without and announced)  # the body that may not be there may come all the same

    @property
    def _too_much(self) -> bool:
        return self._head > HEAD_BYTES or len(self._headers) > HEADERS

    def _made(self, *, cut: bool = False) -> Reply:
        return Reply(self._parser.get_status_code(), tuple(self._headers), bytes(self._body), cut or self._length > self._keep)

    def _finish(self, *, cut: bool = False) -> None:
        """Answer with what there is, and close."""
        self._extra = True
        self._settle(self._made(cut=cut))

    def _settle(self, reply: Reply) -> None:
        waiting, self._waiting = self._waiting, None
        if self._extra:
            self.abort()
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def _fail(self, code: Code, detail: str) -> None:
        """Close; what had come is no answer, unless its head is enough."""
        if self._stands:
            self._finish(cut=True)
            return
        waiting, self._waiting = self._waiting, None
        self.abort()
        if waiting is not None and not waiting.done():
            waiting.set_exception(Broken(code, detail, silent=self._wire == 0))
