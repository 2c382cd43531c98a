"""Quoted fields longer than one looks ahead: cut as defined, whatever the blocks; read row by row as they were cut; and no row is lost to one that is open."""

from functools import partial
from random import Random

import pytest

from connectors.files.csv_reader import CsvReader
from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import Row
from flows.core.files.cut_csv import CsvCutter
from flows.core.files.units import bom, width
from tests.kit.csv_defined import cut_as_defined, defined
from tests.kit.cutting import FILES, check, cut, seeded
from tests.property.test_csv_reader import Seen, seen

DIALECTS = [
    Dialect(look_ahead=40),
    Dialect(look_ahead=40, header=False),
    Dialect(look_ahead=100, longest_row=300),
    Dialect(look_ahead=64, encoding="utf-16-le"),
    Dialect(look_ahead=200, encoding="utf-16-be", comment="#"),
    Dialect(look_ahead=40, escape="\\", delimiter=";"),
    Dialect(look_ahead=64, delimiter="||", quote="'"),
]
LINES = ["1,2,3", "1,2,3", "a,b,c", "prose", "a b, c", "", "#", "much longer than the others are, all of them", '"x",y,z', "x" * 70, "1,2,3,4"]
INSIDE = ['""', "\\", '\\"', "1", ",", "\r", "é", "x" * 50]
ENDS = ["\n", "\n", "\n", "\r\n", "\r"]


def text(luck: Random) -> str:
    """Return rows, long fields that are closed, and such as are not."""
    parts = [luck.choice(["a,b,c\n", "a,b,c\r\n", '"a\nb",b\n', ""])]
    for _ in range(luck.randrange(12)):
        few = luck.sample(LINES, luck.randint(1, 3))
        lines = [luck.choice(few) + luck.choice(ENDS) for _ in range(luck.choice([0, 1, 2, 5, 20, 40]))]
        match luck.randrange(4):
            case 0:
                parts += lines
            case 1:
                parts += ['1,"', *(line.replace('"', '""') for line in lines), luck.choice(INSIDE), '",2', luck.choice(ENDS)]
            case 2:
                parts += ['1,"', *lines]
            case _:
                parts += ['"', *(luck.choice([luck.choice(INSIDE), line.replace('"', "")]) for line in lines), luck.choice(['"', '"x', ""]), luck.choice(ENDS)]
    return "".join(parts)


def written(luck: Random, dialect: Dialect) -> bytes:
    signs = str.maketrans({",": dialect.delimiter, '"': dialect.quote})
    data = text(luck).translate(signs).encode(dialect.encoding)
    return luck.choice([b"", bom(dialect.encoding)]) + data + luck.choice([b"", b"", b"", b"\xff"])


def judged(row: Row, dialect: Dialect, data: bytes) -> Seen:
    """Return what a reader makes of a row of a file of three columns, where short ones are filled up; the row itself not where it is too long."""
    code = "record_too_long" if row.end - row.start > dialect.longest_row else row.code or "too_many_columns" * (len(row.fields) > 3)
    values = [value if value or quoted else None for value, quoted in zip(row.fields, row.quoted, strict=True)]
    fields = () if code else (*values, *[None] * (3 - len(values)))
    return Seen(0, fields, code, row.line, row.start, b"" if code == "record_too_long" else data[row.start : row.end])


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_long_fields_are_cut_as_defined_and_read_as_they_were_cut(dialect: Dialect) -> None:
    luck = seeded(f"long {dialect}")
    for _ in range(FILES // 24):
        data, size = written(luck, dialect), min(luck.choice([16, 40, 100]), dialect.look_ahead // 2)
        pieces, _ = cut(partial(CsvCutter, dialect, piece_bytes=size), data, luck, luck.choice([0.0, 0.5, 1.0]))
        check(pieces, data, size)
        want = cut_as_defined(pieces, data, dialect, size)
        if dialect.header and want and (want[0].code or want[0].end > dialect.longest_row):
            continue  # then nothing is read
        reader, half = CsvReader(dialect, ["a", "b", "c"], fill=True), luck.randrange(len(pieces) + 1)
        reads = sorted([*seen(reader.read(pieces[:half])), *seen(reader.read(pieces[half:])), *seen(reader.finish())])
        assert [one.ordinal for one in reads] == [*range(len(want) - (dialect.header and bool(want)))]
        alike = [one._replace(ordinal=0, raw=b"" if one.code == "record_too_long" else one.raw) for one in reads]
        assert alike == [judged(row, dialect, data) for row in want[dialect.header :]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_what_is_held_has_a_bound_whatever_is_open(encoding: str) -> None:
    luck = seeded(f"held {encoding}")
    dialect, size, block = Dialect(look_ahead=400, encoding=encoding), 200, 40
    for _ in range(FILES // 20):
        made, data = CsvCutter(dialect, piece_bytes=size), b"".join(written(luck, dialect) for _ in range(5))
        for at in range(0, len(data), block):
            made.feed(data[at : at + block])
            assert len(made.units) * width(encoding) <= dialect.look_ahead + size + size // 8 + 2 * block


@pytest.mark.parametrize("rows", [1, 3, 200])
@pytest.mark.parametrize("broken", ['1,"2,3', '1,"2,x,3', '"1', '1,2,"', '1,"' + "x" * 90])
def test_rows_behind_an_open_quote_are_read(broken: str, rows: int) -> None:
    luck, dialect = seeded(f"{broken} {rows}"), Dialect(look_ahead=60)
    plain = [f"{n},2,3" for n in range(rows)]
    data = "\n".join(["a,b,c", *plain, broken, *plain, '1,5",3', *plain]).encode()
    if 6 * rows > 60:  # else what looks like the other half is within reach
        found = defined(data, dialect, 40)
        pieces, _ = cut(partial(CsvCutter, dialect, piece_bytes=40), data, luck, 0.5)
        assert [row.code for row in found] == [*[""] * (rows + 1), "unterminated_quote", *[""] * (2 * rows + 1)]
        assert sum(piece.records for piece in pieces) == 3 * rows + 2
