"""Where rows of CSV text stand, found when somebody asks: by counting quotes, or where they are not as they should be, by the tokenizer."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from connectors.files.csv_fast import odd_places, outside_quotes
from connectors.files.table import Place
from flows.core.files.csv_rows import LINE_END, Dialect
from flows.core.files.rejects import RAW_BYTES
from flows.core.files.units import shadow, width


class Chunk:
    """Whole rows of a file, without its header."""

    def __init__(self, data: bytes, start: int, line: int, first: int, records: int, dialect: Dialect) -> None:
        """Keep them; `first` is the ordinal of the first row, `records` how many the cutter counted."""
        self.data = data
        self.start = start
        self.line = line
        self.first = first
        self.records = records
        self.dialect = dialect
        self._spots: list[_Spot] = []

    def place(self, index: int, columns: int) -> Place:
        """Return where a row stands, by its index among all rows, the damaged ones too."""
        if not self._spots:
            self._spots = list(_spots(self.data, columns, self.dialect))
        start, end, lines = self._spots[index]
        return Place(self.first + index, self.line + lines, self.start + start, self.data[start : min(end, start + RAW_BYTES)])


class _Spot(NamedTuple):
    """Where a row begins and ends, and how many lines end before it."""

    start: int
    end: int
    lines: int


def _spots(data: bytes, columns: int, dialect: Dialect) -> Iterator[_Spot]:
    """Yield the place of every row."""
    grammar = dialect.grammar
    size = width(grammar.encoding)
    units = shadow(data, grammar.encoding)
    outside = outside_quotes(units if units.endswith(b"\n") else units + b"\n", grammar.delimiter, grammar.quote)
    comments = grammar.comment and (units.startswith(grammar.comment) or b"\n" + grammar.comment in units)
    limited = min(dialect.longest_field, dialect.longest_row) < len(data)
    if limited or outside is None or units.count(b"\r") != units.count(b"\r\n") or comments or (grammar.escape and grammar.escape in units):
        yield from _found(data, columns, dialect)
        return
    at = inside = 0
    begun = None
    for lines, text in enumerate(units.split(b"\n")):
        start, at = at, min(at + len(text) + 1, len(units))
        if begun is None and text not in (b"", b"\r"):
            begun = _Spot(start * size, 0, lines)
            inside = 0
        if begun is not None:
            inside ^= text.count(grammar.quote) & 1 if grammar.quote else 0
            if not inside:
                yield begun._replace(end=min(at * size, len(data)))
                begun = None


def _found(data: bytes, columns: int, dialect: Dialect) -> Iterator[_Spot]:
    """Yield the same where quotes are not all as they should be."""
    size = width(dialect.grammar.encoding)
    units = shadow(data, dialect.grammar.encoding)
    at = lines = 0
    for odd in odd_places(data, columns, dialect):
        while at < odd.start:
            end = units.find(b"\n", at // size) + 1 or len(units)
            yield _Spot(at, min(end * size, len(data)), lines)
            at, lines = end * size, lines + 1
        if odd.is_row:
            yield _Spot(odd.start, min(odd.end, len(data)), odd.lines)
        at, lines = odd.end, odd.lines + len(LINE_END.findall(units, odd.start // size, odd.end // size))


def places(chunks: list[Chunk], ordinals: Sequence[int], columns: int) -> Callable[[int], Place]:
    """Return what finds a row of a table that was read from these chunks."""
    firsts = [chunk.first for chunk in chunks]

    def place(index: int) -> Place:
        ordinal = ordinals[index]
        chunk = chunks[bisect_right(firsts, ordinal) - 1]
        return chunk.place(ordinal - chunk.first, columns)

    return place
