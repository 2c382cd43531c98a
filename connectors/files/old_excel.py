"""Reads xls, xlsb and ods workbooks, which can only be read as a whole: small ones, and in a process that may die of them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl
from python_calamine import CalamineError, CalamineWorkbook

from connectors.files.archive import Archive
from connectors.files.bounds import Limits, refusal
from connectors.files.inflate import Gauge
from connectors.files.keep import Keeper
from connectors.files.table import Place, Table
from connectors.files.whole import Portion, distinct
from connectors.files.xlsx_cells import letters_of

_ROWS: Final = 5_000
_RATIO: Final = 50
"""How many times their packed size the parts of such a workbook may come to; all of it is held in memory."""


def old_tables(path: Path, archive: Archive | None, limits: Limits, sheet: str | int | None, header_row: int | None, at: bytes | None) -> Iterator[Portion]:
    """Yield the rows of a sheet, every column as JSON fragments. Blocks for reading the whole. Raises `Unreadable`."""
    _judge(path, archive, limits)
    try:
        book = CalamineWorkbook.from_path(str(path))
        names = book.sheet_names
        visible = [meta.name for meta in book.sheets_metadata if str(meta.visible).endswith("Visible") and not str(meta.visible).endswith("VeryHidden")]
        name = _choose(names, visible, sheet)
        page = book.get_sheet_by_name(name)
        top, rows = (page.start or (0, 0)), page.to_python(skip_empty_area=True)
    except CalamineError as error:
        text = str(error)
        if "password" in text.lower() or "encrypt" in text.lower():
            raise refusal("encrypted", where="The workbook") from None
        raise refusal("damaged", where="somewhere in the workbook", what=text) from None
    yield from _portions(name, rows, top, limits, header_row, at)


def _judge(path: Path, archive: Archive | None, limits: Limits) -> None:
    size = path.stat().st_size
    if size > limits.whole_bytes:
        raise refusal("file_too_large", count=size, what="an xls, xlsb or ods workbook", limit=limits.whole_bytes)
    gauge = Gauge(limits)
    for member in archive.members if archive else ():
        for _, block in archive.stream(member, 1 << 17) if archive else ():
            gauge.inflated += len(block)
            if gauge.inflated > max(_RATIO * size, limits.whole_bytes):
                raise refusal("ratio_too_high", limit=_RATIO, count=gauge.inflated, where=f"in {member[:64]!r}")


def _choose(names: list[str], visible: list[str], sheet: str | int | None) -> str:
    if sheet is None:
        if not visible:
            raise refusal("no_sheet", what=", ".join(names[:10]))
        return visible[0]
    if isinstance(sheet, int) and 1 <= sheet <= len(names):
        return names[sheet - 1]
    if sheet not in names:
        raise refusal("no_such_sheet", where=repr(sheet), what=", ".join(names[:10]))
    return str(sheet)


def _portions(name: str, rows: list[list[Any]], top: tuple[int, int], limits: Limits, header_row: int | None, at: bytes | None) -> Iterator[Portion]:
    filled = [(top[0] + index + 1, row) for index, row in enumerate(rows) if any(value != "" for value in row)]
    places = [letters_of(top[1] + place) for place in range(max((len(row) for _, row in filled), default=0))]
    if len(places) > limits.columns:
        raise refusal("too_many_columns", count=len(places), limit=limits.columns, where=f"in the sheet {name[:64]!r}")
    if header_row != 0:
        header = next((index for index, (line, _) in enumerate(filled) if header_row in {None, line}), None)
        if header is None:
            raise refusal("no_header", where=repr(name), what=str(header_row or "with a value"))
        titles = [str(value).strip() for value in filled[header][1]]
        places = distinct([title or letter for title, letter in zip(titles, places, strict=True)])
        filled = filled[header + 1 :]
    start = orjson.loads(at)[0] if at else 0
    for first in range(start, len(filled), _ROWS):
        yield _portion(filled[first : first + _ROWS], places, first)


def _portion(rows: list[tuple[int, list[Any]]], names: list[str], first: int) -> Portion:
    texts = [[None if value == "" else orjson.dumps(_plain(value)).decode() for value in row] for _, row in rows]
    frame = pl.DataFrame({name: [row[place] for row in texts] for place, name in enumerate(names)}, schema=dict.fromkeys(names, pl.String))
    keeper = Keeper(frame, frozenset(names))

    def place(row: int) -> Place:
        return Place(first + row, rows[row][0], -1, keeper.raw(row))

    return Portion(Table(frame, range(first, first + len(rows)), place, frozenset(names)), [], orjson.dumps([first + len(rows)]))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value.total_seconds() / 86_400 if isinstance(value, timedelta) else value
