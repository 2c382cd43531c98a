"""Problem documents (RFC 9457): every refusal and every failure of the ingress is one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson

from flows.core.errors import PROBLEM, FieldError, XyraError

TYPE_PREFIX: Final = "urn:xyra:problem:"
"""Problem types are names, not pages: a client compares them and nothing has to be reachable."""
MOST_ERRORS: Final = 100


class Problem(NamedTuple):
    """An answer that says what is wrong: status, body, and the headers that go with it."""

    status: int
    body: bytes
    headers: list[tuple[str, str]]


def problem(status: int, code: str, title: str, detail: str, *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None) -> Problem:
    """Write a problem document."""
    document: dict[str, Any] = {"type": TYPE_PREFIX + code, "title": title, "status": status, "detail": detail}
    if errors:
        document["errors"] = [asdict(error) for error in errors[:MOST_ERRORS]]
    body = orjson.dumps(document)
    return Problem(status, body, [("content-type", PROBLEM), ("content-length", str(len(body))), *(headers or {}).items()])


def of_error(error: XyraError, headers: Mapping[str, str] | None = None) -> Problem:
    """Write an error of ours as a problem document; one that the caller cannot mend says when to come back."""
    extra = dict(headers or {})
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE or error.retry_after_s is not None:
        extra["retry-after"] = str(error.retry_after_s or 5)
    if error.status == HTTPStatus.UNAUTHORIZED:
        extra["www-authenticate"] = 'Bearer realm="xyra"'
    return problem(error.status, error.code, error.title, error.detail, errors=error.errors, headers=extra)


def pointer(location: Sequence[str | int], body: object, *, absent: bool = False) -> str:
    """Return the JSON pointer (RFC 6901) of a validation error in `body`.

    A validator's location also names the branches of a union it has tried; those are no part of the body and are left out.
    With `absent`, the last part need not be in the body: that is what a missing field is.
    """
    parts: list[str] = []
    here = body
    for n, part in enumerate(location):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and part in range(len(here)):
            here = here[int(part)]
        elif not (absent and isinstance(here, dict) and n == len(location) - 1):
            continue
        parts.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join("/" + part for part in parts)
