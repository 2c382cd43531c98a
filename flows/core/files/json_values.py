"""Where a value of a JSON file ends, by its brackets and strings alone: linear, without recursion, and going on in the middle of one.

It does not judge a value, a parser does; it tells values apart. What makes this impossible is damage: brackets that do not match, a string with a line end
or with something other than a comma, colon or bracket next to it, an object or array where a key has to stand.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, Self

_TOKEN: Final = re.compile(rb"[ \t\r\n]*+([^ \t\r\n\"\[\]{},:]++|[\"\[\]{},:])")
_TEXT: Final = re.compile(rb"(?:[^\"\\\x00-\x1f]++|\\[^\x00-\x1f])*+")
_CLOSES: Final = {b"}": "{", b"]": "["}
_KNOWN: Final = 1_024
"""Levels whose kind is remembered; parsers refuse what is deeper, of which only the number of levels is kept."""


class Outcome(Enum):
    """How far a value was read."""

    MORE = "more"
    OVER = "over"
    DAMAGED = "damaged"


@dataclass
class Place:
    """Where in a value one stands."""

    before: str = "begin"
    """What came last: begin, open, value, scalar, string, comma or colon."""
    text: bool = False
    """In a string."""
    stack: list[str] = field(default_factory=list)
    deeper: int = 0

    def dump(self) -> str:
        """Write it down, in some 1 KiB at most."""
        return f"{self.before} {int(self.text)} {self.deeper} {''.join(self.stack)}"

    @classmethod
    def load(cls, text: str) -> Self:
        """Read what `dump` wrote."""
        before, inside, deeper, stack = text.split(" ")
        return cls(before, inside == "1", list(stack), int(deeper))

    def open(self, sign: str) -> bool:
        """Enter an object or array; False: none may stand here."""
        if self.before in ("value", "scalar", "string") or (self.stack and self.stack[-1] == "{" and not self.deeper and self.before != "colon"):
            return False
        if len(self.stack) < _KNOWN:
            self.stack.append(sign)
        else:
            self.deeper += 1
        self.before = "open"
        return True

    def close(self, sign: bytes) -> bool:
        """Leave it; False: it is another that is open."""
        if self.deeper:
            self.deeper -= 1
        elif not self.stack or self.stack.pop() != _CLOSES[sign]:
            return False
        self.before = "value"
        return True


def go(data: bytes, at: int, place: Place, *, final: bool, listed: bool) -> tuple[int, Outcome]:
    """Go on to the end of a value: behind its comma or before the bracket that closes the array where values are `listed`, else right behind it."""
    while True:
        if place.text:
            at = _TEXT.match(data, at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if data[at : at + 1] != b'"':
                over = at == len(data) or (at + 1 == len(data) and data[at:] == b"\\")
                return (len(data), Outcome.OVER) if over and final else (at, Outcome.MORE if over else Outcome.DAMAGED)
            at, place.text, place.before = at + 1, False, "string"
        if not listed and not place.stack and place.before in ("value", "string"):
            return at, Outcome.OVER
        found = _TOKEN.match(data, at)
        if found is None:
            return len(data), Outcome.OVER if final else Outcome.MORE
        token, start, sign = found[1], found.start(1), found[1][:1]
        if not place.stack and listed and sign in b",]":
            return found.end() if sign == b"," else start, Outcome.OVER
        if not place.stack and not listed and place.before == "scalar" and (start > at or sign in b'"[{,:]}'):
            return at, Outcome.OVER
        if not _step(place, token, sign):
            return start, Outcome.DAMAGED
        at = found.end()


def _step(place: Place, token: bytes, sign: bytes) -> bool:
    """Take one token; False: damage."""
    if sign in b"{[":
        return place.open(token.decode())
    if sign in b"}]":
        return place.close(sign)
    if sign in b",:":
        fits = bool(place.stack)
        place.before = "comma" if sign == b"," else "colon"
        return fits
    fits = place.before not in ("value", "string") and not (sign == b'"' and place.before == "scalar")
    place.text, place.before = sign == b'"', "scalar"
    return fits


class Value(NamedTuple):
    """One value of a piece."""

    start: int
    """Where in the file it begins."""
    line: int
    """From 1."""
    raw: bytes
    """Without the comma behind it, and without white space; a parser says whether it is sound."""


def values(piece: bytes, start: int = 0, line: int = 1, *, listed: bool = True) -> Iterator[Value]:
    """Yield each value of a piece that holds more than one record; a piece with one record is that record, whatever is in it."""
    at = len(BOM_UTF8) if start == 0 and piece.startswith(BOM_UTF8) else 0
    while at < len(piece) and piece[at:].strip(b" \t\r\n"):
        end, outcome = go(piece, at, Place(), final=True, listed=listed)
        end = end if outcome is Outcome.OVER and end > at else len(piece)
        raw = piece[at:end].strip(b" \t\r\n")
        skipped = len(piece[at:end]) - len(piece[at:end].lstrip(b" \t\r\n"))
        line += _lines(piece[at : at + skipped])
        yield Value(start + at + skipped, line, raw.removesuffix(b",").rstrip(b" \t\r\n") if listed else raw)
        line += _lines(piece[at + skipped : end])
        at = end


def _lines(data: bytes) -> int:
    """Count line ends."""
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")
