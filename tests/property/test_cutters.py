"""Cutters against reference parsers for sound files, against the slow definition of a record for any bytes, in blocks of any size, resumed behind any piece."""

import csv
import io
from functools import partial
from random import Random

import pytest

from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import rows
from flows.core.files.cut_csv import CsvCutter
from flows.core.files.cut_lines import LineCutter, LineOptions
from flows.core.files.cut_raw import RawCutter
from flows.core.files.pieces import Part
from tests.kit.csv_defined import cut_as_defined
from tests.kit.cutting import FILES, check, cut, seeded, sizes, soup, whole

DIALECTS = [
    Dialect(),
    Dialect(header=False),
    Dialect(delimiter=";", escape="\\"),
    Dialect(delimiter="||", quote="'", comment="//"),
    Dialect(delimiter="\t", quote=""),
    Dialect(comment="#", escape="\\", header=False),
    Dialect(encoding="utf-16-le", comment="#"),
    Dialect(encoding="utf-16-be", delimiter=";", escape="\\"),
    Dialect(encoding="cp1252", delimiter="þ", header=False),
    Dialect(look_ahead=12, comment="#"),
]


def csv_signs(dialect: Dialect, rng: Random) -> list[str]:
    sure = [dialect.delimiter, "\n", "a", "é", " "]
    more = [dialect.quote, dialect.quote * 2, dialect.delimiter + dialect.quote, dialect.quote + dialect.delimiter, dialect.quote + "\n", "\n" + dialect.quote]
    other = ["\r", "\r\n", "\n" + dialect.comment, dialect.comment, dialect.escape, dialect.escape + dialect.quote, "long enough", "\u0a0d", "\x00"]
    return sure + rng.sample(more, rng.randint(0, 6)) + rng.sample(other, rng.randint(0, 5))


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
def test_csv_is_cut_where_the_definition_begins_a_row_whatever_the_bytes(dialect: Dialect) -> None:
    rng = seeded(str(dialect))
    for _ in range(FILES // len(DIALECTS) * 2):
        data, size = soup(rng, csv_signs(dialect, rng), dialect.encoding), sizes(rng)
        make = partial(CsvCutter, dialect, piece_bytes=size)
        pieces, _ = cut(make, data, rng, rng.choice([0.0, 0.5, 1.0]))
        check(pieces, data, size)
        cut_as_defined(pieces, data, dialect, size)


def test_csv_of_the_standard_writer_is_read_as_the_standard_reader_reads_it() -> None:
    rng = seeded(4)
    for _ in range(FILES // 2):
        table = [["".join(rng.choice('ab,"\n\r é1') for _ in range(rng.randint(0, 9))) for _ in range(rng.randint(2, 4))] for _ in range(rng.randint(0, 30))]
        every, line_end = rng.choice([(True, "\n"), (True, "\r"), (False, "\r\n")])
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL, lineterminator=line_end).writerows(table)
        encoding, size = rng.choice(["utf-8", "utf-16-le", "cp1252"]), sizes(rng)
        dialect, data = Dialect(encoding=encoding, header=False), text.getvalue().encode(encoding)
        pieces, _ = cut(partial(CsvCutter, dialect, piece_bytes=size), data, rng)
        check(pieces, data, size)
        got = [row for piece, part in whole(pieces) for row in csv.reader(io.StringIO(part.decode(encoding), newline=""))]
        assert got == table == [list(row.fields) for row in rows(data, dialect)]
        assert sum(piece.records for piece in pieces) == len(table)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "latin-1"])
def test_lines_are_cut_behind_line_ends_and_blank_ones_count_for_nothing(encoding: str) -> None:
    rng = seeded(encoding)
    for _ in range(FILES // 2):
        data, size = soup(rng, ["a", "{}", "é", "\n", "\n", "\r\n", " ", "\t", "\r", "\u0a0a"], encoding), sizes(rng)
        pieces, _ = cut(partial(LineCutter, LineOptions(encoding), piece_bytes=size), data, rng, rng.choice([0.0, 0.5, 1.0]))
        check(pieces, data, size)
        line = 1
        for piece, part in whole(pieces):
            text = part.decode(encoding, "replace").removeprefix("\ufeff")
            found = text.split("\n")
            assert piece.line == line
            assert piece.part is Part.BEGIN or piece.records == sum(bool(each.strip(" \t\r")) for each in found)
            assert piece.part is Part.RECORDS or (piece.records == 1 and "\n" not in text[:-1])
            assert text.endswith("\n") or piece.start + len(part) == len(data)
            line += len(found) - 1


def test_raw_pieces_cover_the_file() -> None:
    rng = seeded(5)
    for _ in range(50):
        data = rng.randbytes(rng.randint(0, 500))
        pieces, _ = cut(lambda state: RawCutter(state, piece_bytes=64), data, rng, 0.3)
        check(pieces, data, 64)
        assert {piece.part for piece in pieces} <= {Part.RAW}
