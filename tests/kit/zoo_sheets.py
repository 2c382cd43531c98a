"""Workbooks and Parquet files of the zoo."""

import io
import re
from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tests.kit.zoo import Entry, Refused, Rows
from tests.kit.zoo_packed import zipped

_RELATION: Final = '<Relationship Id="r{id}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/>'
_BODY: Final = '<row r="1"><c r="A1" t="str"><v>a</v></c></row>'
_LAUGHS: Final = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>'


def _listing(*relations: tuple[int, str, str]) -> bytes:
    rows = "".join(_RELATION.format(id=number, kind=kind, target=target) for number, kind, target in relations)
    return f"<Relationships>{rows}</Relationships>".encode()


def book(
    rows: str = _BODY,
    *,
    sheet: str | None = None,
    strings: str = "",
    styles: str = "",
    main: str = "",
    head: str = "",
    state: str = "visible",
    target: str = "s1.xml",
) -> bytes:
    """Return a workbook with one sheet, of which parts may be given as they are to stand in it."""
    sheet = sheet if sheet is not None else f"{head}<worksheet><sheetData>{rows}</sheetData></worksheet>"
    main = main or f'<workbook><sheets><sheet name="One" sheetId="1" state="{state}" r:id="r1"/></sheets></workbook>'
    return zipped(
        ("_rels/.rels", _listing((1, "officeDocument", "xl/workbook.xml"))),
        ("xl/workbook.xml", main.encode()),
        ("xl/_rels/workbook.xml.rels", _listing((1, "worksheet", target), (2, "sharedStrings", "strings.xml"), (3, "styles", "styles.xml"))),
        ("xl/s1.xml", sheet.encode()),
        *([("xl/strings.xml", strings.encode())] if strings else []),
        *([("xl/styles.xml", styles.encode())] if styles else []),
    )


def _row(number: int, cells: str) -> str:
    return f'<row r="{number}">{cells}</row>'


def row_of(size: int) -> bytes:
    """Return a workbook with a row of so many bytes."""
    return book(_BODY + _row(2, f'<c r="A2" t="str"><v>{"x" * size}</v></c>'))


def _prefixed() -> bytes:
    rows = _BODY + _row(2, '<c r="A2"><v>1</v></c>')
    return book(sheet=f"<x:worksheet><x:sheetData>{re.sub('<(/?)', '<' + chr(92) + '1x:', rows)}</x:sheetData></x:worksheet>")


def _wide(columns: int) -> bytes:
    cells = "".join(f"<c><v>{place}</v></c>" for place in range(columns))
    return book(f"<row>{cells}</row><row>{cells}</row>")


SHEETS: Final[list[tuple[str, Callable[[], bytes], Rows | Refused]]] = [
    ("plain", lambda: book(_BODY + _row(2, '<c r="A2"><v>1</v></c>')), Rows(1)),
    ("a cell in the last corner", lambda: book(_BODY + _row(1048576, '<c r="XFD1048576"><v>1</v></c>')), Rows(1)),
    ("header only", book, Rows(0)),
    ("an empty sheet", lambda: book(""), Refused("no_header")),
    ("no rows at all", lambda: book(sheet="<worksheet><sheetData/></worksheet>"), Refused("no_header")),
    ("empty rows at the end", lambda: book(_BODY + '<row r="2"><c r="A2"><v>1</v></c></row>' + "".join(f'<row r="{n}"/>' for n in range(3, 5000))), Rows(1)),
    ("tags with a prefix", _prefixed, Rows(1)),
    ("cells without references", lambda: book("<row><c><v>1</v></c></row><row><c><v>2</v></c></row>"), Rows(1)),
    ("comments between", lambda: book(_BODY + "<!-- x -->" + _row(2, '<c r="A2"><v>1</v></c>')), Rows(1)),
    ("a string that is not there", lambda: book(_BODY + _row(2, '<c r="A2" t="s"><v>9</v></c>') + _row(3, '<c r="A3"><v>1</v></c>')), Rows(1, 1)),
    ("letters for a number", lambda: book(_BODY + _row(2, '<c r="A2"><v>x</v></c>') + _row(3, '<c r="A3"><v>1</v></c>')), Rows(1, 1)),
    ("an infinite number", lambda: book(_BODY + _row(2, '<c r="A2"><v>1e999</v></c>') + _row(3, '<c r="A3"><v>1</v></c>')), Rows(1, 1)),
    ("a cell of no known type", lambda: book(_BODY + _row(2, '<c r="A2" t="zz"><v>1</v></c>')), Rows(0, 1)),
    ("an error in a cell", lambda: book(_BODY + _row(2, '<c r="A2" t="e"><v>#DIV/0!</v></c>')), Rows(1)),
    ("a style that is not there", lambda: book(_BODY + _row(2, '<c r="A2" s="99"><v>1</v></c>')), Rows(1)),
    ("rows out of order", lambda: book(_BODY + _row(3, '<c r="A3"><v>1</v></c>') + _row(2, '<c r="A2"><v>1</v></c>')), Refused("damaged")),
    ("a reference that is none", lambda: book(_BODY + _row(2, '<c r="$"><v>1</v></c>')), Refused("damaged")),
    ("a tag that is not closed", lambda: book(_BODY + _row(2, '<c r="A2"><v>1</c>')), Refused("damaged")),
    ("an entity that is not declared", lambda: book(_BODY + _row(2, '<c r="A2" t="str"><v>1</v></c>&x;')), Refused("damaged")),
    ("a sheet that breaks off", lambda: book(sheet=f"<worksheet><sheetData>{_BODY}"), Refused("truncated")),
    ("a sheet that is no XML", lambda: book(sheet="PNG"), Refused("truncated")),
    ("a sheet in UTF-16", lambda: zipped(*_utf16()), Refused("damaged")),
    ("a document type in the sheet", lambda: book(head=_LAUGHS), Refused("forbidden_markup")),
    ("a document type in the workbook", lambda: book(main=f"{_LAUGHS}<workbook/>"), Refused("forbidden_markup")),
    ("a document type in the strings", lambda: book(strings=f"{_LAUGHS}<sst><si><t>&b;</t></si></sst>"), Refused("forbidden_markup")),
    ("a document type in the styles", lambda: book(styles=f"{_LAUGHS}<styleSheet/>"), Refused("forbidden_markup")),
    ("a sheet of blanks", lambda: book(_BODY + " " * (2 << 20)), Refused("row_too_large")),
    ("rows without end", lambda: book(_BODY + _row(2, "<c><v>1</v></c>") + "<row><c><v>1</v></c></row>" * 60_000), Refused("ratio_too_high")),
    ("a row of 2 MiB", lambda: row_of(2 << 20), Refused("row_too_large")),
    ("1,000 columns", lambda: _wide(1_000), Rows(1)),
    ("1,001 columns", lambda: _wide(1_001), Refused("too_many_columns")),
    ("only a hidden sheet", lambda: book(state="veryHidden"), Refused("no_sheet")),
    ("a sheet outside", lambda: book(target="../../../etc/passwd"), Refused("no_sheet")),
    ("no workbook inside", lambda: zipped(("a.txt", b"x")), Refused("not_excel")),
    ("a workbook that is no XML", lambda: book(main="x"), Refused("damaged")),
    ("half a file", lambda: book()[:300], Refused("truncated")),
    ("is a CSV", lambda: b"a,b\n1,2\n", Refused("not_excel")),
    ("an old file that is none", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), Refused("damaged")),
    ("empty file", lambda: b"", Refused("empty_file")),
]  # fmt: skip


def _utf16() -> list[tuple[str, bytes]]:
    plain = "<worksheet><sheetData/></worksheet>".encode("utf-16")
    return [
        ("_rels/.rels", _listing((1, "officeDocument", "xl/workbook.xml"))),
        ("xl/workbook.xml", b'<workbook><sheets><sheet name="One" id="r1"/></sheets></workbook>'),
        ("xl/_rels/workbook.xml.rels", _listing((1, "worksheet", "/xl/s1.xml"))),
        ("xl/s1.xml", plain),
    ]


def parquet(table: pa.Table, **settings: object) -> bytes:
    """Return a table as Parquet."""
    file = io.BytesIO()
    pq.write_table(table, file, **settings)
    return file.getvalue()


def wide_parquet(columns: int) -> bytes:
    """Return one row of so many columns."""
    return parquet(pa.table({str(n): [n] for n in range(columns)}))


def _small() -> bytes:
    return parquet(pa.table({"a": range(1000), "b": [f"text {n}" for n in range(1000)]}), compression="none", use_dictionary=False)


def _twice() -> bytes:
    return parquet(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))


def _dictionary() -> bytes:
    """2 GB of strings in half a KiB: one of a million bytes, two thousand times."""
    return parquet(pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["x" * 1_000_000]))}), compression="zstd")


def _constants(rows: int) -> bytes:
    return parquet(pa.table({"a": pa.repeat(7, rows)}), row_group_size=rows)


def _broken(at: int, data: bytes) -> Callable[[], bytes]:
    def make() -> bytes:
        whole = _small()
        at_ = at if at >= 0 else len(whole) + at
        return whole[:at_] + data + whole[at_ + len(data) :]

    return make


def _nested() -> bytes:
    return parquet(pa.table({"a": [[1, 2], None], "b": [{"x": [b"\0"]}, {"x": []}], "c": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64()))}))


PARQUETS: Final[list[tuple[str, Callable[[], bytes], Rows | Refused]]] = [
    ("plain", _small, Rows(1000)),
    ("no rows", lambda: parquet(pa.table({"a": pa.array([], pa.int64())})), Rows(0)),
    ("nested", _nested, Rows(2)),
    ("two columns of one name", _twice, Rows(1)),
    ("a million constants in some KiB", lambda: _constants(1_000_000), Rows(1_000_000)),
    ("more rows than may be", lambda: _constants(2_000_000), Refused("too_many_rows")),
    ("2 GB in a dictionary", _dictionary, Refused("expands_too_far")),
    ("a value of 2 MB", lambda: parquet(pa.table({"a": ["x" * 2_000_000, "y"]})), Rows(1, 1)),
    ("1,001 columns", lambda: wide_parquet(1_001), Refused("too_many_columns")),
    ("half a file", lambda: _small()[:5000], Refused("truncated")),
    ("its mark only", lambda: b"PAR1", Refused("truncated")),
    ("a footer longer than the file", _broken(-8, b"\xff\xff\xff\x00"), Refused("damaged")),
    ("a footer that is none", _broken(-300, b"\xff" * 100), Refused("damaged")),
    ("a page that is none", _broken(4, b"\xff" * 20), Refused("damaged")),
    ("encrypted", lambda: _small()[:-4] + b"PARE", Refused("encrypted")),
    ("is a CSV", lambda: b"a,b\n1,2\n", Refused("not_parquet")),
    ("empty file", lambda: b"", Refused("empty_file")),
]  # fmt: skip

ENTRIES: Final = [
    *(Entry(f"excel: {name}", "excel", make, expect) for name, make, expect in SHEETS),
    *(Entry(f"parquet: {name}", "parquet", make, expect) for name, make, expect in PARQUETS),
]
