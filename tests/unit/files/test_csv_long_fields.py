"""Quoted fields that are longer than one looks ahead: one row each where they are closed, and no neighbour is lost where they are not."""

from pathlib import Path

import pytest

from tests.kit.reading import Here, Outcome, read_through

MIB = 1024 * 1024
HEAD, ROWS = "id,text,n\n", "".join(f"{n},plain,{n}\n" for n in range(100))
ENCODINGS = pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
PROSE = 'A line, or two; ""said"" the letter.\nAnother one\r\n\nand, as it were, the last of them\n'


def read(text: str, encoding: str, scratch: Path) -> Outcome:
    """Read a file whose pieces were cut as it came."""
    return read_through(Here(), text.encode(encoding), "csv", scratch, name="a.csv", kept=3, encoding=encoding)


def long(text: str, size: int) -> str:
    return text * (size // len(text) + 1)


@ENCODINGS
@pytest.mark.parametrize("text", [PROSE, "x" * 99, "2026-01-01 12:00:00,123 INFO it goes on\n"], ids=["prose", "one line", "a log"])
@pytest.mark.parametrize("columns", ["first", "middle", "last"])
def test_a_closed_field_is_one_row_and_comes_as_it_was_written(tmp_path: Path, encoding: str, text: str, columns: str) -> None:
    field = f'"{long(text, 3 * MIB // 2)}"'
    row = {"first": f"{field},b,c\n", "middle": f"a,{field},c\n", "last": f"a,b,{field}\n"}[columns]
    found = read(HEAD + ROWS + row + ROWS, encoding, tmp_path)
    assert (found.rows_read, found.good, found.rejects) == (201, 201, [])
    alone = read(HEAD + ROWS[:10] + row, encoding, tmp_path)
    value = field[1:-1].replace('""', '"').replace("\n", "\\n").replace("\r", "\\r").replace('"', '\\"')
    assert value.encode() in alone.values[-1]


@ENCODINGS
@pytest.mark.parametrize("text", [PROSE, "x" * 99], ids=["prose", "one line"])
def test_a_row_that_is_too_long_is_one_reject_which_says_where_it_is(tmp_path: Path, encoding: str, text: str) -> None:
    field = long(text, 17 * MIB)
    found = read(HEAD + ROWS + f'a,"{field}",c\n' + ROWS, encoding, tmp_path)
    (reject,) = found.rejects
    assert (found.rows_read, found.good) == (201, 200)
    assert (reject.code, reject.rule, reject.ordinal, reject.line) == ("record_too_long", f"at most {16 * MIB} bytes", 100, 102)
    assert reject.offset == len((HEAD + ROWS).encode(encoding))
    assert reject.raw.startswith(f'a,"{text[:50]}'.encode(encoding))


@ENCODINGS
@pytest.mark.parametrize(
    ("opened", "code"),
    [
        ('a,"b,c\n', "unterminated_quote"),
        ('a,"Smith, John, Dr.,c\n', "unterminated_quote"),
        ('"b\n', "unterminated_quote"),
        ('a,"' + "b" * (3 * MIB // 2) + ",c\n", "unterminated_quote"),
        ('a,"' + "b" * (3 * MIB // 2) + '"b,c\n', "junk_after_quote"),
    ],
    ids=["plain", "with commas", "broken off", "long", "long with junk"],
)
def test_a_quote_that_nothing_closes_costs_its_own_row(tmp_path: Path, encoding: str, opened: str, code: str) -> None:
    plain = long(ROWS, 5 * MIB // 2)
    lines = plain.count("\n")
    found = read(HEAD + ROWS + opened + plain, encoding, tmp_path)
    assert [(reject.code, reject.ordinal, reject.line) for reject in found.rejects] == [(code, 100, 102)]
    assert found.good == 100 + lines
    closed = read(HEAD + ROWS + opened + plain + 'a,5",c\n' + ROWS, encoding, tmp_path)  # a quote that would do
    assert (closed.rejected, closed.good) == (1, 100 + lines + 101)


@ENCODINGS
def test_a_long_row_behind_a_quote_that_nothing_closes_is_read(tmp_path: Path, encoding: str) -> None:
    found = read(HEAD + ROWS + f'a,"b,c\na,{"x" * (3 * MIB)},c\n' + ROWS, encoding, tmp_path)
    assert [(reject.code, reject.ordinal) for reject in found.rejects] == [("unterminated_quote", 100)]
    assert found.good == 201


def test_lines_that_would_be_rows_are_rows_where_their_header_has_another_width_too(tmp_path: Path) -> None:
    plain = long("1,2,3,\n", 3 * MIB)
    found = read_through(Here(), (HEAD + "1,2,3,\n" + '1,"2,3,\n' + plain).encode(), "csv", tmp_path, name="a.csv", kept=1, columns=["a", "b", "c", "d"])
    assert [(reject.code, reject.ordinal) for reject in found.rejects] == [("unterminated_quote", 1)]
    assert found.good == 1 + plain.count("\n")


def test_where_prose_ends_in_rows_they_are_rows_again(tmp_path: Path) -> None:
    prose, plain = long("no row at all\n", 2 * MIB), long(ROWS, 3 * MIB)
    found = read(HEAD + ROWS + 'a,"b\n' + prose + plain, "utf-8", tmp_path)
    assert found.rejects[0][:2] == (100, 102)
    assert {reject.code for reject in found.rejects} == {"unterminated_quote", "too_few_columns"}
    assert found.good > 100 + plain.count("\n") // 2
