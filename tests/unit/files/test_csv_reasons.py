"""What is said of a row of CSV that could not be read: what was expected, and what stands there."""

from pathlib import Path
from typing import Any

import pytest

from connectors.files.csv_reader import CsvReader
from flows.core.files.csv_dialect import Dialect
from flows.core.files.pieces import Part, Piece
from tests.kit.reading import Here, read_through

HEAD = b"a,b,c\n1,2,3\n"


@pytest.mark.parametrize(
    ("line", "code", "rule", "value"),
    [
        (b"1,2", "too_few_columns", "3 columns", "2"),
        (b'"1,1\n1",2', "too_few_columns", "3 columns", "2"),
        (b"1,2,3,4", "too_many_columns", "3 columns", "4"),
        (b'1,"2,2",3,4,5', "too_many_columns", "3 columns", "5"),
        (b'1,"2,3', "unterminated_quote", "", '1,"2,3'),
        (b'1,"2"x,3', "junk_after_quote", "", '1,"2"x,3'),
        (b"1,x\0y,3", "nul_byte", "", "x\0y"),
        (b"1,M\xfcller,3", "invalid_encoding", "", "M\ufffdller"),
        (b"1," + b"x" * 1000 + b"\0,3", "nul_byte", "", "x" * 256),
    ],
)
@pytest.mark.parametrize("source", [{}, {"escape": "\\"}], ids=["plain", "with an escape"])
def test_a_damaged_row_says_what_was_expected_and_what_stands_there(
    tmp_path: Path, line: bytes, code: str, rule: str, value: str, source: dict[str, Any]
) -> None:
    data = HEAD + line + b"\n4,5,6\n"
    found = read_through(Here(), data, "csv", tmp_path, name="a.csv", encoding="utf-8", **source)
    assert [(one.code, one.rule, one.value) for one in found.rejects] == [(code, rule, value)]
    assert found.good == 2


def test_columns_are_counted_in_utf_16_and_by_long_delimiters(tmp_path: Path) -> None:
    found = read_through(Here(), "a,b,c\n1,2\n3,4,\u2c2c\n".encode("utf-16"), "csv", tmp_path, name="a.csv")
    assert [(one.rule, one.value) for one in found.rejects] == [("3 columns", "2")]
    reader = CsvReader(Dialect(delimiter="||"), ["a", "b"])
    rejects = [one for read in reader.read([Piece(0, b'x\n1||2\n1||2||3\n1||"x"y\n', 1, 0, 4, Part.RECORDS)]) for one in read.rejects]
    assert [one.value for one in rejects] == ["3", '1||"x"y']


@pytest.mark.parametrize("parts", [False, True])
def test_a_row_that_is_too_long_says_how_long_it_may_be(*, parts: bool) -> None:
    dialect, row = Dialect(longest_row=10), b"1234,567890\n"
    pieces = [Piece(0, row, 1, 0, 1, Part.RECORDS)]
    if parts:
        pieces = [Piece(0, row[:6], 1, 0, 0, Part.BEGIN), Piece(6, row[6:], 1, 0, 1, Part.END)]
    reader = CsvReader(Dialect(header=False, longest_row=dialect.longest_row), ["a", "b"])
    reads = [*reader.read(pieces), *reader.finish()]
    assert [(one.code, one.rule, one.value) for read in reads for one in read.rejects] == [("record_too_long", "at most 10 bytes", "12")]
