import datetime as dt
import io
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import orjson
import polars as pl
import pytest

from connectors.files.encode import Output, Shape, encode, expressible, ids_of, lines_of
from connectors.files.plan import Sifted
from connectors.files.table import Place, Table
from flows.core.files.rejects import Reject
from tests.kit.reading import Here, read_through

AT = dt.datetime(2026, 3, 1, 12, 30, 0, 120_000)  # noqa: DTZ001 - one without a zone is what is tested
FILE = "ab" * 32
NONE: frozenset[str] = frozenset()


def sifted(frame: pl.DataFrame, rows: list[int] | None = None, fragments: frozenset[str] = NONE) -> Sifted:
    return Sifted(frame, None if rows is None else pl.Series(rows, dtype=pl.UInt32), fragments, [])


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (pl.Series(['a\n"\\é😀\u2028\x01', None, ""]), ['a\n"\\é😀\u2028\x01', None, ""]),
        (pl.Series([1.5, float("nan"), float("inf")]), [1.5, None, None]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), [2**64 - 1]),
        (pl.Series([True, None]), [True, None]),
        (pl.Series([None, None]), [None, None]),
        (pl.Series([AT, None]), ["2026-03-01T12:30:00.120", None]),
        (pl.Series([AT.replace(tzinfo=dt.UTC)], dtype=pl.Datetime("us", "UTC")), ["2026-03-01T12:30:00.120+00:00"]),
        (pl.Series([AT.replace(tzinfo=ZoneInfo("Europe/Berlin"))], dtype=pl.Datetime("us", "Europe/Berlin")), ["2026-03-01T12:30:00.120+01:00"]),
        (pl.Series([AT.date()]), ["2026-03-01"]),
        (pl.Series([AT.time()]), ["12:30:00.120"]),
        (pl.Series([dt.timedelta(seconds=90)]), ["PT90S"]),
        (pl.Series([Decimal("1.50")]), ["1.50"]),
        (pl.Series([b"\xff\x00", None]), ["/wA=", None]),
        (pl.Series([["a", None], [], None]), [["a", None], [], None]),
        (pl.Series([[AT], None]), [["2026-03-01T12:30:00.120"], None]),
        (pl.Series([[AT]], dtype=pl.Array(pl.Datetime, 1)), [["2026-03-01T12:30:00.120"]]),
        (pl.Series([{"a": AT, "b": [b"x"]}, None]), [{"a": "2026-03-01T12:30:00.120", "b": ["eA=="]}, None]),
        (pl.Series([[{"a": b"x", "b": 1}]]), [[{"a": "eA==", "b": 1}]]),
        (pl.Series(["x", "y"], dtype=pl.Categorical), ["x", "y"]),
        (pl.Series(["x"], dtype=pl.Enum(["x"])), ["x"]),
    ],
    ids=lambda value: str(value.dtype) if isinstance(value, pl.Series) else "",
)
def test_a_value_of_any_type_is_written_as_promised(values: pl.Series, written: list[object]) -> None:
    frame = pl.DataFrame({"a": values})
    assert [orjson.loads(line) for line in lines_of(frame, NONE)] == [{"a": value} for value in written]
    beside = frame.with_columns(f=pl.lit("1"))
    assert [orjson.loads(line) for line in lines_of(beside, frozenset("f"))] == [{"a": value, "f": 1} for value in written]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize(("unit", "second"), [("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_a_time_of_a_zone_is_written_as_rfc_3339_whatever_its_fraction(unit: Literal["ms", "us", "ns"], second: int, zone: str) -> None:
    moments = [day * 86_400 * second + part for day in range(-50_000, 50_000, 997) for part in (0, 1, second // 2, second // 1000, second - 1)]
    times = pl.Series("a", moments).cast(pl.Datetime(unit, "UTC")).dt.convert_time_zone(zone)
    written = times.dt.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_list()
    assert [orjson.loads(line)["a"] for line in lines_of(times.to_frame(), NONE)] == written


def test_json_text_goes_out_as_it_stood_and_a_value_that_was_not_there_has_no_key() -> None:
    frame = pl.DataFrame({"a": ["1.0", None, "null"], "b": ["x", "y", None], 'c"': ['{"k":\n 12345678901234567890123}', "[]", None]})
    assert lines_of(frame, frozenset(["a", 'c"'])) == [
        b'{"a":1.0,"b":"x","c\\"":{"k":  12345678901234567890123}}',
        b'{"b":"y","c\\"":[]}',
        b'{"a":null,"b":null}',
    ]


def test_an_id_is_of_the_file_and_the_ordinal() -> None:
    assert [*ids_of(FILE, range(7, 9))] == [sha256(f"{FILE}:{ordinal}".encode()).hexdigest().encode() for ordinal in (7, 8)]


def test_ids_follow_the_rows_that_are_left() -> None:
    encoded = encode(sifted(pl.DataFrame({"a": ["x", "y"]}), rows=[0, 2]), range(10, 13), Output(FILE))
    assert [*encoded.values] == [b'{"a":"x"}', b'{"a":"y"}']
    assert [*encoded.ids] == [*ids_of(FILE, [10, 12])]
    assert encoded.keys == [None, None]


def test_keys_are_text_of_one_column_and_json_of_several() -> None:
    frame = pl.DataFrame({"a": ["x", None], "n": [1, 2], "f": ['"q"', "7"]})
    assert encode(sifted(frame), range(2), Output(FILE, key_columns=("a",))).keys == [b"x", None]
    assert encode(sifted(frame), range(2), Output(FILE, key_columns=("n",))).keys == [b"1", b"2"]
    assert encode(sifted(frame, fragments=frozenset("f")), range(2), Output(FILE, key_columns=("f",))).keys == [b"q", b"7"]
    assert encode(sifted(frame), range(2), Output(FILE, key_columns=("n", "a"))).keys == [b'[1,"x"]', None]


def test_blocks_hold_so_many_rows_and_bear_the_id_of_their_first() -> None:
    frame = pl.DataFrame({"a": [str(n) for n in range(5)]})
    lines = encode(sifted(frame), range(5), Output(FILE, Shape.NDJSON, 2, ("a",)))
    assert lines.values == [b'{"a":"0"}\n{"a":"1"}\n', b'{"a":"2"}\n{"a":"3"}\n', b'{"a":"4"}\n']
    assert [*lines.ids] == [*ids_of(FILE, [0, 2, 4])]
    assert lines.keys == [b"0", b"2", b"4"]
    arrow = encode(sifted(frame), range(5), Output(FILE, Shape.ARROW, 2))
    assert pl.concat(pl.read_ipc_stream(io.BytesIO(block)) for block in arrow.values).equals(frame)


@pytest.mark.parametrize("fragments", [NONE, frozenset("f")])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 200])
def test_blocks_hold_whole_lines_however_long_these_are(step: int, fragments: frozenset[str]) -> None:
    texts = ["x" * (n * n * 7919 % 500) + "\n" * (n % 3) for n in range(101)]
    frame = pl.DataFrame({"a": texts, "f": ["[1,\n2]", None] * 50 + ["{}"]})
    lines = lines_of(frame, fragments)
    blocks = encode(sifted(frame, fragments=fragments), range(101), Output(FILE, Shape.NDJSON, step)).values
    assert blocks == [b"".join(line + b"\n" for line in lines[at : at + step]) for at in range(0, 101, step)]


def test_no_rows_and_no_columns_are_no_trouble() -> None:
    assert [*encode(sifted(pl.DataFrame({"a": []})), range(0), Output(FILE)).values] == []
    assert lines_of(pl.DataFrame(height=2), NONE) == [b"{}", b"{}"]


def test_a_date_that_json_cannot_say_is_a_reject_and_null_inside_a_list() -> None:
    far = pl.Series([2**31 - 1, 20_000, None], dtype=pl.Int32).cast(pl.Date)
    frame = pl.DataFrame({"d": far, "t": pl.Series([0, 2**62, 5]).cast(pl.Datetime("ms", "UTC")), "l": far.reshape((3, 1))})
    table = Table(frame, range(7, 10), lambda row: Place(7 + row, 0, -1, b"raw"))
    out = expressible(table, sifted(frame))
    assert out.rejects == [
        Reject(7, 0, -1, "d", "out_of_range", "years 1 to 9999", f"{2**31 - 1} days since 1970-01-01", b"raw"),
        Reject(8, 0, -1, "t", "out_of_range", "years 1 to 9999", f"{2**62} ms since 1970-01-01", b"raw"),
    ]
    assert out.rows is not None
    assert out.rows.to_list() == [2]
    assert lines_of(out.frame, NONE) == [b'{"d":null,"t":"1970-01-01T00:00:00.005+00:00","l":[null]}']
    assert lines_of(frame.select("l"), NONE)[0] == b'{"l":[null]}'
    plain = sifted(frame.select("l"))
    assert expressible(table, plain) is plain


FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The edges of the years 1 to 9999, in microseconds since 1970."""


@pytest.mark.parametrize(
    ("moment", "zone", "written"),
    [
        (FIRST, None, "0001-01-01T00:00:00"),
        (LAST, None, "9999-12-31T23:59:59.999999"),
        (FIRST, "UTC", "0001-01-01T00:00:00+00:00"),
        (LAST, "UTC", "9999-12-31T23:59:59.999999+00:00"),
        (FIRST - 1, None, "0000-12-31 23:59:59.999999"),
        (LAST + 1, "UTC", "+10000-01-01 00:00:00.000000+00:00"),
        (LAST, "Asia/Tokyo", "+10000-01-01 08:59:59.999999+09:00"),
    ],
)
def test_every_date_of_the_years_1_to_9999_is_written_and_others_are_told_as_dates(moment: int, zone: str | None, written: str) -> None:
    times = pl.Series("a", [moment]).cast(pl.Datetime("us", zone and "UTC"))
    frame = (times if zone is None else times.dt.convert_time_zone(zone)).to_frame()
    out = expressible(Table(frame, range(1), lambda row: Place(row, 0, -1, b"raw")), sifted(frame))
    rule = "years 1 to 9999" if zone in {None, "UTC"} else "years 1 to 9999, without their first and their last day"
    if "T" in written:
        assert (out.rejects, [orjson.loads(line)["a"] for line in lines_of(out.frame, NONE)]) == ([], [written])
    else:
        assert out.rejects == [Reject(0, 0, -1, "a", "out_of_range", rule, written, b"raw")]


def test_the_first_and_the_last_day_are_written() -> None:
    frame = pl.DataFrame({"a": [dt.date.min, dt.date.max]})
    assert expressible(Table(frame, range(2), lambda row: Place(row, 0, -1, b"raw")), sifted(frame)).rejects == []
    assert lines_of(frame, NONE) == [b'{"a":"0001-01-01"}', b'{"a":"9999-12-31"}']


@pytest.mark.parametrize("shape", [Shape.ROW, Shape.NDJSON])
def test_where_each_row_has_all_columns_a_value_that_was_not_there_is_null(shape: Shape) -> None:
    rows = sifted(pl.DataFrame({"n": [1, None], "l": ["[1]", None]}), fragments=frozenset("l"))
    values = encode(rows, range(2), Output(FILE, shape, 2, fixed=True)).values
    assert b"".join(value.rstrip(b"\n") + b"\n" for value in values) == b'{"n":1,"l":[1]}\n{"n":null,"l":null}\n'


def test_a_null_of_parquet_is_null_whatever_its_type(tmp_path: Path) -> None:
    file = io.BytesIO()
    nested = {"l": [[1], None], "s": [{"a": 1}, None], "n": [1, None]}
    pl.DataFrame(nested).write_parquet(file)
    assert read_through(Here(), file.getvalue(), "parquet", tmp_path).values == [b'{"l":[1],"s":{"a":1},"n":1}', b'{"l":null,"s":null,"n":null}']
