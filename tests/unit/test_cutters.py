"""What cutters are made from, what a row of CSV is, case by case, and how much is held."""

import pytest

from flows.core.errors import BadRequest
from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import rows
from flows.core.files.cut_csv import CsvCutter
from flows.core.files.cut_json import JsonOptions
from flows.core.files.cut_lines import LineOptions
from flows.core.files.cut_xml import XmlOptions
from flows.core.files.cutters import Format, Options, cutter
from flows.core.files.pieces import LEAST_BYTES, PIECE_BYTES, Part
from tests.kit.cutting import seeded


@pytest.mark.parametrize(
    ("form", "options", "text"),
    [
        (Format.CSV, None, b"a,b\n1,2\n"),
        (Format.LINES, LineOptions(), b"{}\n"),
        (Format.JSON, JsonOptions("/x"), b'{"x":[1]}'),
        (Format.XML, XmlOptions("r"), b"<x><r/></x>"),
    ],
)
def test_a_cutter_of_each_format_counts_one_record(form: Format, options: Options, text: bytes) -> None:
    made = cutter(form, options)
    pieces = made.feed(text) + made.finish()
    assert sum(piece.records for piece in pieces) == 1
    assert made.refused is None
    assert cutter(form, options, made.state()).finish() == []


def test_raw_pieces_are_as_large_as_they_may_be() -> None:
    assert [len(piece.data) for piece in cutter(Format.RAW).feed(bytes(3 * PIECE_BYTES))] == [PIECE_BYTES] * 3


@pytest.mark.parametrize(
    ("form", "options", "begin", "record"),
    [
        (Format.CSV, None, b"id,t\n", b"l\n"),
        (Format.CSV, None, b"id,t\r", b"l\r"),
        (Format.CSV, Dialect(encoding="utf-16-le"), b"", b"l\0\n\0"),
        (Format.LINES, None, b"", b"{}\n"),
        (Format.LINES, None, b"", b"x\n"),
        (Format.JSON, None, b"[", b"1,"),
        (Format.JSON, None, b"[", b"{},"),
        (Format.JSON, JsonOptions(concatenated=True), b"", b"{}"),
        (Format.JSON, JsonOptions(concatenated=True), b"", b"1 "),
        (Format.XML, XmlOptions("r"), b"<a>", b"<r/>"),
        (Format.XML, XmlOptions("r"), b"<a>", b"<r></r>"),
    ],
    ids=str,
)
def test_short_records_do_not_all_come_in_one_piece(form: Format, options: Options, begin: bytes, record: bytes) -> None:
    """What is made of a record takes a kilobyte and more, however short it is."""
    made, few = cutter(form, options), PIECE_BYTES // LEAST_BYTES
    counts = [piece.records for piece in made.feed(begin + 40_000 * record) + made.finish()]
    assert sum(counts) >= 39_999
    assert few // 2 <= max(counts) <= 2 * few + 8


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (Format.XML, None),
        (Format.RAW, Dialect()),
        (Format.CSV, Dialect(delimiter="")),
        (Format.CSV, Dialect(delimiter='"')),
        (Format.CSV, Dialect(encoding="utf-7")),
        (Format.CSV, Dialect(encoding="nonsense")),
        (Format.CSV, Dialect(encoding="cp932", delimiter="|")),
        (Format.CSV, Dialect(encoding="ascii", delimiter="þ")),
        (Format.LINES, LineOptions("utf-32")),
        (Format.JSON, JsonOptions("data")),
        (Format.XML, XmlOptions("")),
        (Format.XML, XmlOptions("/a//b")),
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_refused(form: Format, options: Options) -> None:
    with pytest.raises(BadRequest):
        cutter(form, options)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a,b\n1,"x\n2,y\n', [("a", "b"), "unterminated_quote", ("2", "y")]),
        ('1,"x\n2,"y",z\n', ["unterminated_quote", ("2", "y", "z")]),
        ('1,"x"y,z\n2\n', ["junk_after_quote", ("2",)]),
        ('5\'6" tall,""\n"""",x\n', [("5'6\" tall", ""), ('"', "x")]),
        ('"a\r\nb"\r\n\r\nc\rd', [("a\r\nb",), ("c",), ("d",)]),
        ('"ok\nok",b\n"ok\nok","b\n', [("ok\nok", "b"), "unterminated_quote"]),
        ("a,\n,b", [("a", ""), ("", "b")]),
    ],
)
def test_no_bad_row_swallows_its_neighbours(text: str, found: list[tuple[str, ...] | str]) -> None:
    assert [row.code or row.fields for row in rows(text.encode(), Dialect())] == found


def test_rows_that_cannot_be_decoded_or_are_too_long_are_damaged_alone() -> None:
    assert [row.code for row in rows(b"a\n\xff\nbb\nccccc\n", Dialect(longest_row=5))] == ["", "invalid_encoding", "", "record_too_long"]


def test_an_escape_protects_signs_and_no_line_end() -> None:
    found = [row.fields for row in rows(b'a\\,b,"c\\"d"\nC:\\dir\\\nx\n', Dialect(escape="\\"))]
    assert found == [("a,b", 'c"d'), ("C:dir\\",), ("x",)]


def test_a_row_larger_than_a_piece_is_spread_and_little_is_held() -> None:
    made, data = CsvCutter(Dialect(header=False)), b"a\n" + b"x" * (5 * PIECE_BYTES) + b',"q"\nb\n'
    parts, held = [], 0
    for at in range(0, len(data), 65_536):
        parts += [piece.part for piece in made.feed(data[at : at + 65_536])]
        held = max(held, len(made.units))
    parts += [piece.part for piece in made.finish()]
    assert parts == [Part.RECORDS, Part.BEGIN, *[Part.MIDDLE] * 4, Part.END, Part.RECORDS]
    assert held <= PIECE_BYTES + 65_536


def test_a_quote_that_is_never_closed_costs_one_row_of_a_large_file() -> None:
    made, row = CsvCutter(Dialect(header=False)), b"1,abcdefgh,2\n"
    data = row * 100_000 + b'1,"abc\n' + row * 200_000
    blocks, at = seeded(1), 0
    pieces = []
    while at < len(data):
        size = blocks.randint(1, 300_000)
        pieces += made.feed(data[at : at + size])
        at += size
    pieces += made.finish()
    assert sum(piece.records for piece in pieces) == 300_001
    assert b"".join(piece.data for piece in pieces) == data
