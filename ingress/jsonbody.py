"""Reading what a control route is asked: a query of the parameters it has, and JSON that is bounded in bytes, depth and time, before anything is made of it."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final

import orjson
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from flows.core.errors import BadRequest, FieldError, InvalidFields, TooLarge, UnsupportedMedia
from flows.core.foreign import misread
from ingress.body import RequestTimeout
from ingress.problems import MOST_ERRORS

MOST_BYTES: Final = 1024 * 1024
MOST_DEPTH: Final = 64
TIMEOUT_S: Final = 15.0


def read_json(raw: bytes) -> Any:
    """Read one JSON document (RFC 8259) as I-JSON has it: UTF-8, no key twice, no lone surrogate, no infinite number.

    Raises:
        BadRequest: it is none; the text says where.

    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The body {misread(error)[1]}.") from error
    _check_depth(document)
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except ValueError as error:  # a key twice, or a whole number of thousands of digits
        raise BadRequest(f"The body is not JSON that everybody reads alike: {error}.") from error
    return document


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MOST_DEPTH):
        level = [child for value in level for child in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())]
        if not level:
            return
    raise BadRequest(f"The body nests deeper than {MOST_DEPTH} levels.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:64]!r} stands there twice")
    return found


def check_query(given: Iterable[str], known: tuple[str, ...]) -> None:
    """Judge the names of a query's parameters: one that is not known, or stands there twice, is a mistake, and would be answered as if it had not been made.

    Raises:
        InvalidFields: there are others than those that are known, or one is given twice; each is named.

    """
    counted = Counter(given)
    unknown = [name[:64] for name in counted if name not in known][:MOST_ERRORS]
    if unknown:
        there_are = f"there are {', '.join(known)}" if known else "this route has none"
        wrong = []
        for name in unknown:
            near = get_close_matches(name, known, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            place = name.replace("~", "~0").replace("/", "~1")
            wrong.append(FieldError(f"/query/{place}", "unknown_parameter", f"there is no parameter {name}; {meant}{there_are}"))
        raise InvalidFields("The query has parameters that are not known.", errors=tuple(wrong))
    if twice := [name for name, count in counted.items() if count > 1]:
        more = tuple(FieldError(f"/query/{name}", "given_twice", f"{name} stands there {counted[name]} times; give it once") for name in twice)
        raise InvalidFields("The query has parameters that are given more than once.", errors=more)


def parameters(dependant: Dependant) -> Iterator[str]:
    """Give the names of all that a route takes in its query."""
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from (inner.alias or name for name, inner in kind.model_fields.items())
        else:
            yield field.alias
    for needed in dependant.dependencies:
        yield from parameters(needed)


class StrictRoute(APIRoute):
    """A route that takes the parameters it has and no others, and whose JSON body is read by `read_json`; everything else is FastAPI's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler: by the time it runs, the body has been read and judged, and so has the query."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        known = tuple(parameters(self.dependant))

        async def strict(request: Request) -> Response:
            if takes_body:
                raw = await _read(request)
                request = _Read(request, raw, read_json(raw) if raw else None)
            check_query((name for name, _ in request.query_params.multi_items()), known)
            return await handle(request)

        return strict


class _Read(Request):
    """A request whose body has been read already."""

    def __init__(self, request: Request, raw: bytes, document: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._body = raw
        self._document = document

    async def json(self) -> Any:
        return self._document


async def _read(request: Request) -> bytes:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMedia("This route reads application/json.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("This route reads no packed bodies; leave Content-Encoding out.")
    raw = bytearray()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > MOST_BYTES:
                    raise TooLarge(f"The body is larger than {MOST_BYTES:,} bytes.")
    except TimeoutError as error:
        raise RequestTimeout(f"The body was not complete after {TIMEOUT_S:g} s.") from error
    return bytes(raw)
