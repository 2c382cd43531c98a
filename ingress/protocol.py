"""One connection: uvicorn's HTTP/1.1, bounded before a request has even begun, with a short way for webhooks that come whole.

Nearly every webhook comes in one read: a head, a body of a kilobyte. Such a one is taken right here, and the broker's
acknowledgement writes its answer, in one piece; no task is made for it and no ASGI message passed. Everything else, and
everything that is unclear, goes uvicorn's way to the app. Both ways end in `Intake`, which decides in one place.
"""

import asyncio
import logging
import sys
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from flows.core.errors import BadRequest, HeadTooLarge, OurError, XyraError
from ingress import framing, problems
from ingress.answers import Answer, of_error
from ingress.app import Ingress, hot_endpoint
from ingress.body import RequestTimeout
from ingress.judgement import Scope
from ingress.linger import Lingering

LOG: Final = logging.getLogger("xyra.ingress")
HEAD_S: Final = 10.0
"""How long a sender may take over a request's head."""
MOST_HEAD: Final = 64 * 1024
TOO_LARGE: Final = f"The head of the request is larger than {MOST_HEAD:,} bytes: send fewer headers, or shorter ones."
ASKING: Final = frozenset({b"content-encoding", b"expect", b"upgrade"})
"""Headers of a request that needs more than being taken: to be unpacked, answered first, or spoken to otherwise."""


class Exchange:
    """A webhook taken the short way, and its answer to come; in uvicorn's eyes the connection's present request and response."""

    def __init__(self, protocol: "DoorProtocol", keep_alive: bool) -> None:  # noqa: FBT001  as its twin in uvicorn
        """Take the connection, and whether it stays open."""
        self._protocol = protocol
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self.more_body = False
        self.message_event = self

    def set(self) -> None:
        """Hear that the connection is lost; the webhook goes on the log all the same."""

    def answer(self, answer: Answer) -> None:
        """Write the answer; nothing when there is nobody left to read it."""
        if self.response_complete:
            return
        self.response_complete = True
        if not self.disconnected:
            self._protocol.write(answer, self.keep_alive)


class DoorProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with bounds on the head of a request, in bytes and in time, and problem documents for what is no HTTP."""

    _in_head = True
    _head_bytes = 0
    """What has come since the read in which the head began."""
    _before_it = 0
    """What of that may belong to requests before it."""
    _head_timer: asyncio.TimerHandle | None = None
    _endpoint_id: str | None = None
    """Whose webhook is being read that may go the short way; its body so far is in `_body`."""
    _body: bytes = b""
    _at_work: RequestResponseCycle | None = None
    """The request whose answer is next, which is not the last one that came where several were sent at once."""
    _resting_since = 0.0
    _rest_timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **more: Any) -> None:
        """Take what uvicorn hands every protocol."""
        super().__init__(*args, **more)
        self._intake = cast("Ingress", self.config.app).door.intake

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it the same way
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, and tell every request in hand that nobody is there any more: uvicorn tells the last one."""
        self._stop_timer()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        for cycle in (self._at_work, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's answers nothing, and so hangs up on a sender that has said all it had to say
        """Keep the connection for the answers to what has come whole; close it behind the last of them."""
        last: RequestResponseCycle | None = self.cycle
        if last is None or last.response_complete or last.more_body:
            return False
        last.keep_alive = False
        return True

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: any stranger can ask for another protocol, and is answered in this one."""

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head that has not come whole, as far as they are surely its own; past the bound the connection ends."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._endpoint_id is not None and not self.transport.is_closing():  # its body has not come whole
            self._the_usual_way()
        if not self._in_head:
            self._head_bytes = self._before_it = 0
        elif not self.transport.is_closing():
            if self._head_bytes - self._before_it > MOST_HEAD:
                self._end(HeadTooLarge(TOO_LARGE))
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_S, self._late)

    def on_message_begin(self) -> None:
        """Begin a request's head."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header as uvicorn does, whose call would cost more than this: but for blanks behind its value, which are no part of it (RFC 9110, 5.5)."""
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """End a request's head; most come whole, in one piece, and have cost nothing here."""
        self._in_head = False
        if self._head_timer is not None:
            self._stop_timer()
        if self._head_bytes > MOST_HEAD and self._size_of_head() > MOST_HEAD:
            raise HeadTooLarge(TOO_LARGE)  # the parser ends, and `send_400_response` hears of it
        if [name for name, _ in self.headers].count(b"host") != 1 and self.parser.get_http_version() == "1.1":
            raise ValueError(framing.NO_HOST)  # the parser ends, as for all that is no HTTP
        self._endpoint_id = self._webhook()
        if self._endpoint_id is None:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        if self._endpoint_id is None:
            super().on_body(body)
        else:
            self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """End a request: a webhook that came whole is taken at once."""
        self._before_it = self._head_bytes
        if self._endpoint_id is None:
            super().on_message_complete()
        elif self._intake.takes_whole(len(self._body)):
            self._take(self._endpoint_id)
        else:
            self._the_usual_way()
            super().on_message_complete()

    def _size_of_head(self) -> int:
        """Return the bytes of a head that is complete, without blanks around its values."""
        line = len(self.parser.get_method()) + len(self.url) + len("  HTTP/1.1\r\n\r\n")
        return line + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def _webhook(self) -> str | None:
        """Return whose webhook begins, if it may go the short way: nothing is under way on the connection, and it asks for nothing special."""
        cycle: RequestResponseCycle | None = self.cycle
        busy = (cycle is not None and not cycle.response_complete) or self.flow.write_paused
        if busy or self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1" or b"%" in self.url or b"#" in self.url:
            return None
        if not ASKING.isdisjoint(name for name, _ in self.headers):
            return None
        raw_path, _, query = self.url.partition(b"?")
        path = raw_path.decode("latin-1")
        endpoint_id = hot_endpoint(path)
        if endpoint_id is not None:
            cast("Scope", self.scope).update(method="POST", path=path, raw_path=raw_path, query_string=query)
        return endpoint_id

    def _take(self, endpoint_id: str) -> None:
        body, self._body, self._endpoint_id = self._body, b"", None
        exchange = Exchange(self, self.parser.should_keep_alive())
        self.cycle = self._at_work = cast("RequestResponseCycle", exchange)
        try:
            self._intake.take(endpoint_id, cast("Scope", self.scope), body, exchange.answer)
        except Exception:  # whatever it is, it is ours, and concerns this request alone
            LOG.exception("A webhook could not be taken.")
            exchange.answer(of_error(OurError("The ingress failed on this request; its log says where.")))

    def _the_usual_way(self) -> None:
        """Hand what has been read of a webhook to uvicorn, as if it had had it from the start."""
        body, self._body, self._endpoint_id = self._body, b"", None
        super().on_headers_complete()
        if body:
            super().on_body(body)

    def write(self, answer: Answer, keep_alive: bool) -> None:  # noqa: FBT001  as uvicorn's own
        """Write a whole answer, and go on to the next request."""
        parts = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n", answer.body) if keep_alive else (b"connection: close\r\n\r\n", answer.body)
        self.transport.write(b"".join(parts))
        if not keep_alive:
            self.transport.close()
        elif self.pipeline:
            self.on_response_complete()  # which begins the next one
        else:
            self.server_state.total_requests += 1
            self._rest()

    def _rest(self) -> None:
        """Wait for a next request; one timer looks after a connection however many come, where uvicorn takes one for each."""
        self._resting_since = self.loop.time()
        if self._rest_timer is None:
            self._rest_timer = self.loop.call_later(self.timeout_keep_alive, self._rested)

    def _rested(self) -> None:
        self._rest_timer = None
        cycle: RequestResponseCycle | None = self.cycle
        if self.transport.is_closing() or self.timeout_keep_alive_task is not None or (cycle is not None and not cycle.response_complete):
            return  # gone, watched by uvicorn, or busy: what comes to rest next sets the timer again
        left = self._resting_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._rest_timer = self.loop.call_later(left, self._rested)
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's sentence; ours is a problem document
        """Say that it was no HTTP, and why, or too much: uvicorn has just caught what the parser says."""
        error = sys.exception()
        within = error and error.__context__
        self._end(within if isinstance(within, HeadTooLarge) else BadRequest(framing.sentence(error)))

    def _late(self) -> None:
        if not self.transport.is_closing():
            self._end(RequestTimeout(f"The head of the request was not complete after {HEAD_S:g} s."))

    def _end(self, error: XyraError) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:  # an answer under way is not to be mixed with another
            answer = problems.of_error(error, {"connection": "close"})
            headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers).encode("latin-1")
            self.transport.write(STATUS_LINE[answer.status] + headers + b"\r\n" + answer.body)
            self._in_head, self._endpoint_id = False, None
            self._stop_timer()
            Lingering(self.transport, self.connection_lost)
            return
        if not cycle.more_body:  # what came before was whole, and is answered; nothing behind it is read
            cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
