"""Reading values out of a request nobody has vouched for: bounded, strict, and never raising on any bytes but with `Refusal`."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from flows.core.clock import rfc3339
from flows.core.verification import Location
from ingress.verification.message import MAX_ELEMENTS, MAX_FORM_BYTES, MAX_HEADER_BYTES, MAX_PAIRS, MAX_TEXT, Reason, Refusal, Request

Pairs = list[tuple[bytes, bytes]]
ABSENT: Final = object()
_DIGITS: Final = re.compile(rb"[1-9][0-9]{0,15}")
_RFC3339: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,5}")


class Incoming:
    """One request being read: its body and its query are parsed at most once, and only when something asks."""

    __slots__ = ("_form", "_headers", "_json", "_query", "request")

    def __init__(self, request: Request) -> None:
        """Parse nothing yet."""
        self.request = request
        self._headers: dict[bytes, list[bytes]] = {}
        self._json: Any = None
        self._form: Pairs | None = None
        self._query: Pairs | None = None

    def header(self, name: bytes) -> list[bytes]:
        """Return the values of all lines of that name, together MAX_HEADER_BYTES at most."""
        values = self._headers.get(name)
        if values is None:
            values = self._headers[name] = _cut([value for key, value in self.request.headers if key == name])
        return values

    def json(self) -> Any:
        """Return the body parsed as JSON, ABSENT when it is none (orjson refuses nesting over 1024 by itself)."""
        if self._json is None:
            try:
                self._json = (orjson.loads(self.request.document),)
            except orjson.JSONDecodeError:
                self._json = (ABSENT,)
        return self._json[0]

    def form(self) -> Pairs:
        """Return the body's form fields in order; any body can be read so, whatever its content type says."""
        if self._form is None:
            self._form = pairs(self.request.document)
        return self._form

    def query(self) -> Pairs:
        """Return the parameters of the URL's query in order."""
        if self._query is None:
            self._query = pairs(url_bytes(self.request.url).partition(b"#")[0].partition(b"?")[2])
        return self._query


def _cut(values: list[bytes]) -> list[bytes]:
    if sum(map(len, values)) <= MAX_HEADER_BYTES:
        return values
    room, short = MAX_HEADER_BYTES, []
    for value in values:
        short.append(value[:room])
        room -= len(short[-1])
    return short


def url_bytes(url: str) -> bytes:
    """Encode a URL whatever stands in it."""
    return url.encode("utf-8", "surrogatepass")


def pairs(text: bytes) -> Pairs:
    """Read `a=1&b=2`, decoded; raises Refusal when there are more than MAX_PAIRS, or MAX_FORM_BYTES of them."""
    if not text:
        return []
    if len(text) > MAX_FORM_BYTES or text.count(b"&") >= MAX_PAIRS:
        raise Refusal("form_too_long")
    found = []
    for piece in text.split(b"&"):
        name, _, value = piece.replace(b"+", b" ").partition(b"=")
        if piece:
            found.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return found


def walk(document: Any, steps: tuple[str, ...]) -> Any:
    """Follow a JSON pointer's steps; ABSENT when they lead nowhere."""
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step, ABSENT)
        elif isinstance(document, list) and _INDEX.fullmatch(step) and int(step) < len(document):
            document = document[int(step)]
        else:
            return ABSENT
    return document


def pointer_steps(pointer: str) -> tuple[str, ...]:
    """Split a JSON pointer (RFC 6901) into its steps."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def as_bytes(value: Any) -> bytes | None:
    """Return a JSON text or whole number as the bytes it is written with; None for anything else."""
    if isinstance(value, str):
        return value.encode()
    return b"%d" % value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Place:
    """A `Location`, made ready: bytes and steps instead of texts."""

    header: bytes | None
    steps: tuple[str, ...] | None
    query: bytes | None
    form: bytes | None
    separator: bytes | None
    element: bytes | None
    """An element's name with what parts it from its value: `v1=`."""

    @classmethod
    def of(cls, location: Location) -> "Place":
        """Make a location ready."""
        return cls(
            header=None if location.header is None else location.header.lower().encode(),
            steps=None if location.path is None else pointer_steps(location.path),
            query=None if location.query is None else location.query.encode(),
            form=None if location.form is None else location.form.encode(),
            separator=None if location.separator is None else location.separator.encode(),
            element=None if location.element is None else f"{location.element}{location.assign}".encode(),
        )

    def values(self, incoming: Incoming) -> list[bytes]:
        """Return everything that stands at this place, in order; empty when nothing does."""
        if self.header is not None:
            lines = incoming.header(self.header)
            return lines if self.separator is None and self.element is None else self._elements(lines)
        if self.steps is not None:
            value = as_bytes(walk(incoming.json(), self.steps))
            return [] if value is None else [value]
        given, name = (incoming.query(), self.query) if self.query is not None else (incoming.form(), self.form)
        return [value for key, value in given if key == name]

    def _elements(self, lines: list[bytes]) -> list[bytes]:
        name = self.element or b""
        pieces = lines if self.separator is None else [piece for line in lines for piece in line.split(self.separator, MAX_ELEMENTS)[:MAX_ELEMENTS]]
        return [piece[len(name) :] for piece in pieces if piece.startswith(name)]

    def one(self, incoming: Incoming, missing: Reason, malformed: Reason) -> bytes:
        """Return the one value that stands here; none, or more than one that could be meant, is a Refusal."""
        values = self.values(incoming)
        if len(values) != 1:
            raise Refusal(malformed if values else missing)
        return values[0]


def first_text(places: tuple[Place, ...], incoming: Incoming) -> str | None:
    """Return the first readable text at any of the places: not empty, MAX_TEXT bytes at most, UTF-8, printable."""
    for place in places:
        try:
            values = place.values(incoming)
            text = values[0].decode() if values and len(values[0]) <= MAX_TEXT else ""
        except (UnicodeDecodeError, Refusal):
            continue
        if text and text.isprintable():
            return text
    return None


def digits(raw: bytes) -> int | None:
    """Read a whole number written as plain ASCII digits, 16 at most, without sign, space or leading zero; else None."""
    return int(raw) if _DIGITS.fullmatch(raw) else None


def instant_ms(raw: bytes, unit: str) -> int | None:
    """Read a `Timestamp` as milliseconds since the epoch; None when it is not written as its unit wants."""
    if unit == "rfc3339":
        return _rfc3339_ms(raw)
    number = digits(raw)
    return number * 1000 if number is not None and unit == "s" else number


def _rfc3339_ms(raw: bytes) -> int | None:
    if not _RFC3339.fullmatch(raw):
        return None
    try:
        moment = datetime.fromisoformat(raw.decode())
    except ValueError:  # the 30th of February
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def written_instant(now_ms: int, unit: str) -> str:
    """Write milliseconds since the epoch as a sender with that unit does."""
    if unit == "rfc3339":
        return rfc3339(now_ms)
    return str(now_ms if unit == "ms" else now_ms // 1000)


def _unhex(text: bytes) -> bytes:
    return binascii.unhexlify(text)


def _unbase64(text: bytes) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


def _unbase64url(text: bytes) -> bytes:
    return binascii.a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4), strict_mode=True)


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


_FROM_URL: Final = bytes.maketrans(b"-_+/", b"+/--")  # the standard alphabet's own two become something base64 refuses
_CODECS: Final[dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]]] = {
    "hex": (_unhex, binascii.hexlify),
    "hex-upper": (_unhex, lambda raw: binascii.hexlify(raw).upper()),
    "base64": (_unbase64, base64.b64encode),
    "base64url": (_unbase64url, _base64url),
    "text": (bytes, bytes),
}


def encode(raw: bytes, encoding: str) -> bytes:
    """Write bytes in a `Signature.encoding`."""
    return _CODECS[encoding][1](raw)


def decode(text: bytes, encoding: str) -> bytes | None:
    """Read bytes in a `Signature.encoding`; None for every spelling but the one `encode` gives (base64url may be padded)."""
    read, write = _CODECS[encoding]
    try:
        raw = read(text)
    except ValueError:  # binascii.Error is one
        return None
    return raw if write(raw) == (text.rstrip(b"=") if encoding == "base64url" else text) else None
