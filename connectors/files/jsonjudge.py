"""One record of JSON: the definition of which is a row, and why another is none."""

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from connectors.files.codes import Code
from connectors.files.places import Fault, Span
from flows.core.foreign import misread

VALUE: Final = "value"
"""The column of what is no object."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[][{}:,]', re.DOTALL)
_TEXT: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PLAIN: Final = re.compile(rb'[ \t\r\n]*+(\{(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+\})[ \t\r\n]*+,', re.DOTALL)
"""An element without brackets in it, and the comma that ends it: what most are, told from the next without a look at each sign."""
_BLANK: Final = b" \t\r\n"
_CAUSES: Final = (
    ("surrogate", Code.LONE_SURROGATE),
    ("depth", Code.TOO_DEEP),
)
_NO_NUMBER: Final = re.compile(rb"-?(?:NaN|Infinity)\b")


@dataclass(frozen=True)
class JsonOptions:
    """How JSON is read where it leaves a choice."""

    duplicate_keys: str = "last"
    """`last` wins, as nearly everywhere; `reject` turns the row away, and is slow: each row is looked at on its own."""
    not_objects: str = "reject"
    """`value`: a record that is no object is a row with the column `value`."""


def judge(text: bytes, options: JsonOptions) -> dict[str, Any] | Fault:
    """Return the values of a record, or why it is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        return _cause(text, exc)
    if not isinstance(value, dict):
        return {VALUE: value} if options.not_objects == VALUE else Fault(Code.NOT_AN_OBJECT)
    if options.duplicate_keys == "reject" and _keys(text) != len(value):
        return Fault(Code.DUPLICATE_KEY)
    return value


def wrapped(text: bytes) -> bytes:
    """Return a record as an object: itself, or one with the column `value`."""
    return text if text.lstrip(_BLANK).startswith(b"{") else b'{"%b":%b}' % (VALUE.encode(), text)


def elements(data: bytes) -> list[Span]:
    """Return where elements stand, each of which a comma ends, though not the last; those of brackets that nothing closes are the rest."""
    found: list[Span] = []
    at = 0
    while at <= len(data):
        if plain := _PLAIN.match(data, at):
            found.append(Span(*plain.span(1)))
            at = plain.end()
        else:
            span, at = _next(data, at, b",")
            found.append(span)
    return found if found[-1].start < found[-1].end else found[:-1]


def lone(line: bytes) -> Span | None:
    """Return where the one element of a line stands, behind which its comma does; None: that is not certain, whatever else is wrong with it."""
    found = elements(line)
    sure = len(found) == 1 and line[found[0].end :].strip(_BLANK) == b"," and b'"' not in _TEXT.sub(b"", line)
    return found[0] if sure else None


def values(data: bytes) -> list[Span]:
    """Return where values stand that have nothing between them, or blanks; those of brackets that nothing closes are the rest."""
    found: list[Span] = []
    at = 0
    while at <= len(data):
        span, at = _next(data, at, b"}]")
        found.append(span)
    return found if found[-1].start < found[-1].end else found[:-1]


def strip(data: bytes, start: int, end: int) -> Span:
    """Leave out blanks at both ends."""
    text = data[start:end]
    left = len(text) - len(text.lstrip(_BLANK))
    return Span(start + left, max(start + left, start + len(text.rstrip(_BLANK))))


def _next(data: bytes, begin: int, ends: bytes) -> tuple[Span, int]:
    """Return where a value stands, and where to go on: behind all bytes, where it is the rest."""
    depth = 0
    for token in _TOKEN.finditer(data, begin):
        sign = token[0]
        if sign in b"{[":
            depth += 1
        elif sign in b"}]":
            depth -= 1
        if depth == 0 and sign in ends:
            return strip(data, begin, token.start() if sign == b"," else token.end()), token.end()
    return strip(data, begin, len(data)), len(data) + 1


def _keys(text: bytes) -> int:
    """Count the keys of an object that is valid, each as often as it stands there."""
    depth = keys = 0
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if sign in b"{[":
            depth += 1
        elif sign in b"}]":
            depth -= 1
        elif sign == b":" and depth == 1:
            keys += 1
    return keys


def _cause(text: bytes, exc: orjson.JSONDecodeError) -> Fault:
    if (nul := text.find(b"\0")) >= 0:
        return Fault(Code.NUL_BYTE, nul)
    try:
        readable = text.decode()
    except UnicodeDecodeError as bad:
        return Fault(Code.INVALID_UTF8, bad.start)
    at = len(readable[: exc.pos].encode())
    if _NO_NUMBER.match(text, at):
        return Fault(Code.NOT_A_NUMBER, at)
    if misread(exc)[0] == "number_out_of_range":
        return Fault(Code.NUMBER_OUT_OF_RANGE, at)
    return Fault(next((code for word, code in _CAUSES if word in exc.msg), Code.INVALID_JSON), at)
