"""Calls of the ingress's control routes by a command, and what its refusals become."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import httpx2

from flows.core.errors import PROBLEM, Conflict, FieldError, Gone, NotFound, Refused, Unavailable

CONNECT_S: Final = 10.0
ANSWER_S: Final = 60.0
PASSING: Final = frozenset({408, 423, 429})
"""With 5xx the statuses after which the same call may go well."""
MOST_TRIES: Final = 8
"""So many calls in a row that bring nothing new, about 45 s, and the ingress is taken for away."""
NOT_THIS_KEY: Final = ": the ingress does not take this admin key. Set INTEGRATION_ADMIN_KEY to its key, or name its stack's data directory with --data-dir."
_SERVER: Final = 500
_UNAUTHORIZED: Final = 401
_KINDS: Final[Mapping[int, type[Refused]]] = {404: NotFound, 409: Conflict, 410: Gone}
_MOST_TEXT: Final = 500


class Ingress(NamedTuple):
    """Where the ingress is, what opens its control routes, and how a shell of the user's writes that."""

    url: str
    key: str
    key_in_shell: str
    remote: bool
    """Its URL was given: proxies of the environment are minded."""

    def client(self) -> httpx2.Client:
        """Return a client, which the caller closes."""
        timeout = httpx2.Timeout(ANSWER_S, connect=CONNECT_S)
        return httpx2.Client(base_url=self.url, headers={"x-api-key": self.key}, timeout=timeout, trust_env=self.remote)

    def curl(self, path: str, *options: str) -> str:
        """Return a command that calls a route."""
        return " ".join(["curl", "-sS", *options, f"'{self.url}{path}'", "-H", f'"X-API-Key: {self.key_in_shell}"'])


def call(http: httpx2.Client, method: str, path: str, **more: Any) -> httpx2.Response:
    """Call a route and return its answer, when that is a success; blocks for a minute after the last byte at most.

    Raises:
        Unavailable: nobody answers, or the answer says that the same call may go well later.
        NotFound: it is answered with 404.
        Conflict: with 409.
        Gone: with 410.
        Refused: any other answer; the text and the fields are its own.

    """
    try:
        return judged(http.request(method, path, **more))
    except httpx2.TransportError as error:
        raise broken(http, error) from error


def broken(http: httpx2.Client, error: httpx2.TransportError) -> Unavailable:
    """Return what is raised for a connection that was not made, or broke."""
    return Unavailable(f"The ingress at {http.base_url} does not answer ({str(error) or type(error).__name__}). `xyra status` shows whether it runs.")


def judged(answer: httpx2.Response) -> httpx2.Response:
    """Return an answer that is a success; raises as `call` does."""
    if answer.is_success:
        return answer
    detail, errors = _problem(answer)
    text = "\n  ".join([f"{answer.request.method} {answer.request.url.path} was answered with {answer.status_code}{detail}", *_lines(errors)])
    if answer.status_code >= _SERVER or answer.status_code in PASSING:
        raise Unavailable(text)
    raise _KINDS.get(answer.status_code, Refused)(text, errors=errors)


def _problem(answer: httpx2.Response) -> tuple[str, tuple[FieldError, ...]]:
    """Return what a problem document says, of an answer that is none its beginning; where the key is wrong, what to do about it here."""
    if answer.status_code == _UNAUTHORIZED and (not answer.text or answer.headers.get("content-type") == PROBLEM):  # and not a proxy's
        return NOT_THIS_KEY, ()
    try:
        found = answer.json()
        return f": {found['detail']}", tuple(FieldError(error["pointer"], error["code"], error["detail"]) for error in found.get("errors", ()))
    except (ValueError, LookupError, TypeError, AttributeError):
        text = answer.text.strip()
        return f": {text[:_MOST_TEXT]}" if text else ".", ()


def _lines(errors: tuple[FieldError, ...]) -> list[str]:
    return [f"{error.pointer}: {error.detail}" for error in errors]


def wait_s(tries: int) -> float:
    """Return how long to wait before the next try."""
    return float(min(0.25 * 2**tries, 10.0))
