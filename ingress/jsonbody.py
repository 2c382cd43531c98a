"""Reading the JSON of a control route: strict, and bounded in bytes, depth and time, before anything is made of it."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute

from flows.core.errors import BadRequest, TooLarge, UnsupportedMedia
from ingress.body import RequestTimeout

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
        raise BadRequest(f"The body is not JSON: {error}.") from error
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


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `read_json`; everything else is FastAPI's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler: by the time it runs, the body has been read and judged."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            if takes_body:
                raw = await _read(request)
                request = _Read(request, raw, read_json(raw) if raw else None)
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
