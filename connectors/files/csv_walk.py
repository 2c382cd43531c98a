"""Goes over CSV text from one sign to the next that could make a line something else than a plain row: quotes, and what Polars and the tokenizer see otherwise.

Runs of quoted fields that are sound are matched at once, and what is in them is hidden; each row with anything else is read by the tokenizer. Behind this, a
line end that is still seen ends a row, a delimiter that is seen ends a field, and whatever was not read here is valid.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import polars as pl

from flows.core.files.csv_dialect import Grammar
from flows.core.files.csv_rows import LINE_END, Mode, Step, broken, read
from flows.core.files.units import width

_NL: Final = 10
_CR: Final = 13
_WINDOW: Final = 16 * 1024
"""So much is decoded at once where some of it is not valid: an error holds a copy."""


class Walked(NamedTuple):
    """A row that the tokenizer read, or an empty line or a comment; places are code units."""

    start: int
    end: int
    step: Step


class Walk:
    """What is left of text, and what was read of it. Done when it is made."""

    def __init__(self, data: bytes, units: bytes, grammar: Grammar) -> None:
        """Take text, as bytes and as code units, that ends in a line end."""
        self.seen = bytearray(units)
        """The text, with something harmless in quotes; a row that was read is one line."""
        self.odd: list[Walked] = []
        """In the text's order."""
        self.inner: list[tuple[int, int]] = []
        """How many line ends are hidden there; in the text's order."""
        self._data, self._units, self._grammar, self._width = data, units, grammar, width(grammar.encoding)
        quote, ends = re.escape(grammar.quote), re.escape(grammar.delimiter)
        field = quote + b"(?:[^" + quote + b"]++|" + quote * 2 + b")*+" + quote + b"(?=[" + ends + rb"\r\n])"
        self._fields = re.compile(field + b"(?:[^" + quote + b"]{0,64}+(?<=[" + ends + rb"\n])(" + field + b"))*+" if quote else b"(?!)")
        self._hidden = bytes.maketrans(grammar.delimiter + b"\r\n", b"x" * (len(grammar.delimiter) + 2))
        self._spots = _Spots(list(_finds(data, units, grammar)), len(units))
        self._go()

    def _go(self) -> None:
        units, seen, quote, fields = self._units, self.seen, self._grammar.quote, self._fields.match
        at, end, before = 0, len(units), (_NL, self._grammar.delimiter[0])
        strange = self._spots.behind(0)
        while at < end:
            quoted = units.find(quote, at) if quote else -1
            if strange < at:
                strange = self._spots.behind(at)
            if strange < end and not 0 <= quoted < strange:
                at = self._strange(strange)
                continue
            if quoted < 0:
                return
            opens = quoted == 0 or seen[quoted - 1] in before
            found = fields(units, quoted, strange) if opens else None
            if found:
                at = found.end()
                self._hide(quoted, at, alone=found.lastindex is None)
            else:
                at = self._row(self._begin(quoted), broken(units, quoted, self._grammar) if opens else None)

    def _strange(self, at: int) -> int:
        """Go over a row with a byte that is no text, a lone CR, an escape, a comment."""
        start, grammar = self._begin(at), self._grammar
        end = self._units.find(b"\n", at) + 1
        line = self._units[start:end]
        signs = [sign for sign in (grammar.quote, grammar.escape) if sign]
        if any(sign in line for sign in signs) or line.find(b"\r", 0, -2) >= 0 or (grammar.comment and line.startswith(grammar.comment)):
            return self._row(start, None)
        code = "" if _valid(self._data[start * self._width : end * self._width], grammar.encoding) else "invalid_encoding"
        code = code or ("nul_byte" if b"\0" in line else "")
        return self._row(start, Step(end, Mode.ROW, code) if code else None)

    def _begin(self, at: int) -> int:
        return self.seen.rfind(b"\n", 0, at) + 1

    def _row(self, start: int, step: Step | None) -> int:
        step = step or read(self._units, start, Mode.ROW, self._grammar, final=True)
        self.odd.append(Walked(start, step.at, step))
        self.seen[start : step.at] = b"x" * (step.at - start - 1) + b"\n"
        breaks = len(LINE_END.findall(self._units, start, step.at)) - 1
        while self.inner and self.inner[-1][0] >= start:  # of fields before the one that is damaged
            self.inner.pop()
        if breaks:
            self.inner.append((start, breaks))
        return step.at

    def _hide(self, start: int, end: int, *, alone: bool) -> None:
        text = self._units[start:end]
        hidden = text.translate(self._hidden)
        if hidden == text:
            return
        if alone:
            self.seen[start:end] = hidden
            if b"\n" in text:
                self.inner.append((start, text.count(b"\n")))
            return
        quote = self._grammar.quote
        parts = text.split(quote)
        if b"\n" in text:
            at = start
            for index, part in enumerate(parts):
                if index % 2 and b"\n" in part:
                    self.inner.append((at, part.count(b"\n")))
                at += len(part) + 1
        parts[1::2] = hidden.split(quote)[1::2]
        self.seen[start:end] = quote.join(parts)


class _Spots:
    """Where the next of several signs is, for places that only rise."""

    def __init__(self, finds: list[Callable[[int], int]], end: int) -> None:
        self._finds, self._end = finds, end
        self._next = [-1] * len(finds)
        self._least = -1 if finds else end

    def behind(self, at: int) -> int:
        if self._least < at:
            for index, find in enumerate(self._finds):
                if self._next[index] < at:
                    found = find(at)
                    self._next[index] = found if found >= 0 else self._end
            self._least = min(self._next, default=self._end)
        return self._least


def _finds(data: bytes, units: bytes, grammar: Grammar) -> Iterator[Callable[[int], int]]:
    for sign in filter(None, (b"\0", grammar.escape)):
        if sign in units:
            yield lambda at, sign=sign: units.find(sign, at)  # type: ignore[misc]  # it is told apart by its default
    if grammar.comment and grammar.comment in units:
        comment = re.compile(rb"(?:^|(?<=\r))" + re.escape(grammar.comment), re.MULTILINE)
        yield lambda at: found.start() if (found := comment.search(units, at)) else -1
    if b"\r" in units:
        yield _listed(lone(units))
    if invalid := list(_invalid(data, units, grammar.encoding)):
        yield _listed(invalid)


def _listed(places: list[int]) -> Callable[[int], int]:
    def find(at: int) -> int:
        index = bisect_left(places, at)
        return places[index] if index < len(places) else -1

    return find


def numbers(units: bytes) -> pl.Series:
    """Return bytes as numbers."""
    return pl.Series([units], dtype=pl.Binary).cast(pl.List(pl.UInt8)).explode()


def lone(units: bytes) -> list[int]:
    """Return where a CR stands that no LF follows."""
    held = numbers(units)
    return ((held == _CR) & (held.shift(-1, fill_value=_NL) != _NL)).arg_true().to_list()


def _invalid(data: bytes, units: bytes, encoding: str) -> Iterator[int]:
    """Yield a place in each line that is no text."""
    if _valid(data, encoding):
        return
    at, size = 0, width(encoding)
    while at < len(units):
        end = units.find(b"\n", at + _WINDOW) + 1 or len(units)
        try:
            data[at * size : end * size].decode(encoding)
        except UnicodeDecodeError as exc:
            at += exc.start // size
            yield at
            end = units.find(b"\n", at) + 1 or len(units)
        at = end


def _valid(data: bytes, encoding: str) -> bool:
    """Tell whether bytes are text; Polars is the faster in that."""
    try:
        if encoding != "utf-8" or len(data) < _WINDOW:
            data.decode(encoding)
        elif not data.isascii():
            pl.Series([data], dtype=pl.Binary).cast(pl.String)
    except (UnicodeDecodeError, pl.exceptions.ComputeError):
        return False
    return True
