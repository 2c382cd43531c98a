"""Reads a sheet of an xlsx workbook as a stream; what is no xlsx goes to `old_excel`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import polars as pl

from connectors.files.archive import Archive
from connectors.files.bounds import Limits, refusal
from connectors.files.inflate import Gauge, foresee
from connectors.files.keep import Keeper
from connectors.files.old_excel import old_tables
from connectors.files.table import Place, Table
from connectors.files.whole import Portion, distinct
from connectors.files.xlsx_book import Book, read_book
from connectors.files.xlsx_cells import Cells, Column, Splitter, letters_of
from connectors.files.xlsx_columns import Typed, Typist
from connectors.files.xlsx_strings import Strings, fill
from flows.core.files.rejects import VALUE_CHARS, Reject

_BLOCK_BYTES: Final = 512 * 1024
"""As much of a sheet as becomes one table, where its strings are short: each cell may be any of them, however little it takes itself."""
_LEAST_BYTES: Final = 16 * 1024
_CELL_BYTES: Final = 20
"""Of a sheet, what a cell with a string takes at least: `<c t="s"><v>0</v></c>`."""
_STREAM_BYTES: Final = 128 * 1024
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ROOT: Final = re.compile(rb"<(\w+:)?worksheet[\s>]")


class Wish(NamedTuple):
    """What a job says of a workbook."""

    sheet: str | int | None = None
    """By name, or by number from 1; None: the first that can be seen."""
    header_row: int | None = None
    """The number of the row that names the columns, from 1; 0: none does, and columns have their letters; None: the first that holds anything."""


class Excel:
    """The reader of workbooks. Values keep their types; rows without a value are none; a row's line is its number in the sheet, offsets mean nothing."""

    def __init__(self, limits: Limits, scratch: Path, wish: Wish = Wish()) -> None:  # noqa: B008  it is frozen
        """Take the bounds, a directory for a file of strings, and what a job wishes."""
        self._limits = limits
        self._scratch = scratch
        self._wish = wish
        self.found: Mapping[str, str] = {}

    def tables(self, path: Path, at: bytes | None = None) -> Iterator[Portion]:
        """Yield the rows; see `WholeReader`."""
        with path.open("rb") as file:
            head = file.read(8)
        if not head:
            raise refusal("empty_file")
        if head != _OLE and not head.startswith(b"PK"):
            raise refusal("not_excel", what=f"it begins with {head!r}")
        archive = None if head == _OLE else Archive.open(path, self._limits)
        if archive is None or "xl/workbook.bin" in archive.members or "content.xml" in archive.members:
            yield from old_tables(path, archive, self._limits, self._wish.sheet, self._wish.header_row, at)
            return
        book = read_book(archive, self._limits)
        name = book.sheet(self._wish.sheet)
        self.found = {"sheet": name}
        strings = Strings(self._scratch, self._limits)
        try:
            if book.strings:
                foresee(_bounded(archive, book.strings, self._limits), self._limits)
                fill(strings, _bounded(archive, book.strings, self._limits), self._limits)
            yield from _Sheet(name, book, strings, self._limits, self._wish.header_row).portions(archive, at)
        finally:
            strings.close()


class _Sheet:
    """One sheet being read."""

    def __init__(self, name: str, book: Book, strings: Strings, limits: Limits, header_row: int | None) -> None:
        self._name = name
        self._book = book
        self._typist = Typist(book, strings)
        self._limits = limits
        self._header_row = header_row
        self._names: dict[int, str] | None = {} if header_row == 0 else None
        self._ordinal = 0
        self._where = f"in the sheet {name[:64]!r}"
        self._block_bytes = max(_LEAST_BYTES, min(_BLOCK_BYTES, limits.table_bytes * _CELL_BYTES // max(1, strings.longest)))

    def portions(self, archive: Archive, at: bytes | None) -> Iterator[Portion]:
        passed, ordinal, row = orjson.loads(at) if at else (0, 0, 0)
        splitter: Splitter | None = None
        going = False
        for number, (position, prefix, block) in enumerate(self._blocks(archive)):
            if number == 1 and not at:
                foresee(_bounded(archive, self._book.sheets[self._name], self._limits), self._limits)
            if position > passed and not going:
                going, self._ordinal, splitter = True, ordinal, Splitter(prefix, row)
            elif self._names is not None and not going:
                continue
            splitter = splitter or Splitter(prefix)
            cells = self._headed(splitter.split(block, self._where))
            if going and cells is not None and cells.rows:
                yield self._portion(cells, position)
        if self._names is None:
            raise refusal("no_header", where=repr(self._name), what=str(self._header_row or "with a value"))

    def _blocks(self, archive: Archive) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield whole rows with where in the sheet's XML they end, and the prefix of its tags."""
        held, begun, position, prefix, close = b"", False, 0, b"", b"</row>"
        over = False
        for data in _bounded(archive, self._book.sheets[self._name], self._limits):
            held += data
            if over:
                held = b""
                continue
            if not begun:
                found = self._begin(held)
                if found is None:
                    continue
                position, prefix = found
                held, begun, close = held[position:], True, b"</" + prefix + b"row>"
            over = held.find(b"</" + prefix + b"sheetData", max(0, len(held) - len(data) - 2 * len(close))) >= 0
            while over or len(held) >= self._block_bytes:
                end = held.rfind(close, 0, self._block_bytes)
                end = (held.find(close) if end < 0 else end) + len(close)
                if end < len(close):
                    break
                yield position + end, prefix, held[:end]
                held, position = held[end:], position + end
            if len(held) > self._limits.row_bytes:
                raise refusal("row_too_large", where=f"A row {self._where}", limit=self._limits.row_bytes)
        if not over and (begun or b"sheetData" not in held):
            raise refusal("truncated", where=f"{self._where}, before the end of its rows")

    def _begin(self, head: bytes) -> tuple[int, bytes] | None:
        """Return where the rows begin and the prefix of the tags; None while that has not come."""
        if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
            raise refusal("forbidden_markup", where=f"The sheet {self._name[:64]!r}")
        root = _ROOT.search(head)
        prefix = (root[1] or b"") if root else b""
        start = re.search(rb"<%bsheetData\s*>" % re.escape(prefix), head) if root else None
        if start is not None:
            return start.end(), prefix
        if len(head) > self._limits.row_bytes or head.startswith((b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")):
            raise refusal("damaged", where=self._where, what="its rows do not begin, or it is not in UTF-8")
        return None

    def _headed(self, cells: Cells) -> Cells | None:
        """Take the header out of the first rows; None while it has not come."""
        columns = cells.columns.values()
        keep: Sequence[int] = range(len(cells.rows))
        if not any(all(column.values) for column in columns):
            keep = [index for index in keep if any(column.values[index] for column in columns)]
        if self._names is None:
            wanted = next((index for index in keep if self._header_row in {None, cells.rows[index]}), None)
            if wanted is None:
                return None
            titles = {place: self._typist.text(column.attributes[wanted], column.values[wanted]) for place, column in cells.columns.items()}
            named = distinct([title.strip() or letters_of(place) for place, title in sorted(titles.items())])
            self._names = dict(zip(sorted(titles), named, strict=True))
            keep = [index for index in keep if index > wanted]
        if len(keep) == len(cells.rows):
            return cells
        return Cells(
            [cells.rows[index] for index in keep],
            {place: Column([column.attributes[index] for index in keep], [column.values[index] for index in keep]) for place, column in cells.columns.items()},
        )

    def _portion(self, cells: Cells, position: int) -> Portion:
        names = self._names or {}
        places = sorted(names.keys() | {place for place, column in cells.columns.items() if any(column.values)})
        if len(places) > self._limits.columns:
            raise refusal("too_many_columns", count=len(places), limit=self._limits.columns, where=f"{self._where}, row {cells.rows[0]:,}")
        if self._ordinal + len(cells.rows) > self._limits.rows:
            raise refusal("too_many_rows", count=self._ordinal + len(cells.rows), limit=self._limits.rows)
        taken = set(names.values())
        typed: list[Typed] = []
        empty = pl.Series([None] * len(cells.rows), dtype=pl.String)
        for place in places:
            name = names.get(place) or letters_of(place)
            while place not in names and name in taken:
                name += "_"
            column = cells.columns.get(place)
            typed.append(self._typist.column(name, column) if column else Typed(empty.rename(name), fragments=False, bad={}))
        first, self._ordinal = self._ordinal, self._ordinal + len(cells.rows)
        return _portion(typed, cells.rows, first, orjson.dumps([position, self._ordinal, cells.rows[-1]]))


def _portion(typed: list[Typed], lines: Sequence[int], first: int, after: bytes) -> Portion:
    frame = pl.DataFrame([one.series for one in typed])
    fragments = frozenset(one.series.name for one in typed if one.fragments)
    ordinals: list[int] | range = range(first, first + len(lines))
    bad = {row: (one.series.name, *why) for one in reversed(typed) for row, why in one.bad.items()}
    keeper = Keeper(frame, fragments)

    def spoilt(row: int) -> bytes:
        return keeper.raw(row, {one.series.name: one.bad[row][1] for one in typed if row in one.bad})

    rejects = [Reject(first + row, lines[row], -1, column, code, "", value[:VALUE_CHARS], spoilt(row)) for row, (column, code, value) in sorted(bad.items())]
    kept = list(range(len(lines)))
    if bad:
        kept = [row for row in kept if row not in bad]
        frame, ordinals = frame[kept], [first + row for row in kept]
    return Portion(Table(frame, ordinals, lambda row: Place(first + kept[row], lines[kept[row]], -1, keeper.raw(kept[row])), fragments), rejects, after)


def _bounded(archive: Archive, member: str, limits: Limits) -> Iterator[bytes]:
    gauge = Gauge(limits)
    for packed, block in archive.stream(member, _STREAM_BYTES):
        gauge.packed = packed
        yield gauge.count(block)
