"""Writes rejected rows as a workbook, row by row into the archive: nothing of it is held.

Texts stand in their cells as texts, so that none is a formula. A sheet that is full is followed by another.
"""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final
from xml.sax.saxutils import escape, quoteattr

import orjson

from connectors.files.keep import ticks
from connectors.files.written import Line
from connectors.files.xlsx_cells import letters_of

SHEET_ROWS: Final = 1_048_576
"""As many as the format allows, the one with the names among them."""
SHEET_BYTES: Final = 1 << 30
"""A member of 2 GiB would need the 64-bit form of zip, which spreadsheet programs do not take."""
CELL_CHARACTERS: Final = 32_767
"""Most of a cell's text, by the format; counted in UTF-16."""
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_KIND: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TIME: Final = 21
_FORMATS: Final = (0, 14, 22, _TIME)
"""Of numbers, days, moments and times of day (ECMA-376 part 1, 18.8.30), in the order of their styles."""
_STYLES: Final[dict[str, tuple[int, str]]] = {"date32[day]": (1, "d"), "timestamp[ms]": (2, "ms"), "time64[ns]": (3, "ms")}
_DAY: Final = {"d": 1, "ms": 86_400_000}
_DAYS_TO_1970: Final = 25_569
_LEAP: Final = 60
"""29 February 1900, which the calendar of workbooks has and the year had not."""
_LAST_DAY: Final = 2_958_465
_CONTROL: Final = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML cannot hold, and what would be taken for such a thing written out."""


class Workbook:
    """One workbook that is being written."""

    def __init__(self, path: Path, names: Sequence[str], sheet_rows: int = SHEET_ROWS) -> None:
        """Begin it; each sheet has these names in its first row."""
        self._archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._names, self._sheet_rows = names, sheet_rows
        self._letters = [letters_of(at) for at in range(len(names))]
        self._sheets, self._row, self._size = 0, 0, 0
        self._sheet: IO[bytes] | None = None

    def add(self, lines: Sequence[Line]) -> None:
        """Write rows."""
        for line in lines:
            self._write([(line.error, "string"), *(line.values.get(name, (None, "null")) for name in self._names[1:])])

    def finish(self) -> None:
        """Write what holds the sheets together."""
        if self._sheet is None:
            self._begin()
        self._end()
        for name, text in _parts(self._sheets).items():
            self._archive.writestr(name, _XML + text)
        self._archive.close()

    def _write(self, cells: Sequence[tuple[Any, Any]]) -> None:
        sheet = self._sheet
        if sheet is None or self._row == self._sheet_rows or self._size >= SHEET_BYTES:
            sheet = self._begin()
        self._put(sheet, cells)

    def _put(self, sheet: IO[bytes], cells: Sequence[tuple[Any, Any]]) -> None:
        self._row += 1
        told = "".join(_cell(f"{letter}{self._row}", *cell) for letter, cell in zip(self._letters, cells, strict=True) if cell[0] is not None)
        self._size += sheet.write(f'<row r="{self._row}">{told}</row>'.encode())

    def _begin(self) -> IO[bytes]:
        self._end()
        self._sheets, self._row, self._size = self._sheets + 1, 0, 0
        self._sheet = sheet = self._archive.open(f"xl/worksheets/sheet{self._sheets}.xml", "w")
        sheet.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
        self._put(sheet, [(name, "string") for name in self._names])
        return sheet

    def _end(self) -> None:
        if self._sheet is not None:
            self._sheet.write(b"</sheetData></worksheet>")
            self._sheet.close()


def _cell(place: str, value: Any, kind: Any) -> str:
    """Return a cell: of its type where a workbook has that, else as a text."""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{value:d}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value!r}</v></c>'
    style, unit = _STYLES.get(kind, (0, "")) if isinstance(kind, str) else (0, "")
    serial = _serial(value, style, unit) if style else None
    if serial is not None:
        return f'<c r="{place}" s="{style}"><v>{serial!r}</v></c>'
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(_CONTROL.sub(_spelt, _short(text)))}</t></is></c>'


def _serial(value: str, style: int, unit: str) -> float | None:
    """Return a day or a moment as a workbook counts it; None where its calendar does not have it."""
    number, of_time = ticks(value, unit) / _DAY[unit], _FORMATS[style] == _TIME
    days = number if of_time else number + _DAYS_TO_1970
    if not of_time and days <= _LEAP:
        days -= 1
    return days if (0 if of_time else 1) <= days < _LAST_DAY + 1 else None


def _short(text: str) -> str:
    """Return as much of a text as a cell holds."""
    if len(text) <= CELL_CHARACTERS // 2:
        return text
    return text.encode("utf-16-le", "surrogatepass")[: 2 * CELL_CHARACTERS].decode("utf-16-le", "ignore")


def _spelt(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"


def _parts(sheets: int) -> dict[str, str]:
    """Return the small members of a workbook of so many sheets."""
    numbers = range(1, sheets + 1)
    names = {number: "Rejected" if number == 1 else f"Rejected {number}" for number in numbers}
    listed = "".join(f'<sheet name={quoteattr(names[number])} sheetId="{number}" r:id="rId{number}"/>' for number in numbers)
    styles = "".join(f'<xf numFmtId="{code}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>' for code in _FORMATS)
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_KIND}.styles+xml"/>'
        + "".join(f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_KIND}.worksheet+xml"/>' for number in numbers)
        + "</Types>",
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations([*(("worksheet", f"worksheets/sheet{number}.xml") for number in numbers), ("styles", "styles.xml")]),
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(_FORMATS)}">{styles}</cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
    }


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    told = "".join(f'<Relationship Id="rId{at}" Type="{_OFFICE}/{kind}" Target="{target}"/>' for at, (kind, target) in enumerate(targets, 1))
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{told}</Relationships>'
