"""Records that are written alike, and some that are made to pass for such: what a template takes at once is what the exact way reads one by one."""

import random

import pytest

from connectors.files import jsonarray, ndjson
from flows.core.files.pieces import Piece
from tests.kit.tables import all_rejects, all_rows, read
from tests.property.test_json_rows import check

NAMES = ["id", "name", "price", "paid", "é x", "mixed", "none", ""]
CLEAN = [
    ["1", "0", "-7", "123456789012345678"],
    ['"a"', '"é😀"', '""', '"null"', '"a, b: c"', '"12"', '"\x7f"'],
    ["1.5", "0.25", "-3.0", "1e2", "1.0E-7", "0.1", "123456.789e-3"],
    ["true", "false"],
    ['"x"', '"\u2028"'],
    ["1", "2.5", "-0.0", "17"],
    ["null"],
    ["1.5", "2.0"],
]
STRANGE = [
    *("-0", "-", "01", "1.", ".5", "+1", "1e", "0x1", "1_0", "Infinity", "NaN", "1e300", "-1e400", "9223372036854775807", "9223372036854775808", "1" * 30),
    *("9007199254740993.0", "1e19", "9.3e18", "True", "nul", "nulll", "truefalse", '"true"', '"1"', "'a'", '"', '""""', '"a""b"', '"a" "b"', '"a":"b"', "1,2"),
    *(
        '"\t"',
        '"\x02"',
        '"\x03"',
        '"\x00"',
        '"a\\"',
        '"\\n"',
        '"\\u0041"',
        '"\\ud800"',
        '"},{"',
        '"}"',
        '"{"',
        '"],["',
        '"}\x02{"',
        "\x03",
        "\x02",
        " ",
        "",
        "1 2",
    ),
    *("[]", "{}", "[1]", '{"id":1}', '"a","name":"b"', '1,"id":2', '1,"new":2', '1}{"id":2', '1},{"id":2', '"a"}', "[", "]", "{", "}", "\ufeff1"),
]
BLANKS = [(":", ","), (": ", ", "), (" : ", " , "), (":\t", ",\t"), (":", ",\n  "), (": ", ",\r\n")]


def record(rng: random.Random, names: list[str], style: tuple[str, str], strange: float) -> bytes:
    """Write a record as all are, or with something else in the place of a value, or its keys in another order, twice, or not at all."""
    values = {name: rng.choice(CLEAN[NAMES.index(name)]) if rng.random() > 0.1 else "null" for name in names}
    pairs = [f'"{name}"{style[0]}{value}' for name, value in values.items()]
    if rng.random() < strange:
        spot = rng.randrange(len(pairs))
        match rng.randrange(6):
            case 0:
                pairs[spot] = pairs[spot - 1]
            case 1:
                pairs[spot], pairs[0] = pairs[0], pairs[spot]
            case 2:
                pairs = pairs[:spot]
            case _:
                pairs[spot] = f'"{names[spot]}"{style[0]}{rng.choice(STRANGE)}'
    text = "{" + style[1].join(pairs) + "}"
    data = text.encode()
    if rng.random() < strange / 8:
        spot = rng.randrange(len(data))
        data = data[:spot] + rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x02", b"\x03", b"\r", b",", b"}", b'"', b" "]) + data[spot + rng.randrange(2) :]
    return data


def shuffled(rng: random.Random) -> list[str]:
    return rng.sample(NAMES, rng.randint(1, len(NAMES)))


@pytest.mark.parametrize("seed", range(150))
def test_a_piece(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  it makes test data
    listed, names, style = rng.random() < 0.5, shuffled(rng), rng.choice(BLANKS)
    style = style if listed or "\n" not in style[1] else (":", ",")
    gap = rng.choice([",", ", ", ",\n", ",\r\n", " ,\n  ", "\n,", ",\n\n"] if listed else ["\n", "\r\n", " \n\t"]).encode()
    quick = jsonarray.reader() if listed else ndjson.reader()
    for step in range(8):
        records = [record(rng, names, style, 0.0 if step < 2 else rng.choice([0.02, 0.1, 0.3])) for _ in range(rng.choice([3, 12, 40]))]
        records = records if listed else [one.replace(b"\n", b"") for one in records]
        data = gap.join(records) + rng.choice([b"", gap])
        count = len(records) if listed else sum(1 for line in data.split(b"\n") if line.strip(b" \t\r\n"))
        exact = jsonarray.reader(state=quick.state()) if listed else ndjson.reader(state=quick.state())
        check(quick, Piece(50, data, 3, 7, count), exact)


def pieces(rng: random.Random, parts: list[list[bytes]], gap: bytes) -> list[Piece]:
    """Put records into pieces that follow one another."""
    made: list[Piece] = []
    at, line, first = 100, 5, 20
    for part in parts:
        lead = rng.choice([b"", gap.partition(b",")[2]]) if b"," in gap else b""
        data = lead + gap.join(part) + (gap.partition(b",")[0] + b"," if b"," in gap else gap)
        made.append(Piece(at, data, line, first, len(part)))
        at, line, first = at + len(data), line + data.count(b"\n"), first + len(part)
    return made


@pytest.mark.parametrize("seed", range(100))
def test_many_pieces_at_once(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  it makes test data
    listed, names = rng.random() < 0.5, shuffled(rng)
    style, gap = rng.choice(BLANKS[:3]), rng.choice([b",", b",\n", b", "] if listed else [b"\n", b"\r\n"])
    strange = rng.choice([0.0, 0.02, 0.1])
    parts = [[record(rng, names, style, strange).replace(b"\n", b"") or b"0" for _ in range(rng.randint(2, 30))] for _ in range(6)]
    if not listed:
        parts = [[one if one.strip(b" \t\r\n") else b"0" for one in part] for part in parts]
    made = pieces(rng, parts, gap)
    make = jsonarray.reader if listed else ndjson.reader
    at_once, apart = make(), make()
    clean = Piece(0, gap.join(record(rng, names, style, 0.0) for _ in range(30)), 1, 0, 30)
    read(at_once, [clean])
    done, wanted = read(at_once, made), [one for piece in made for one in read(apart, [piece])]
    assert all_rows(done) == all_rows(wanted)
    assert all_rejects(done) == all_rejects(wanted)
    assert [ordinal for one in done for ordinal in one.table.ordinals] == [ordinal for one in wanted for ordinal in one.table.ordinals]
    places = [[one.table.place(row) for one in found for row in range(one.table.frame.height)] for found in (done, wanted)]
    assert places[0] == places[1]
    assert at_once.goes_on() == apart.goes_on()
