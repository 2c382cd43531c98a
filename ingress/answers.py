"""Answers of plain ASGI: what the hot path says, and everything that is said before FastAPI is reached."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

from flows.core.errors import XyraError
from ingress.problems import Problem
from ingress.problems import of_error as problem_of
from ingress.verification import ChallengeAnswer

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]


def accepted(event_id: str, status: int) -> Answer:
    """Say that a webhook is on the log; `status` is what its sender takes for success."""
    body = b'{"event_id":"%s","status":"accepted"}' % event_id.encode()
    return Answer(status, body, [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))])


def of_challenge(asked: ChallengeAnswer) -> Answer:
    """Answer a sender's question; what it holds was chosen by whoever asked, so no browser may guess at its type."""
    headers = [(b"content-type", asked.content_type.encode()), (b"content-length", b"%d" % len(asked.body)), (b"x-content-type-options", b"nosniff")]
    return Answer(asked.status, asked.body, headers)


def of_error(error: XyraError, *, headers: Mapping[str, str] | None = None, close: bool = False) -> Answer:
    """Answer with an error of ours; `close` ends the connection, where the rest of the request cannot be told from a next one."""
    return of_problem(problem_of(error, {**(headers or {}), **({"connection": "close"} if close else {})}))


def of_problem(problem: Problem) -> Answer:
    """Answer with a problem document."""
    return Answer(problem.status, problem.body, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers])


async def respond(answer: Answer, send: Send) -> None:
    """Send an answer."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
