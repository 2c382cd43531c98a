"""Workbooks that other programs wrote are read back as they were, and what a sheet may hold comes to the right values."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import openpyxl
import orjson
import polars as pl
import pytest
import xlsxwriter

from connectors.files.bounds import Limits
from connectors.files.excel import Excel, Wish
from connectors.files.reader import Unreadable
from connectors.files.whole import Portion
from connectors.files.xlsx_book import Book, Kind, kind_of
from connectors.files.xlsx_cells import Column
from connectors.files.xlsx_columns import Typist
from connectors.files.xlsx_strings import Strings
from tests.kit.zoo_packed import zipped
from tests.kit.zoo_sheets import book

START: Final = datetime(2024, 2, 28)  # noqa: DTZ001  a sheet knows no zones
HEADER: Final = ["id", "text", "share", "flag", "at", "day", "now and then", "mixed"]


def _row(number: int) -> list[Any]:
    day, moment = date(1904, 1, 2) + timedelta(days=number * 37), START + timedelta(minutes=number)
    return [number, f"é {number % 7} & <x>\n", number / 8, number % 2 == 0, moment, day, number if number % 3 else None, "x" if number % 5 else 7]


ROWS: Final = [_row(number) for number in range(400)]


def _portions(path: Path, wish: Wish = Wish(), limits: Limits = Limits(), at: bytes | None = None) -> list[Portion]:  # noqa: B008  both are frozen
    return list(Excel(limits, path.parent, wish).tables(path, at))


def _values(portions: list[Portion]) -> list[dict[str, Any]]:
    """Return the rows, fragments parsed."""
    return [
        {name: orjson.loads(value) if name in portion.table.fragments and value is not None else value for name, value in row.items()}
        for portion in portions
        for row in portion.table.frame.iter_rows(named=True)
    ]


def _book(tmp_path: Path, *arguments: str, **parts: str) -> list[dict[str, Any]]:
    path = tmp_path / "book.xlsx"
    path.write_bytes(book(*arguments, **parts))
    return _values(_portions(path))


def _by_openpyxl(path: Path) -> None:
    written = openpyxl.Workbook()
    written.active.append(HEADER)
    for row in ROWS:
        written.active.append(row)
    written.save(path)


def _by_xlsxwriter(path: Path, **options: Any) -> None:
    with xlsxwriter.Workbook(path, options) as written:
        day, moment = written.add_format({"num_format": "dd/mm/yyyy"}), written.add_format({"num_format": '[$-409]yyyy-mm-dd "at" hh:mm'})
        sheet = written.add_worksheet()
        sheet.set_column(4, 4, None, moment)
        sheet.set_column(5, 5, None, day)
        for number, row in enumerate([HEADER, *ROWS]):
            for place, value in enumerate(row):
                sheet.write(number, place, value, *([moment] if isinstance(value, datetime) else [day] if isinstance(value, date) else []))


def _by_polars(path: Path) -> None:
    pl.DataFrame(ROWS, schema=HEADER, orient="row", strict=False).with_columns(pl.Series("mixed", [str(row[7]) for row in ROWS])).write_excel(path)


WRITERS: Final[dict[str, Callable[[Path], None]]] = {
    "openpyxl": _by_openpyxl,
    "xlsxwriter": _by_xlsxwriter,
    "xlsxwriter, strings in their cells": lambda path: _by_xlsxwriter(path, constant_memory=True),
    "xlsxwriter, counting from 1904": lambda path: _by_xlsxwriter(path, date_1904=True),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_what_others_wrote_is_read_back_equal(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    WRITERS[writer](path)
    read = _values(_portions(path))
    assert list(read[0]) == HEADER
    assert [list(row.values()) for row in read] == ROWS


def test_what_polars_wrote_is_read_back_equal(tmp_path: Path) -> None:
    _by_polars(tmp_path / "book.xlsx")
    read = _values(_portions(tmp_path / "book.xlsx"))
    assert [list(row.values())[:7] for row in read] == [row[:7] for row in ROWS]


def test_a_long_text_that_every_cell_repeats_makes_small_portions(tmp_path: Path) -> None:
    """A cell of thirty bytes may come to 32,767 characters: a kilobyte of the file, hundreds of megabytes of rows."""
    path, long, rows = tmp_path / "long.xlsx", "x" * 32_767, 20_000
    written = xlsxwriter.Workbook(path)
    sheet = written.add_worksheet()
    sheet.write(0, 0, "text")
    for number in range(1, rows + 1):
        sheet.write_string(number, 0, long)
    written.close()
    portions = _portions(path)
    heights = [portion.table.frame.height for portion in portions]
    assert sum(heights) == rows
    assert max(heights) * len(long) < 2 * Limits().table_bytes
    assert sum(portion.table.frame.height for portion in _portions(path, at=portions[2].after)) == sum(heights[3:])


def test_a_sheet_goes_on_behind_every_portion(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(path) as written:
        sheet = written.add_worksheet()
        for number in range(4_000):
            sheet.write_row(number, 0, [f"id {number}", number, number / 4, f"more {number}", *range(10)])
    whole = _portions(path)
    assert len(whole) > 2
    for index, portion in enumerate(whole):
        rest = _portions(path, at=portion.after)
        assert [(one.after, list(one.table.ordinals)) for one in rest] == [(one.after, list(one.table.ordinals)) for one in whole[index + 1 :]]
        assert all(one.table.frame.equals(other.table.frame) for one, other in zip(rest, whole[index + 1 :], strict=True))
    assert whole[1].table.place(0)[:3] == (whole[1].table.ordinals[0], whole[1].table.ordinals[0] + 2, -1)


@pytest.mark.parametrize("held", [16, 256, 4_000])
def test_strings_beyond_the_bound_lie_in_a_scratch_file(held: int, tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "book.xlsx") as written:
        sheet = written.add_worksheet()
        for number in range(9_000):
            sheet.write_row(number, 0, [f"é {number}", f"{number % 7} again", None if number % 5 else f"seldom {number}"])
    small = replace(Limits(), string_bytes=held << 10)
    assert _values(_portions(tmp_path / "book.xlsx", limits=small)) == _values(_portions(tmp_path / "book.xlsx"))


@pytest.mark.parametrize(("rows", "strings", "most"), [(200_000, 0, 1), (1, 400_000, 0)])
def test_a_bomb_is_refused_before_much_of_it_is_read(rows: int, strings: int, most: int, tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_bytes(book("<row><c><v>1</v></c></row>" * rows, strings=f"<sst>{'<si><t>a</t></si>' * strings}</sst>"))
    read: list[Portion] = []
    with pytest.raises(Unreadable) as refused:
        read.extend(Excel(replace(Limits(), ratio_from=2 << 20, ratio=100), tmp_path).tables(tmp_path / "book.xlsx"))
    assert (refused.value.code, len(read)) == ("ratio_too_high", most)


def test_sheets_are_chosen_by_name_and_number_and_hidden_ones_only_so(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(path) as written:
        for name in ("Hidden", "Seen", "Last"):
            written.add_worksheet(name).write_column(0, 0, ["name", name])
        written.worksheets()[0].hide()
        written.worksheets()[1].activate()
    wishes: dict[str | int | None, str] = {None: "Seen", "Last": "Last", 1: "Hidden", "Hidden": "Hidden", 3: "Last"}
    assert {wish: _values(_portions(path, Wish(sheet=wish)))[0]["name"] for wish in wishes} == wishes
    with pytest.raises(Unreadable, match=r"no sheet 'Nope'; it has Hidden, Seen, Last"):
        _portions(path, Wish(sheet="Nope"))


def test_the_header_is_the_first_row_with_a_value_or_the_one_that_was_named_or_none(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(path) as written:
        sheet = written.add_worksheet()
        sheet.write_row(2, 1, ["Report", "of May"])
        sheet.write_row(4, 1, ["a", "a", ""])
        sheet.write_row(9, 1, [1, 2, 3])
    assert _values(_portions(path))[1] == {"Report": 1, "of May": 2, "D": 3}
    assert _values(_portions(path, Wish(header_row=5))) == [{"a": 1, "a_2": 2, "D": 3}]
    assert _values(_portions(path, Wish(header_row=0)))[0] == {"B": "Report", "C": "of May", "D": None}
    (portion,) = _portions(path, Wish(header_row=5))
    assert portion.table.place(0).line == 10
    with pytest.raises(Unreadable) as refused:
        _portions(path, Wish(header_row=7))
    assert refused.value.code == "no_header"


def test_a_title_that_says_nothing_is_taken_as_it_stands(tmp_path: Path) -> None:
    titles = '<c r="A1"><v>1,5</v></c><c r="B1" t="s"><v>7</v></c><c r="C1"><v>2.5</v></c>'
    values = "".join(f'<c r="{letter}2"><v>1</v></c>' for letter in "ABC")
    assert _book(tmp_path, f'<row r="1">{titles}</row><row r="2">{values}</row>') == [{"1,5": 1, "7": 1, "2.5": 1}]


def test_a_cell_that_is_no_utf8_costs_its_row_at_most(tmp_path: Path) -> None:
    typist = Typist(Book({}, frozenset(), [], date(1899, 12, 30), ""), Strings(tmp_path, Limits()))
    numbers = typist.column("a", Column([b""] * 2, [b"1", b"\xb0"]))
    assert (numbers.series.to_list(), numbers.bad) == (["1", None], {1: ("bad_cell", "\ufffd")})
    texts = typist.column("a", Column([b' t="str"'] * 3, [b"a", b"", b"\xb0b"]))
    assert (texts.series.to_list(), texts.bad) == (["a", None, "\ufffdb"], {})


def test_the_days_around_the_leap_day_that_was_none(tmp_path: Path) -> None:
    rows = "".join(f'<row r="{n}"><c r="A{n}" s="1"><v>{serial}</v></c></row>' for n, serial in enumerate((1, 59, 61, 45351.5), 2))
    styles = '<styleSheet><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'
    read = _book(tmp_path, '<row r="1"><c r="A1" t="str"><v>day</v></c></row>' + rows, styles=styles)
    assert [str(row["day"])[:13] for row in read] == ["1900-01-01 00", "1900-02-28 00", "1900-03-01 00", "2024-02-29 12"]


def test_cells_of_every_kind(tmp_path: Path) -> None:
    cells = [
        '<c r="A2" t="b"><v>1</v></c>', '<c r="B2" t="e"><v>#N/A</v></c>', '<c r="C2" t="inlineStr"><is><t>in</t></is></c>',
        '<c r="D2" t="str"><f>A1&amp;"x"</f><v>a &lt; b_x000D_</v></c>',
        '<c r="E2"><f t="shared" si="0"/><v>1.5E-3</v></c>', '<c r="F2"/>', '<c r="G2" t="s"><v>0</v></c>',
        '<c r="H2" t="inlineStr"><is><r><t>ri</t></r><r><t>ch</t></r></is></c>', '<c r="I2" s="1"><v>0.75</v></c>',
    ]  # fmt: skip
    header = "".join(f'<c r="{letter}1" t="str"><v>{letter.lower()}</v></c>' for letter in "ABCDEFGHI")
    strings = '<sst><si><r><t>a </t></r><r><t xml:space="preserve">string</t></r><rPh><t>aloud</t></rPh></si></sst>'
    styles = '<styleSheet><numFmts><numFmt numFmtId="170" formatCode="h:mm\\ AM/PM"/></numFmts><cellXfs><xf/><xf numFmtId="170"/></cellXfs></styleSheet>'
    (row,) = _book(tmp_path, f'<row r="1">{header}</row><row r="2">{"".join(cells)}</row>', strings=strings, styles=styles)
    assert list(row.values()) == [True, "#N/A", "in", "a < b\r", 0.0015, None, "a string", "rich", time(18)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("General", Kind.NUMBER), ("0.00", Kind.NUMBER), ('#,##0 "days"', Kind.NUMBER), ("[Red]0;[Blue]-0", Kind.NUMBER), ("@", Kind.NUMBER),
        ("0.00E+00", Kind.NUMBER),
        ("[h]:mm:ss", Kind.NUMBER), ("yyyy-mm-dd", Kind.DATE), ("[$-407]d. mmmm yyyy", Kind.DATE), ("mmm yy", Kind.DATE), ("dd/mm/yyyy hh:mm", Kind.MOMENT),
        ("yyyy-mm-dd hh:mm:ss.000", Kind.MOMENT), ("h:mm AM/PM", Kind.TIME), ("mm:ss.0", Kind.TIME), ('"h"0', Kind.NUMBER), ("[>100]yyyy", Kind.DATE),
    ],
)  # fmt: skip
def test_what_a_format_says_of_a_number(code: str, kind: Kind) -> None:
    assert kind_of(code) is kind


def test_an_ods_workbook_is_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "book.ods"
    path.write_bytes(_ods(["a", "b", None], [1, "x", None], [None, None, None], [2.5, None, None]))
    (portion,) = _portions(path)
    assert _values([portion]) == [{"a": 1, "b": "x"}, {"a": 2.5, "b": None}]
    assert (portion.table.place(1).line, portion.after) == (4, b"[2]")
    assert _portions(path, at=portion.after) == []
    with pytest.raises(Unreadable) as refused:
        _portions(path, limits=replace(Limits(), whole_bytes=100))
    assert refused.value.code == "file_too_large"


def _ods(*rows: list[float | str | None]) -> bytes:
    spaces = " ".join(f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text"))
    body = ""
    for row in rows:
        cells = ""
        for value in row:
            kind = f'office:value-type="float" office:value="{value}"' if isinstance(value, int | float) else 'office:value-type="string"'
            cells += "<table:table-cell/>" if value is None else f"<table:table-cell {kind}><text:p>{value}</text:p></table:table-cell>"
        body += f"<table:table-row>{cells}</table:table-row>"
    sheet = f'<office:spreadsheet><table:table table:name="One">{body}</table:table></office:spreadsheet>'
    content = f"<office:document-content {spaces}><office:body>{sheet}</office:body></office:document-content>"
    manifest = b'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    return zipped(("mimetype", b"application/vnd.oasis.opendocument.spreadsheet"), ("META-INF/manifest.xml", manifest), ("content.xml", content.encode()))
