"""Takes rows of a sheet's XML apart: by a pattern learned from the rows themselves, and by a parser where they differ from it."""

import html
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from operator import lt
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


class _Form(NamedTuple):
    """How the cells of a column are written that hold something; None: in several ways."""

    attributes: bytes | None
    opens: bytes | None
    """The tags before the value, without the prefix."""

    @property
    def varies(self) -> bool:
        """Whether a cell has to be asked how it is written."""
        return self.attributes is None or self.opens is None

    def joined(self, other: "_Form") -> "_Form":
        """Return the form of cells of which some are written in this way and some in that."""
        return _Form(*(one if one == another else None for one, another in zip(self, other, strict=True)))


_CLOSES: Final = {
    b"<v>": rb"</PREv>",
    b'<v xml:space="preserve">': rb"</PREv>",
    b"<is><t>": rb"</PREt></PREis>",
    b'<is><t xml:space="preserve">': rb"</PREt></PREis>",
}
"""What ends a value, by what begins it."""
_ATTRIBUTES: Final = rb"((?: \w++=\"[^\"<>&]*+\")*+)"
_Forms = tuple[tuple[int, _Form | None], ...]
"""By place; None: its cells hold nothing."""


class Splitter:
    """Takes blocks of whole rows apart, and learns which columns they have and how their cells are written."""

    def __init__(self, prefix: bytes, row: int = 0) -> None:
        """Take the prefix of the sheet's tags (`x:`, mostly empty), and the number of the row before."""
        self._prefix = prefix
        self._forms: dict[int, _Form | None] = {}
        self._row = row
        self._cell = re.compile(rb"<%bc r=\"([A-Z]{1,3})\d++\"%b(?:/>|>((?:<[^<>/][^<>]*+>)*+))" % (re.escape(prefix), _ATTRIBUTES))

    def split(self, block: bytes, where: str) -> Cells:
        """Return the cells of a block that ends behind a row. Raises `Unreadable` where it is no XML."""
        cells = self._by_pattern(block)
        if cells is None:
            self._forms = {}
            cells = _Parsed(self._row).read(block, where)
        self._row = cells.rows[-1] if cells.rows else self._row
        return cells

    def _by_pattern(self, block: bytes) -> Cells | None:
        """Return the cells, or None if there is anything in the block that the pattern does not say."""
        rows = block.count(b"<%brow" % self._prefix)
        for sample in (b"", block[: len(block) // 16], block):
            before = self._forms
            self._forms = before | self._learned(sample)
            if not self._forms or (sample and self._forms == before):
                continue
            if len(self._forms) > _PATTERN_COLUMNS:
                break
            forms = tuple(sorted(self._forms.items()))
            matches = _pattern(self._prefix, forms).findall(block)
            if len(matches) == rows:
                return self._taken(block, forms, list(zip(*matches, strict=True)))
        return None

    def _learned(self, sample: bytes) -> dict[int, _Form | None]:
        """Return the forms of the columns of a sample, as they are together with those before."""
        found: dict[int, _Form | None] = {}
        for letters, attributes, tags in set(self._cell.findall(sample)):
            place = place_of(letters.decode())
            known = found.get(place) or self._forms.get(place)
            opens = tags.replace(b"<" + self._prefix, b"<")
            form = _Form(attributes, opens if opens in _CLOSES else None) if tags else known
            found[place] = form.joined(known) if form and known else form
        return found

    def _taken(self, block: bytes, forms: _Forms, groups: list[tuple[bytes, ...]]) -> Cells | None:
        """Return what the groups of the pattern say; None where rows are not in order."""
        numbers = list(map(int, groups[0]))
        if self._row >= numbers[0] or not all(map(lt, numbers, islice(numbers, 1, None))):
            return None
        columns: dict[int, Column] = {}
        nothing = [b""] * len(numbers)
        rest = iter(groups[1:])
        for place, form in forms:
            attributes: Sequence[bytes] = nothing
            if form is not None:
                attributes = next(rest) if form.varies else [form.attributes or b""] * len(numbers)
            column = Column(attributes, nothing if form is None else next(rest))
            if any(column.values) or re.search(rb"<%bc r=\"%b\d" % (re.escape(self._prefix), letters_of(place).encode()), block):
                columns[place] = column
        return Cells(numbers, columns)


@lru_cache(maxsize=8)
def _pattern(prefix: bytes, forms: _Forms) -> re.Pattern[bytes]:
    """Return what matches a row with any of these cells, each at most once and in order, and no other markup.

    Where all cells of a column are written alike, only the value is a group of its own: fewer groups are quicker, and so is text that is known.
    """
    cells = b"".join(rb"(?:<PREc r=\"%b\d++\"(?:%b))?+" % (letters_of(place).encode(), _cell(form)) for place, form in forms)
    whole = rb"<PRErow r=\"(\d{1,7})\"[^<>/]*+(?:/>|>" + cells + rb"</PRErow>)"
    return re.compile(whole.replace(b"PRE", re.escape(prefix)))


def _cell(form: _Form | None) -> bytes:
    """Return the pattern of a cell behind its reference."""
    nothing = rb"[^<>/]*+(?:/>|></PREc>)"
    if form is None:
        return nothing
    if form.varies:
        return (
            _ATTRIBUTES + rb"(?:/>|>(?:<PREf[^<]*+</PREf>|<PREf[^<>/]*+/>)?"
            rb"(?:(?:<PREv(?: xml:space=\"preserve\")?>|<PREis><PREt(?: xml:space=\"preserve\")?>)([^<]*+)(?:</PREv>|</PREt></PREis>)|<PREv/>)?</PREc>)"
        )
    attributes, opens = form.attributes or b"", form.opens or b""
    return re.escape(attributes) + b">" + opens.replace(b"<", b"<PRE") + rb"([^<]*+)" + _CLOSES[opens] + rb"</PREc>|" + nothing


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
