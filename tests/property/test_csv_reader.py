"""The fast CSV reader gives what the tokenizer gives, whatever the bytes are and however they are cut."""

import csv
import io
from collections.abc import Iterator
from random import Random
from typing import Literal, NamedTuple

import pytest

from connectors.files.csv_reader import CsvReader, unique
from connectors.files.reader import Read
from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import LINE_END, Row, rows
from flows.core.files.pieces import Piece
from flows.core.files.units import shadow
from tests.kit.cutting import FILES

ALPHABET = ['"', '"', '"', ",", ",", ",", "\n", "\n", "\r\n", "a", "b", " ", "é", "1"]
STRANGE = [*ALPHABET, "\r", "\0", "#", "\\", "'", "\ufeff", ";", "\u2028"]
DIALECTS = [
    Dialect(),
    Dialect(header=False),
    Dialect(delimiter=";", quote="'"),
    Dialect(quote=""),
    Dialect(escape="\\"),
    Dialect(comment="#"),
    Dialect(encoding="utf-16-le"),
    Dialect(encoding="utf-16-be", comment="#"),
    Dialect(encoding="cp1252"),
    Dialect(encoding="gb18030"),
    Dialect(delimiter=";;"),
    Dialect(look_ahead=6, longest_row=40),
]


class Seen(NamedTuple):
    ordinal: int
    fields: tuple[str | None, ...]
    code: str
    line: int
    offset: int
    raw: bytes


def cut(data: bytes, dialect: Dialect, luck: Random) -> list[Piece]:
    """Cut a file between rows, as often as luck has it."""
    pieces, start, line, first, records = [], 0, 1, 0, 0
    for number, row in enumerate(all_rows := list(rows(data, dialect))):
        records += not (dialect.header and number == 0)
        last = number == len(all_rows) - 1
        if last or luck.random() < 0.3:
            end = len(data) if last else row.end
            pieces.append(Piece(start, data[start:end], line, first, records))
            line += len(LINE_END.findall(shadow(data[start:end], dialect.grammar.encoding)))
            start, first, records = end, first + records, 0
    return pieces


def expected(data: bytes, dialect: Dialect, *, fill: bool) -> list[Seen]:
    """Return the rows as the tokenizer has them."""
    found = list(rows(data, dialect))
    if not found:
        return []
    body = found[1:] if dialect.header else found
    head = found[0] if dialect.header else next((row for row in found if not row.code), None)
    width = len(head.fields) if head else 0

    def judged(row: Row) -> tuple[tuple[str | None, ...], str]:
        if row.code:
            return (), row.code
        if "\0" in "".join(row.fields):
            return (), "nul_byte"
        if len(row.fields) > width:
            return (), "too_many_columns"
        if len(row.fields) < width and not fill:
            return (), "too_few_columns"
        values = [text if text or quoted else None for text, quoted in zip(row.fields, row.quoted, strict=True)]
        return (*values, *[None] * (width - len(values))), ""

    return [Seen(ordinal, *judged(row), row.line, row.start, data[row.start : row.end]) for ordinal, row in enumerate(body)]


def seen(reads: Iterator[Read]) -> Iterator[Seen]:
    for table, rejects, count in reads:
        assert count == table.frame.height + len(rejects)
        yield from (Seen(bad.ordinal, (), bad.code, bad.line, bad.offset, bad.raw) for bad in rejects)
        assert len(table.ordinals) == table.frame.height
        for at, fields in enumerate(table.frame.rows()):
            place = table.place(at)
            yield Seen(table.ordinals[at], fields, "", place.line, place.offset, place.raw)


def compare(data: bytes, dialect: Dialect, luck: Random, *, fill: bool) -> None:
    if dialect.header:
        head = next(rows(data, dialect), None)
        if head is None or head.code:
            return
    pieces = cut(data, dialect, luck)
    reader = CsvReader(dialect, fill=fill)
    half = luck.randrange(len(pieces) + 1)
    out = [*seen(reader.read(pieces[:half]))]
    if state := reader.state():  # another process goes on
        reader = CsvReader(dialect, fill=fill, state=state)
    out += [*seen(reader.read(pieces[half:])), *seen(reader.finish())]
    assert sorted(out) == expected(data, dialect, fill=fill), (data, dialect, fill)


@pytest.mark.parametrize("dialect", DIALECTS, ids=range(len(DIALECTS)))
def test_any_bytes_are_read_as_the_tokenizer_reads_them(dialect: Dialect) -> None:
    luck = Random(repr(dialect))  # noqa: S311 - a seed for tests
    for _ in range(FILES // len(DIALECTS)):
        alphabet = luck.choice([ALPHABET, STRANGE, [*ALPHABET, *"abcd\n\n,,"]])
        text = "".join(luck.choices(alphabet, k=luck.randrange(60)))
        head = luck.choice(["a,b\n", "a\n", "a,b,c\r\n", ""])
        data = (head + text).replace(",", dialect.delimiter).encode(dialect.grammar.encoding, "replace")
        if luck.random() < 0.2 and data:
            at = luck.randrange(len(data))
            data = data[:at] + bytes([luck.randrange(256)]) + data[at + luck.randrange(2) :]
        compare(data, dialect, luck, fill=luck.random() < 0.3)


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_what_writers_of_csv_write_is_read_back(quoting: Literal[0, 1, 2]) -> None:
    luck = Random(quoting)  # noqa: S311 - a seed for tests
    words = ["", "a", 'say "hi"', "x,y", "two\nlines", " padded ", "é", "1.5", "null", "#", "\\", "'", "''", '"', "\r\n"]
    for _ in range(100):
        width = luck.randrange(2, 6)
        table = [[luck.choice(words) for _ in range(width)] for _ in range(luck.randrange(1, 20))]
        delimiter, end = luck.choice(",;\t|"), luck.choice(["\n", "\r\n"])
        file = io.StringIO()
        csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([[f"c{n}" for n in range(width)], *table])
        dialect = Dialect(delimiter=delimiter)
        out = list(seen(CsvReader(dialect).read(cut(file.getvalue().encode(), dialect, luck))))
        assert [[text or "" for text in one.fields] for one in out] == table


def test_names_of_columns_are_each_another_whatever_they_are() -> None:
    luck = Random(7)  # noqa: S311 - a seed for tests
    for _ in range(500):
        names = luck.choices(["", "a", "a_2", "a_3", "column_1", "column_2", "column_2_2"], k=luck.randrange(8))
        out = unique(names)
        assert len(out) == len(names) == len(set(out))
        assert all(new == old for new, old in zip(out, names, strict=True) if names.count(old) == 1 and old)
