"""Whatever the bytes: the quick way gives the rows of the exact one, nothing is lost, and values are what the standard library reads."""

import json
import random
from decimal import Decimal
from typing import Any

import orjson
import pytest

from connectors.files import jsonarray, ndjson
from connectors.files.bypiece import ByPiece
from connectors.files.reader import Read
from flows.core.files.pieces import Piece
from tests.kit.tables import read

SCALARS = ["1", "-0", "0", "7", "1.0", "2.5", "1e2", "-3.25", "9223372036854775807", "9223372036854775808", "1" * 25, "true", "false", "null", '""', '"a"']
TEXTS = ['"\\u00e9"', '"é😀"', '"},{"', '"\\"}\\n{"', '"a\\\\"', '":"', '"\\u0000"', '"1"', '" "', '"\\ud83d\\ude00"', '"/\\/"']
NESTED = ["[]", "{}", '[1, 2.0, "]"]', '{"a": {"b": [null]}}', '[{"x":1},{"x":2}]', '{"k":"},{"}']
BROKEN = ["01", "NaN", '"\\ud800"', "1" * 400, '"\x01"', "[1", "}", '"', "nul", '"a\tb"', '"\\x"', "1.", "+1", '{"a":1,}', "", "1 2", '"\x00"', "[" * 1100]
NAMES = ["a", "b", "c", "é", "a b", "", "x.y", "\\u0061", '\\"', "1"]


def record(rng: random.Random, style: str, broken: float) -> bytes:
    pools = {"flat": [SCALARS[3:4], ['"t"', '"u"'], ["1.5", "2.25"], ["true", "false"]], "mixed": [SCALARS, TEXTS, SCALARS, NESTED]}[style]
    names = NAMES[:4] if style == "flat" else rng.choices(NAMES, k=rng.randint(0, 5))
    blank = rng.choice(["", "", " "])
    pairs = [f'"{name}"{blank}:{blank}{rng.choice(pools[index % 4])}' for index, name in enumerate(names) if style == "mixed" or rng.random() > 0.05]
    text = "{" + f",{blank}".join(pairs) + "}"
    if rng.random() < broken:
        spot = rng.randrange(len(text))
        text = rng.choice(
            [text[:spot] + rng.choice(BROKEN) + text[spot:], text[:spot], text[spot:], rng.choice(BROKEN), text + ",", text + text, "[" + text + "]"]
        )
    data = text.encode()
    if rng.random() < broken / 4:
        spot = rng.randrange(len(data) + 1)
        data = data[:spot] + rng.choice([b"\xff", b"\xed\xa0\x80", b"\xc3"]) + data[spot:]
    return data


def same(one: Read, other: Read) -> None:
    assert one.table.frame.schema == other.table.frame.schema
    assert one.table.frame.equals(other.table.frame)
    assert one.table.fragments == other.table.fragments
    assert list(one.table.ordinals) == list(other.table.ordinals)
    assert one.rejects == other.rejects
    assert one.rows_read == other.rows_read == one.table.frame.height + len(one.rejects)
    assert [one.table.place(index) for index in range(one.table.frame.height)] == [other.table.place(index) for index in range(other.table.frame.height)]


def values(done: Read) -> list[dict[str, Any]]:
    """Numbers as texts, as far as they are kept as such."""
    return [
        {name: json.loads(value, parse_int=Decimal) if name in done.table.fragments else value for name, value in row.items() if value is not None}
        for row in done.table.frame.iter_rows(named=True)
    ]


def expected(done: Read) -> list[dict[str, Any]]:
    whole = (json.loads(done.table.place(index).raw, parse_int=Decimal) for index in range(done.table.frame.height))
    return [{name: value for name, value in row.items() if value is not None} for row in whole]


def check(quick: ByPiece, piece: Piece, exact: ByPiece) -> Read:
    (one,), (other,) = read(quick, [piece]), read(exact, [piece])
    same(one, other)
    assert values(one) == expected(one)
    for reject in one.rejects:
        assert piece.data[reject.offset - piece.start :].startswith(reject.raw)
    return one


@pytest.mark.parametrize("style", ["flat", "mixed"])
@pytest.mark.parametrize("seed", range(60))
def test_lines(seed: int, style: str) -> None:
    rng = random.Random(seed)  # noqa: S311  it makes test data
    quick = ndjson.reader()
    for step in range(12):
        records = [record(rng, style, 0.02 if step % 3 else 0.0).replace(b"\n", b"") for _ in range(rng.choice([rng.randint(1, 12), 50]))]
        data = rng.choice([b"\n", b"\r\n", b"\n\n"]).join(records) + rng.choice([b"", b"\n"])
        lines = [line for line in data.split(b"\n") if line.strip(b" \t\r\n")]
        done = check(quick, Piece(50, data, 3, 7, len(lines)), ndjson.reader(state=quick.state()))
        assert done.rows_read == len(lines)
        good = sum(1 for line in lines if _object(line))
        assert done.table.frame.height == good


@pytest.mark.parametrize("style", ["flat", "mixed"])
@pytest.mark.parametrize("seed", range(60))
def test_elements(seed: int, style: str) -> None:
    rng = random.Random(seed)  # noqa: S311  it makes test data
    quick = jsonarray.reader()
    for step in range(12):
        records = [record(rng, style, 0.0 if step % 2 else 0.05) for _ in range(rng.choice([rng.randint(1, 12), 50]))]
        data = rng.choice([b",", b", ", b",\n  ", b"\r\n,"]).join(records) + rng.choice([b"", b",", b",\n"])
        done = check(quick, Piece(50, data, 3, 7, len(records)), jsonarray.reader(state=quick.state()))
        assert done.rows_read == len(records)


def _object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False
