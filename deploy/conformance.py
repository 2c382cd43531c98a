"""The conformance kit: sends a preset's vectors to a receiver, whatever it is built with, and judges its answers.

    outcomes = asyncio.run(examine(receiver("https://hooks.example.com/stripe"), preset, key, clock=SystemClock(), timeout_s=10))

A good message must be answered with 2xx and a bad one with 4xx. A redirect is not followed and is a fault, as are 5xx, 429, no answer in
time and no answer at all. What a receiver accepts is a real message to it: point this at an endpoint for tests.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from flows.core.clock import Clock
from flows.core.errors import WrongSetting
from flows.core.verification import Preset
from ingress.verification import Request
from ingress.verification.sender import SenderKey
from ingress.verification.vectors import Vector, vectors

TOTAL_S: Final = 300.0
"""When no more vectors are sent."""
PATIENCE: Final = 3
"""So many vectors without an answer, one after the other, and the rest are not sent."""
MOST_HEAD: Final = 64 * 1024
"""Bytes of an answer's head; its body is not read."""
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: |\r)")
_PORTS: Final = {"http": 80, "https": 443}
_TOO_MANY: Final = 429


class Receiver(NamedTuple):
    """Where a receiver is, and the URL that its sender has on file, where that is another one."""

    scheme: str
    host: str
    port: int
    authority: str
    path: str
    signed_url: str


class Answer(NamedTuple):
    """What came back: a status, or why there is none."""

    status: int | None
    trouble: str = ""


class Outcome(NamedTuple):
    """What a receiver made of one vector."""

    vector: str
    expected: str
    outcome: str
    """`accepted`, `refused`, or what was wrong with the answer, in words."""
    status: int | None
    as_expected: bool
    milliseconds: int
    why: str


def receiver(url: str, public_url: str = "") -> Receiver:
    """Read the URL of a receiver; `public_url` is what a sender signs, where a proxy stands between; raises WrongSetting."""
    found = _parts(url)
    _parts(public_url or url)
    return found._replace(signed_url=public_url or url)


def _parts(url: str) -> Receiver:
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise WrongSetting(f"{url!r} is no URL: {error}.") from error
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme not in _PORTS or not parts.hostname or parts.fragment or parts.username is not None or parts.password is not None:
        raise WrongSetting(f"{url!r} is no URL of a receiver: give http:// or https://, a host and a path, without user, password and fragment.")
    return Receiver(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.netloc, parts.path or "/", url)


async def examine(where: Receiver, preset: Preset, key: SenderKey, *, clock: Clock, second: SenderKey | None = None, timeout_s: float) -> Sequence[Outcome]:
    """Send every vector, one after the other, and judge the answers; ends after TOTAL_S and one answer's time at the latest.

    Raises:
        WrongSetting: the key cannot sign for this preset.

    """
    began, silent, outcomes = clock.monotonic(), 0, []
    for vector in vectors(preset, key, url=where.signed_url, clock=clock, second=second):
        started = clock.monotonic()
        if silent >= PATIENCE or started - began > TOTAL_S:
            answer = Answer(None, "not sent: the receiver gave no answers" if silent >= PATIENCE else f"not sent: more than {TOTAL_S:g} s had gone by")
        else:
            answer = await send(where, vector.request, timeout_s)
            silent = 0 if answer.status is not None else silent + 1
        outcomes.append(judge(vector, answer, round((clock.monotonic() - started) * 1000)))
    return outcomes


def judge(vector: Vector, answer: Answer, milliseconds: int) -> Outcome:
    """Compare an answer with what is expected."""
    outcome = _outcome(answer)
    fine = outcome in ({"accepted", "refused"} if vector.expected == "either" else {vector.expected})
    return Outcome(vector.name, vector.expected, outcome, answer.status, fine, milliseconds, vector.why)


def _outcome(answer: Answer) -> str:
    if answer.status is None:
        return answer.trouble
    if answer.status == _TOO_MANY:
        return "rate limited"
    return {2: "accepted", 3: "redirected", 4: "refused", 5: "server error"}[answer.status // 100]


async def send(where: Receiver, request: Request, timeout_s: float) -> Answer:
    """Send one request on a connection of its own, and wait `timeout_s` for the head of the answer, everything included. Never raises for what comes back."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(where, request)
    except TimeoutError:
        return Answer(None, f"no answer in {timeout_s:g} s")
    except ssl.SSLError as error:
        return Answer(None, f"no TLS: {error.reason or error}")
    except OSError as error:
        return Answer(None, f"not reached: {error.strerror or error}")


async def _exchange(where: Receiver, request: Request) -> Answer:
    context = ssl.create_default_context() if where.scheme == "https" else None
    reader, writer = await asyncio.open_connection(where.host, where.port, ssl=context, limit=MOST_HEAD)
    try:
        writer.write(_head(where, request) + request.body)
        return await _answer(reader)
    except ConnectionError:
        return Answer(None, "connection closed without an answer")
    finally:
        writer.transport.abort()  # the answer's body is of no interest, and a receiver that holds the connection open shall not hold us
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _head(where: Receiver, request: Request) -> bytes:
    query = urlsplit(request.url).query
    lines: list[tuple[bytes, bytes]] = [
        (b"host", where.authority.encode()),
        (b"user-agent", b"xyra-presets-verify"),
        *request.headers,
        (b"content-length", b"%d" % len(request.body)),
        (b"connection", b"close"),
    ]
    target = f"{where.path}?{query}" if query else where.path
    return b"".join([f"{request.method} {target} HTTP/1.1\r\n".encode(), *(name + b": " + value + b"\r\n" for name, value in lines), b"\r\n"])


async def _answer(reader: asyncio.StreamReader) -> Answer:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            return Answer(None, "connection closed in the middle of an answer" if error.partial else "connection closed without an answer")
        except asyncio.LimitOverrunError:
            return Answer(None, f"no HTTP/1.1: more than {MOST_HEAD // 1024} KiB of head")
        status = _STATUS.match(head)
        if status is None:
            return Answer(None, "no HTTP/1.1 answer")
        if not status[1].startswith(b"1"):  # 1xx says that the answer is still to come
            return Answer(int(status[1]))


def report(where: Receiver, preset: Preset, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return a run as JSON has it; no secret is in it."""
    return {
        "preset": preset.preset_id,
        "url": where.signed_url,
        "as_expected": all(outcome.as_expected for outcome in outcomes),
        "faults": sum(not outcome.as_expected for outcome in outcomes),
        "vectors": [outcome._asdict() for outcome in outcomes],
    }
