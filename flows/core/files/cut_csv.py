"""Cuts CSV where `csv_rows` begins a row, and nowhere else; most of it at the speed of counting quotes."""

import re
from typing import Any, Final

from flows.core.files.csv_dialect import Dialect, Grammar
from flows.core.files.csv_rows import Mode, read
from flows.core.files.pieces import PIECE_BYTES
from flows.core.files.shears import START, Run, Shears, Stride

_ROW: Final = re.compile(rb"[^\r\n]++")
_WIDTHS: Final = 2
"""Of so many rows it is remembered how many fields they have: of the header, and of one behind it, which may be another number."""


class CsvCutter(Shears):
    """The byte order mark and the header, which is no record, go with the first rows; comments and empty lines with what is next to them.

    The first sound rows that fit a piece are read by the definition, so that it is known how many fields rows have.
    """

    def __init__(self, dialect: Dialect, saved: bytes | None = None, *, piece_bytes: int = PIECE_BYTES) -> None:
        """Go on from a saved state, or begin; raise `BadRequest` for a dialect that means nothing."""
        self._grammar = dialect.grammar
        self._header = dialect.header
        self._fast = _Fast(self._grammar)
        super().__init__(saved, encoding=self._grammar.encoding, piece_bytes=piece_bytes)

    def more(self) -> Any:
        """Return whether the header is still to come, and how many fields the first rows have."""
        return [self._header, self._grammar.widths]

    def restore(self, more: Any) -> None:
        """Take it back."""
        self._header, widths = more
        self._grammar = self._grammar.like(tuple(widths))

    def committed(self, records: int) -> int:
        """Take the header off the first records."""
        header = self._header and records > 0
        self._header = self._header and not header
        return records - header

    def stride(self, at: int, mode: str, *, final: bool) -> Stride:
        """Go on as the definition says."""
        step = read(self.units, at, Mode(mode or Mode.ROW), self._grammar, final=final)
        if step.fields and not mode and step.at <= self.limit and len(self._grammar.widths) < _WIDTHS:
            self._grammar = self._grammar.like((*self._grammar.widths, len(step.fields)))
        over = step.mode is Mode.ROW or (not mode and step.at == at)
        return Stride(step.at, START if over else step.mode.value, int(step.row))

    def run(self, at: int, end: int, *, final: bool) -> Run:
        """Go over sound rows."""
        grammar, units = self._grammar, self.units
        end = self._line_end(at, end, final=final)
        if end <= at or len(grammar.widths) < _WIDTHS:
            return Run(at, 0)
        quoted = grammar.quote and units.find(grammar.quote, at, end) >= 0
        comments = grammar.comment and units.find(grammar.comment, at, end) >= 0
        if not quoted and not comments:
            return Run(end, _count(units[at:end]))
        if grammar.look_ahead < end - at:
            return Run(at, 0)
        if not comments and self._fast.parity and not (grammar.escape and units.find(grammar.escape, at, end) >= 0):
            stop = self._outside(at, self._fast.clean(units, at, end), final=final)
            if stop > at:
                return Run(stop, _count(grammar.quote.join(units[at:stop].split(grammar.quote)[::2])))
        stop = self._fast.whole(units, at, end)
        return Run(stop, self._fast.count(units, at, stop))

    def _outside(self, at: int, end: int, *, final: bool) -> int:
        """Return the last line end outside quotes, where all quotes before `end` are known to be sound: an even number of them lies between."""
        quote = self._grammar.quote
        while (stop := self._line_end(at, end, final=final)) > at and self.units.count(quote, stop, end) % 2:
            end = self.units.rfind(quote, at, stop)
        return stop

    def _line_end(self, at: int, end: int, *, final: bool) -> int:
        """Return the place behind the last whole line end; `at`, where there is none."""
        units = self.units
        while True:
            lf = units.rfind(b"\n", at, end)
            cr = units.rfind(b"\r", max(at, lf), end)
            if cr < 0:
                return lf + 1 if lf >= 0 else at
            if (cr + 1 < len(units) and units[cr + 1 : cr + 2] != b"\n") or (cr + 1 == len(units) and final):
                return cr + 1
            end = cr


class _Fast:
    """Patterns that match sound rows only, and of those as many as follow one another; possessive throughout, so that time is linear."""

    def __init__(self, grammar: Grammar) -> None:
        quote, escape, delimiter = re.escape(grammar.quote), re.escape(grammar.escape), re.escape(grammar.delimiter)
        self.parity = bool(quote) and len(grammar.delimiter) == 1
        ends, line_end = delimiter + rb"|[\r\n]", rb"(?:\r\n?|\n)"
        plain = rb"[^" + delimiter + escape + rb"\r\n]++" if len(grammar.delimiter) == 1 else rb"(?:(?!" + delimiter + rb")[^" + escape + rb"\r\n])++"
        field = b"(?:" + plain + (b"|" + escape + rb"(?:[^\r\n]|(?=[\r\n]))" if escape else b"") + b")*+"
        inside = b"(?:[^" + quote + escape + b"]++|" + quote * 2 + (b"|" + escape + b"." if escape else b"") + b")*+"
        if quote:
            quoted = quote + inside + quote + b"(?=" + ends + b")"
            field = b"(?:" + quoted + b"|(?!" + quote + b")" + field + b")"
        row = field + b"(?:" + delimiter + field + b")*+(" + line_end + b")"
        comment = re.escape(grammar.comment) + rb"[^\r\n]*+" + line_end + b"|" if grammar.comment else b""
        self._row = re.compile(b"(?:" + comment + line_end + b"|" + row + b")", re.DOTALL)
        self._rows = re.compile(b"(?:" + comment + line_end + b"|" + row.replace(b"(" + line_end + b")", line_end) + b")*+", re.DOTALL)
        if self.parity:
            before = b"(?<=[" + delimiter + rb"\r\n])"
            plain_quoted = quote + b"(?:[^" + quote + b"]++|" + quote * 2 + b")*+" + quote + b"(?=" + ends + b")"
            text = b"[^" + quote + b"]"
            self._clean = re.compile(b"(?:" + plain_quoted + b")?+(?:" + text + b"++" + before + plain_quoted + b")*+" + text + b"*+")

    def clean(self, units: bytes, at: int, end: int) -> int:
        """Return how far from the beginning of a row every quote opens a field, closes one, or is one of two inside."""
        found = self._clean.match(units, at, end)
        return found.end() if found else at

    def whole(self, units: bytes, at: int, end: int) -> int:
        """Return the end of the last of the sound rows, comments and empty lines that follow one another from here."""
        found = self._rows.match(units, at, end)
        return found.end() if found else at

    def count(self, units: bytes, at: int, end: int) -> int:
        """Count the rows among them."""
        found = self._row.findall(units, at, end)
        return len(found) - found.count(b"")


def _count(text: bytes) -> int:
    """Count the lines that are not empty; no quotes are left in which a line end means nothing."""
    returns = text.count(b"\r")
    if returns and returns != text.count(b"\r\n"):
        return len(_ROW.findall(text))
    found = text.split(b"\n")
    return len(found) - found.count(b"") - (found.count(b"\r") if returns else 0)
