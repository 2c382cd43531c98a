"""Where rows of CSV text stand, found when somebody asks."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate

from connectors.files.csv_fast import ended
from connectors.files.csv_lines import able, layout
from connectors.files.table import Place
from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import Row, one, rows
from flows.core.files.pieces import PIECE_BYTES
from flows.core.files.rejects import RAW_BYTES
from flows.core.files.units import width


class Chunk:
    """Whole rows of a file, without its header."""

    def __init__(self, data: bytes, start: int, line: int, first: int, records: int, dialect: Dialect, *, alone: bool = False) -> None:
        """Keep them; `first` is the ordinal of the first row, `records` how many the cutter counted; `alone`: it is one that was spread over pieces."""
        self.data = data
        self.start = start
        self.line = line
        self.first = first
        self.records = records
        self.dialect = dialect
        self.alone = alone
        self.plain = not alone and len(data) <= PIECE_BYTES
        """Whether it may be read quickly."""

    def rows(self) -> Iterator[Row]:
        """Yield them as the tokenizer reads them."""
        return (one if self.alone else rows)(self.data, self.dialect, self.start, self.line)

    @cached_property
    def _spots(self) -> "_Spots":
        return _Spots(self)

    def place(self, index: int) -> Place:
        """Return where a row stands, by its index among all rows, the damaged ones too."""
        start, end, lines = self._spots.of(index)
        return Place(self.first + index, self.line + lines, self.start + start, self.data[start : min(end, start + RAW_BYTES)])


class _Spots:
    """Where each row begins and ends, and how many lines end before it."""

    def __init__(self, chunk: Chunk) -> None:
        dialect = chunk.dialect
        self._size = width(dialect.grammar.encoding)
        text = ended(chunk.data, dialect.grammar.encoding)
        found = layout(text, len(text) + 1, dialect, fill=True) if able(dialect) and not chunk.alone else None
        if found is None:
            self._read = [(row.start - chunk.start, row.end - chunk.start, row.line - chunk.line) for row in chunk.rows()]
            return
        self._read = []
        self._ends = found.ends.places
        self._none = [odd.row for odd in found.odd if not odd.is_row]
        self._inner = [place for place, _ in found.inner]
        self._hidden = [0, *accumulate(breaks for _, breaks in found.inner)]

    def of(self, index: int) -> tuple[int, int, int]:
        if self._read:
            return self._read[index]
        line = index + bisect_right(self._none, index)
        start = self._ends[line - 1] if line else 0
        return start * self._size, self._ends[line] * self._size, line + self._hidden[bisect_left(self._inner, start)]


def places(chunks: list[Chunk], ordinals: Sequence[int]) -> Callable[[int], Place]:
    """Return what finds a row of a table that was read from these chunks."""
    firsts = [chunk.first for chunk in chunks]

    def place(index: int) -> Place:
        ordinal = ordinals[index]
        chunk = chunks[bisect_right(firsts, ordinal) - 1]
        return chunk.place(ordinal - chunk.first)

    return place
