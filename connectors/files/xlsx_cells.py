"""Takes rows of a sheet's XML apart: by a pattern learned from the rows themselves, and by a parser where they differ from it."""

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from xml.parsers import expat

from connectors.files.bounds import refusal
from connectors.files.xlsx_book import parser

_PATTERN_COLUMNS: Final = 200
"""Rows of more columns are parsed: a pattern of so many would take longer to compile than it saves."""
_LETTERS: Final = 26


class Column(NamedTuple):
    """One column of some rows."""

    attributes: Sequence[bytes]
    """Of each cell what stands behind its reference (` s="3" t="s"`); empty where there is no cell."""
    values: Sequence[bytes]
    """Of each cell what stands in it, escaped as XML is; empty where there is none."""


class Cells(NamedTuple):
    """Some rows of a sheet, column by column."""

    rows: Sequence[int]
    """Their numbers in the sheet, from 1."""
    columns: dict[int, Column]
    """By their places, from 0; only those with a cell in these rows."""


def letters_of(place: int) -> str:
    """Return what a sheet calls a column: 0 is A."""
    name = ""
    place += 1
    while place:
        place, digit = divmod(place - 1, _LETTERS)
        name = chr(65 + digit) + name
    return name


def place_of(letters: str) -> int:
    """Return the place of a column, from 0."""
    place = 0
    for letter in letters:
        place = place * _LETTERS + ord(letter) - 64
    return place - 1


class Splitter:
    """Takes blocks of whole rows apart, and learns which columns they have."""

    def __init__(self, prefix: bytes, row: int = 0) -> None:
        """Take the prefix of the sheet's tags (`x:`, mostly empty), and the number of the row before."""
        self._prefix = prefix
        self._places: frozenset[int] = frozenset()
        self._row = row
        self._cell = re.compile(rb"<%bc r=\"([A-Z]{1,3})\d" % re.escape(prefix))

    def split(self, block: bytes, where: str) -> Cells:
        """Return the cells of a block that ends behind a row. Raises `Unreadable` where it is no XML."""
        cells = self._by_pattern(block)
        if cells is None:
            cells = _Parsed(self._row).read(block, where)
        self._row = cells.rows[-1] if cells.rows else self._row
        return cells

    def _by_pattern(self, block: bytes) -> Cells | None:
        """Return the cells, or None if there is anything in the block that the pattern does not say."""
        rows = block.count(b"<%brow" % self._prefix)
        for sample in (block[: len(block) // 16], block):
            found = frozenset(place_of(name.decode()) for name in set(self._cell.findall(sample)))
            self._places |= found
            if not self._places or len(self._places) > _PATTERN_COLUMNS:
                return None
            places = tuple(sorted(self._places))
            matches = _pattern(self._prefix, places).findall(block)
            if len(matches) == rows:
                groups = list(zip(*matches, strict=True))
                columns = {place: Column(groups[2 * at + 1], groups[2 * at + 2]) for at, place in enumerate(places)}
                numbers = list(map(int, groups[0]))
                if all(before < after for before, after in zip([self._row, *numbers], numbers, strict=False)):
                    return Cells(numbers, {place: column for place, column in columns.items() if any(column.values) or any(column.attributes)})
                return None
        self._places = frozenset()
        return None


@lru_cache(maxsize=8)
def _pattern(prefix: bytes, places: tuple[int, ...]) -> re.Pattern[bytes]:
    """Return what matches a row with any of these cells, each at most once and in order, and no other markup."""
    cell = (
        rb"(?:<PREc r=\"%b\d++\"([^<>/]*+)(?:/>|>(?:<PREf[^<]*+</PREf>|<PREf[^<>/]*+/>)?"
        rb"(?:(?:<PREv(?: xml:space=\"preserve\")?>|<PREis><PREt(?: xml:space=\"preserve\")?>)([^<]*+)(?:</PREv>|</PREt></PREis>)|<PREv/>)?</PREc>))?+"
    )
    cells = b"".join(cell % letters_of(place).encode() for place in places)
    whole = rb"<PRErow r=\"(\d{1,7})\"[^<>/]*+(?:/>|>" + cells + rb"</PRErow>)"
    return re.compile(whole.replace(b"PRE", re.escape(prefix)))


class _Parsed:
    """Rows by a parser."""

    def __init__(self, row: int) -> None:
        self._row = row
        self._place = -1
        self._rows: list[int] = []
        self._cells: list[dict[int, tuple[bytes, bytes]]] = []
        self._attributes = b""
        self._text: list[str] = []
        self._inside: list[str] = []

    def read(self, block: bytes, where: str) -> Cells:
        reader = parser(where, self._start)
        reader.EndElementHandler = self._end
        reader.CharacterDataHandler = self._data
        try:
            reader.Parse(b"<rows>" + block + b"</rows>", True)
        except expat.ExpatError as error:
            raise refusal("damaged", where=f"{where}, behind row {self._row:,}", what=str(error)) from None
        except ValueError as error:
            raise refusal("damaged", where=f"{where}, behind row {self._row:,}", what=f"a reference is none ({error})") from None
        empty = (b"", b"")
        places = sorted({place for cells in self._cells for place in cells})
        columns = {}
        for place in places:
            pairs = [cells.get(place, empty) for cells in self._cells]
            columns[place] = Column([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        return Cells(self._rows, columns)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        local = tag.rpartition(":")[2]
        self._inside.append(local)
        if local == "row":
            number = int(attributes.get("r", self._row + 1))
            if number <= self._row:
                raise ValueError(f"row {number}")
            self._row, self._place = number, -1
            self._rows.append(number)
            self._cells.append({})
        elif local == "c":
            reference = re.fullmatch(r"([A-Z]{1,3})\d{1,7}", attributes["r"]) if "r" in attributes else None
            if "r" in attributes and reference is None:
                raise ValueError(attributes["r"][:20])
            self._place = place_of(reference[1]) if reference else self._place + 1
            self._attributes = "".join(f' {name}="{attributes[name]}"' for name in ("s", "t") if name in attributes).encode()
            self._text = []

    def _end(self, _: str) -> None:
        if self._inside.pop() == "c" and self._cells:
            self._cells[-1][self._place] = (self._attributes, html.escape("".join(self._text), quote=False).encode())

    def _data(self, text: str) -> None:
        if self._inside[-1] in {"v", "t"} and "rPh" not in self._inside:
            self._text.append(text)
