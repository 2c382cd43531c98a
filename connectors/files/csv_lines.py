"""Which lines of CSV text are sound rows: told by their number of delimiters, which Polars counts in all lines at once, or as `csv_walk` read them."""

from collections.abc import Iterator
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

import polars as pl

from connectors.files.csv_walk import Walk, Walked, lone, numbers
from flows.core.files.csv_dialect import Dialect, Grammar
from flows.core.files.csv_rows import Row, filled
from flows.core.files.pieces import PIECE_BYTES
from flows.core.files.units import shadow, width

_NL: Final = 10
_CR: Final = 13
_COUNTED: Final = 4 * PIECE_BYTES
_EMPTY: Final = 2
"""Code units of an empty line, with its end, at most."""


class Odd(NamedTuple):
    """A line that is not plainly a sound row."""

    row: int
    """How many rows are before it."""
    start: int
    """In code units, as `end`."""
    end: int
    lines: int
    """How many line ends are before it."""
    is_row: bool
    """Not so: an empty line, or a comment."""
    code: str
    """What is wrong with it; empty: nothing."""
    sound: Row | None
    """A row with fields that Polars would not read right as they stand."""
    fields: int
    """How many it has, where they are what is wrong with it."""


class Layout(NamedTuple):
    """Where the rows of some text are."""

    rows: int
    odd: list[Odd]
    """In the text's order."""
    ends: "Ends"
    inner: list[tuple[int, int]]
    """How many line ends are within a row, and where."""
    seen: bytes
    """The text as code units, in which each line end ends a row or an odd line."""


def able(dialect: Dialect) -> bool:
    """Tell whether Polars knows the signs of a dialect; escapes only where rows that have one are written anew."""
    grammar = dialect.grammar
    known = len(grammar.delimiter) == 1 and (grammar.delimiter + grammar.quote).isascii() and grammar.delimiter != b"\0"
    return known and (not grammar.escape or bool(grammar.quote)) and dialect.quote not in dialect.comment[:-1]


def outside(data: bytes, columns: int, dialect: Dialect, *, fill: bool) -> bytes | None:
    """Return what is outside quotes in text that has a line end behind it, where all may be plainly sound rows; None: look closer.

    With what comes back the numbers of fields have still to be compared. Much the cheapest for text that is sound.
    """
    grammar = dialect.grammar
    if width(grammar.encoding) > 1 or fill or columns == 1 or min(dialect.look_ahead, dialect.longest_row) < PIECE_BYTES:
        return None
    if any(sign in data for sign in (b"\0", grammar.escape, grammar.comment) if sign) or (b"\r" in data and lone(data)):
        return None
    if not grammar.quote or grammar.quote not in data:
        return data
    parts = data.split(grammar.quote)
    between = list(filter(None, parts[2:-1:2]))
    begin, end = {part[0] for part in between}, {part[-1] for part in between}
    signs = {grammar.delimiter[0], _NL}
    sound = len(parts) % 2 and begin <= {*signs, _CR} and end <= signs and parts[-1][0] in {*signs, _CR} and (not parts[0] or parts[0][-1] in signs)
    return b"".join(parts[::2]) if sound else None


def _widths(held: pl.Series, grammar: Grammar) -> pl.Series:
    """Return how many fields each line has."""
    signs = held.filter((held == grammar.delimiter[0]) | (held == _NL))
    ended = (signs == _NL).arg_true().cast(pl.Int64)
    return ended.diff().fill_null(int(ended[0]) + 1) if len(ended) else ended


def layout(data: bytes, columns: int, dialect: Dialect, *, fill: bool) -> Layout | None:
    """Return where the rows are of text that is empty or ends in a line end; None: the tokenizer has to say it."""
    grammar = dialect.grammar
    size = width(grammar.encoding)
    if len(data) % size:
        return None
    units = shadow(data, grammar.encoding)
    walk = Walk(data, units, grammar)
    seen = bytes(walk.seen)
    held = numbers(seen)
    ends, widths = Ends(held), _widths(held, grammar)
    if not len(widths):
        return Layout(0, [], ends, [], seen)
    odd = widths > columns if fill else widths != columns
    if fill or columns == 1:
        odd |= (widths == 1) & (ends.lengths <= _EMPTY)
    flagged = odd.arg_true().to_list()
    shortest = min(grammar.look_ahead, dialect.longest_row // size - 4)
    if (flagged or walk.odd or shortest < PIECE_BYTES // size) and ends.lengths.max() >= shortest:  # type: ignore[operator]  # lengths are numbers
        return None
    found = list(_judged(walk, _Lines(data, size, ends, widths), flagged, columns, dialect, fill=fill)) if flagged or walk.odd else []
    return Layout(len(widths) - sum(not one.is_row for one in found), found, ends, walk.inner, seen)


@lru_cache(maxsize=1)
def _counted(number: int) -> pl.Series:
    """Return the numbers from 1: kept, since fresh memory costs more than all the rest."""
    return pl.int_range(1, number + 1, dtype=pl.UInt32, eager=True)


class Ends:
    """Where lines end, worked out when somebody asks."""

    def __init__(self, held: pl.Series) -> None:
        """Take code units as numbers."""
        self._held = held

    @cached_property
    def places(self) -> pl.Series:
        """Behind each line end."""
        return _counted(-len(self._held) // _COUNTED * -_COUNTED).head(len(self._held)).filter(self._held == _NL)

    @cached_property
    def lengths(self) -> pl.Series:
        """Of each line, with its end."""
        return self.places.diff().fill_null(self.places[0])


class _Lines(NamedTuple):
    data: bytes
    size: int
    ends: Ends
    widths: pl.Series
    """Of each line, how many fields it has."""


def _judged(walk: Walk, lines: _Lines, flagged: list[int], columns: int, dialect: Dialect, *, fill: bool) -> Iterator[Odd]:
    """Yield the lines that were flagged, and those that were walked over, in the text's order."""
    ends = lines.ends.places
    starts = pl.Series([one.start for one in walk.odd], dtype=pl.UInt32)
    walked = dict(zip(ends.search_sorted(starts, side="right").to_list(), walk.odd, strict=True)) if walk.odd else {}
    numbers = pl.Series(sorted({*flagged, *walked}), dtype=pl.UInt32)
    begins = ends.shift(1, fill_value=0).gather(numbers).to_list()
    hidden = none = 0
    inner = iter([*walk.inner, (len(lines.data), 0)])
    at, breaks = next(inner)
    for number, start, end, fields in zip(numbers.to_list(), begins, ends.gather(numbers).to_list(), lines.widths.gather(numbers).to_list(), strict=True):
        while at < start:
            hidden += breaks
            at, breaks = next(inner)
        one = walked.get(number)
        is_row, code, sound, wide = one.step.row if one else end - start > _EMPTY or not _blank(walk.seen, start, end), "", None, fields
        if one and is_row:
            code, sound, wide = _read(one, lines, columns, dialect, fill=fill)
        elif is_row and (fields == columns or (fill and fields < columns)):
            continue
        elif is_row:
            code = "too_many_columns" if fields > columns else "too_few_columns"
        yield Odd(number - none, start, end, number + hidden, is_row, code, sound, wide)
        none += not is_row


def _blank(seen: bytearray, start: int, end: int) -> bool:
    return bytes(seen[start:end]) in (b"\n", b"\r\n")


def _read(one: Walked, lines: _Lines, columns: int, dialect: Dialect, *, fill: bool) -> tuple[str, Row | None, int]:
    """Return what is wrong with a row, or the row, and how many fields it has."""
    if one.step.code:
        return one.step.code, None, 0
    found = filled(lines.data, Row(one.start * lines.size, one.end * lines.size, 1, (), (), ""), one.step.fields, dialect)
    code = fault(found, columns, fill=fill)
    return code, None if code else found, len(found.fields)


def fault(row: Row, columns: int, *, fill: bool) -> str:
    """Return what is wrong with a row; empty: nothing."""
    if row.code:
        return row.code
    if any("\0" in text for text in row.fields):
        return "nul_byte"
    if len(row.fields) > columns:
        return "too_many_columns"
    return "too_few_columns" if len(row.fields) < columns and not fill else ""
