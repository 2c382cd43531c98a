"""Files of which every tenth row is damaged: the rest goes the quick way all the same, and comes out as the tokenizer has it, row by row and place by place."""

from collections.abc import Callable
from random import Random

import pytest

from connectors.files.csv_fast import parse
from connectors.files.csv_reader import CsvReader
from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import rows
from flows.core.files.pieces import Piece
from tests.property.test_csv_reader import cut, expected, seen

WIDTH = 5
WORDS = ["", "a", "word", "é", 'say "hi"', "x,y;z", "two\nlines", "three\r\n\n lines", "1.5", " padded ", '""', "#"]
Harm = Callable[[bytes, Random], bytes]
HARMS: list[Harm] = [
    lambda row, _: row.rpartition(b",")[0],  # too few
    lambda row, _: row + b",more",
    lambda row, _: row + b",",
    lambda row, _: row.replace(b",", b',"', 1),  # a quote that nothing closes, or that was there
    lambda row, _: row.replace(b",", b',"a"b,', 1),  # junk behind one
    lambda row, luck: _put(row, luck, b"\xff"),
    lambda row, luck: _put(row, luck, b"\0"),
    lambda row, luck: _put(row, luck, b"\r"),
    lambda row, luck: _put(row, luck, b'"'),
    lambda _, __: b"",
    lambda _, __: b"\r\n",
    lambda _, __: b"# a comment, or a row",
    lambda row, luck: _put(row, luck, b"\\"),
    lambda row, luck: row[: luck.randrange(len(row) + 1)],
]


def _put(row: bytes, luck: Random, sign: bytes) -> bytes:
    at = luck.randrange(len(row) + 1)
    return row[:at] + sign + row[at:]


def written(luck: Random, share: float, dialect: Dialect, many: int) -> bytes:
    quote, end = dialect.quote, luck.choice(["\n", "\n", "\r\n"])
    lines = [b"a,b,c,d,e"]
    always = luck.random() < 0.2
    for _ in range(many):
        fields = [luck.choice(WORDS) if luck.random() < 0.2 else "plain" for _ in range(WIDTH)]
        quoted = [f"{quote}{text.replace(quote, quote * 2)}{quote}" if always or set(text) & set('",\r\n') else text for text in fields]
        row = ",".join(quoted).encode(dialect.encoding)
        lines.append(luck.choice(HARMS)(row, luck) if luck.random() < share else row)
    return end.encode().join(lines) + (end.encode() if luck.random() < 0.8 else b"")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("dialect", [Dialect(), Dialect(escape="\\"), Dialect(comment="#"), Dialect(encoding="cp1252")], ids=range(4))
def test_damage_costs_its_own_rows_and_no_others(dialect: Dialect, share: float) -> None:
    luck = Random(f"{dialect} {share}")  # noqa: S311 - a seed for tests
    for _ in range(12):
        data = written(luck, share, dialect, luck.choice([30, 200]))
        fill = luck.random() < 0.2
        out = [*seen(CsvReader(dialect, fill=fill).read(cut(data, dialect, luck)))]
        assert sorted(out) == expected(data, dialect, fill=fill)


def test_rows_that_are_sound_are_read_by_polars_whatever_stands_between_them() -> None:
    luck = Random(5)  # noqa: S311 - a seed for tests
    dialect = Dialect(header=False)
    for _ in range(20):
        data = written(luck, 0.1, dialect, 300)
        parsed = parse(data, list("abcde"), dialect, fill=False)
        assert parsed is not None
        wanted = expected(data, Dialect(header=False), fill=False)
        assert [row.fields for row in wanted if not row.code] == parsed.frame.rows()
        assert [(row.ordinal, row.offset, row.line, row.code) for row in wanted if row.code] == [
            (bad.row, bad.start, bad.lines + 1, bad.code) for bad in parsed.damages
        ]


@pytest.mark.parametrize("damaged", [b'1,"2,3,4,5\n', b'1,"2"x,3,4,5\n', b"1,2,3,4\n", b"1,\xff,3,4,5\n", b"1,\0,3,4,5\n", b"1,2,3,4,5,6\n"])
def test_pieces_are_read_together_though_each_holds_damage(damaged: bytes) -> None:
    """Pieces as the cutter makes them, with a quoted line end on both sides of the damage."""
    sound = b'1,"2\n,",3,4,5\n' * 50
    data = sound + damaged + sound
    pieces = [Piece(number * len(data), data, 1 + number * data.count(b"\n"), number * 101, 101) for number in range(4)]
    (done,) = CsvReader(Dialect(header=False), list("abcde")).read(pieces)
    assert done.rows_read == 404
    assert [reject.ordinal for reject in done.rejects] == [50, 151, 252, 353]
    for reject in done.rejects:
        (row,) = rows(reject.raw, Dialect(header=False), 1)
        assert (data * 4)[reject.offset :].startswith(damaged.rstrip(b"\n"))
        assert reject.line == 1 + (data * 4).count(b"\n", 0, reject.offset)
        assert row.end - row.start == len(damaged)
