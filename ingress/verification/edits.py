"""Signed requests, changed at one place: what a conformance vector does to a request that was right."""

from urllib.parse import quote_plus, urlencode, urlsplit

import orjson

from flows.core.verification import Location
from ingress.verification.message import Request
from ingress.verification.reading import Incoming, Place, pairs, pointer_steps, url_bytes, walk


def value_at(request: Request, location: Location) -> bytes:
    """Return what stands at a place of a request that was made here: the first value there, or nothing."""
    values = Place.of(location).values(Incoming(request))
    return values[0] if values else b""


def replaced(request: Request, location: Location, old: bytes, new: bytes) -> Request:
    """Put `new` where `old` stands, in the part of the request that the location names; signatures are left as they are."""
    if location.header is not None:
        name = location.header.lower().encode()
        return request._replace(headers=tuple((key, value.replace(old, new) if key == name else value) for key, value in request.headers))
    if location.query is not None:
        return request._replace(url=request.url.replace(quote_plus(old), quote_plus(new)))
    if location.form is not None:
        old, new = quote_plus(old).encode(), quote_plus(new).encode()
    return request._replace(body=request.body.replace(old, new))


def removed(request: Request, location: Location) -> Request:
    """Take a value away altogether: the header's line or its element, the body's member, the URL's parameter."""
    if location.header is not None:
        return _without_header(request, location)
    if location.query is not None:
        kept = [pair for pair in pairs(urlsplit(url_bytes(request.url)).query) if pair[0] != location.query.encode()]
        base = request.url.partition("?")[0]
        return request._replace(url=f"{base}?{urlencode(kept)}" if kept else base)
    if location.form is not None:
        kept = [pair for pair in pairs(request.body) if pair[0] != location.form.encode()]
        return request._replace(body=urlencode(kept).encode())
    document, steps = orjson.loads(request.body), pointer_steps(location.path or "")
    holder = walk(document, steps[:-1])
    if isinstance(holder, dict):
        holder.pop(steps[-1], None)
    return request._replace(body=orjson.dumps(document))


def _without_header(request: Request, location: Location) -> Request:
    name, separator = (location.header or "").lower().encode(), (location.separator or "").encode()
    if location.element is None or not separator:
        return request._replace(headers=tuple(pair for pair in request.headers if pair[0] != name))
    element = f"{location.element}{location.assign}".encode()

    def kept(line: bytes) -> bytes:
        return separator.join(piece for piece in line.split(separator) if not piece.startswith(element))

    return request._replace(headers=tuple((key, kept(value) if key == name else value) for key, value in request.headers))


def flipped(raw: bytes) -> bytes:
    """Change the lowest bit of the last letter or digit; of text it leaves text."""
    place = max((n for n, byte in enumerate(raw) if chr(byte).isascii() and chr(byte).isalnum()), default=len(raw) - 1)
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
