"""Rows of Parquet and of workbooks that were turned away: kept with their types, read again from that, and written as files of their own format."""

import io
import zipfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from connectors.files.bounds import Limits
from connectors.files.encode import ids_of
from connectors.files.excel import Excel
from connectors.files.keep import ticks
from connectors.files.parquet import Parquet
from connectors.files.reader import Unreadable
from connectors.files.reread import reads
from connectors.files.spooled import Spooled
from connectors.files.whole import Portion
from flows.core.errors import BadRequest
from flows.core.files import kept
from flows.core.files.frames import Frame
from flows.core.files.pieces import Piece
from flows.core.files.rejects import RAW_BYTES
from tests.unit.files.test_child import FILE, opened, portion

NS = "2024-02-29T12:00:00.123456789"
STRUCT = pa.struct([("a", pa.binary()), ("b", pa.decimal128(5, 2)), ("c", pa.date32())])
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "flag": (pa.bool_(), [True, None, False]),
    "small": (pa.int8(), [-128, 127, None]),
    "big": (pa.uint64(), [2**64 - 1, 0, None]),
    "half": (pa.float16(), [1.5, None, -2.0]),
    "real": (pa.float64(), [0.1 + 0.2, float("inf"), None]),
    "sum": (pa.decimal128(12, 2), [Decimal("1.50"), None, Decimal("-9999999999.99")]),
    "wide": (pa.decimal256(60, 2), [Decimal("1.50"), None, Decimal(2**180)]),
    "text": (pa.string(), ["=1+1", "", None]),
    "large": (pa.large_string(), ["a\nb", None, "ü"]),
    "bytes": (pa.binary(), [b"\xff\0", None, b""]),
    "fixed": (pa.binary(3), [b"abc", None, b"\0\0\0"]),
    "day": (pa.date32(), [date(2024, 2, 29), None, date(1, 1, 1)]),
    "at": (pa.timestamp("us"), [datetime(1969, 12, 31, 23, 59, 59, 999999), None, datetime(9999, 12, 31)]),  # noqa: DTZ001  it has no zone
    "there": (pa.timestamp("ms", "Europe/Zurich"), [datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Zurich")), None, datetime(1970, 1, 1, tzinfo=UTC)]),
    "fine": (pa.timestamp("ns"), [pa.scalar(NS).cast(pa.timestamp("ns")), None, pa.scalar(NS).cast(pa.timestamp("ns"))]),
    "never": (pa.timestamp("us"), [pa.scalar(10**18, pa.timestamp("us")), None, pa.scalar(-(10**18), pa.timestamp("us"))]),
    "clock": (pa.time64("us"), [time(1, 2, 3, 500), None, time(0)]),
    "span": (pa.duration("us"), [timedelta(days=-400, microseconds=1), None, timedelta(0)]),
    "word": (pa.dictionary(pa.int32(), pa.string()), ["x", None, "x"]),
    "list": (pa.list_(pa.timestamp("us")), [[datetime(2024, 1, 1, 0, 0, 0, 5)], None, []]),  # noqa: DTZ001  as above
    "struct": (
        pa.struct([("a", pa.binary()), ("b", pa.decimal128(5, 2)), ("c", pa.date32())]),
        [{"a": b"\0", "b": Decimal("1.50"), "c": date(2024, 1, 1)}, None, {}],
    ),
    "map": (pa.map_(pa.int32(), pa.float64()), [[(1, 0.5)], [], None]),
}


@pytest.fixture
def table() -> pa.Table:
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in COLUMNS.items()})


def kept_of(portions: Sequence[Portion]) -> list[Piece]:
    """Keep every row of a file as one that was turned away."""
    places = [one.table.place(at) for one in portions for at in range(one.table.frame.height)]
    return [Piece(place.offset, place.raw, place.line, place.ordinal, 1) for place in places]


def parquet_of(path: Path, table: pa.Table) -> list[Portion]:
    pq.write_table(table, path, row_group_size=2)
    return list(Parquet(Limits()).tables(path))


def written(form: str, home: Path, *lots: tuple[list[str], list[bytes]]) -> Path:
    home.mkdir(exist_ok=True)
    spooled = Spooled(form, home)
    for lot in lots:
        spooled.add(*lot)
    while not spooled.write():
        pass
    return spooled.path


def test_a_row_of_parquet_is_kept_as_json_that_can_be_read(tmp_path: Path, table: pa.Table) -> None:
    first = kept_of(parquet_of(tmp_path / "file", table))[0]
    row = orjson.loads(kept.shown("parquet", first.data))
    assert {name: row[name] for name in ("flag", "big", "sum", "text", "bytes", "day", "at", "there", "fine", "clock", "list", "map")} == {
        "flag": True, "big": 2**64 - 1, "sum": "1.50", "text": "=1+1", "bytes": "/wA=", "day": "2024-02-29", "at": "1969-12-31T23:59:59.999999",
        "there": "2024-07-01T10:00:00+00:00", "fine": NS, "clock": "01:02:03.000500", "list": ["2024-01-01T00:00:00.000005"], "map": {"1": 0.5},
    }  # fmt: skip
    assert row["never"] == "1000000000000000000 us"


def test_rows_of_parquet_are_read_again_as_they_were(tmp_path: Path, table: pa.Table) -> None:
    portions = parquet_of(tmp_path / "file", table)
    again = list(reads(kept_of(portions)))
    assert [one.rows_read for one in again] == [3]
    frame = pl.concat([portion.table.frame for portion in portions])
    assert again[0].table.frame.schema == frame.schema
    assert again[0].table.frame.equals(frame)
    assert again[0].table.fragments == portions[0].table.fragments
    assert [again[0].table.place(at) for at in range(3)] == [portion.table.place(at) for portion in portions for at in range(portion.table.frame.height)]


def test_rows_of_parquet_are_written_with_the_types_they_had(tmp_path: Path, table: pa.Table) -> None:
    raws = [piece.data for piece in kept_of(parquet_of(tmp_path / "file", table))]
    found = pq.read_table(written("parquet", tmp_path / "out", (["one", "two"], raws[:2]), (["three"], raws[2:])))
    assert found.column_names == ["_error", *COLUMNS]
    assert found["_error"].to_pylist() == ["one", "two", "three"]
    plain = {"large": pa.string(), "word": pa.string()}
    for name, (kind, _) in COLUMNS.items():
        assert found.schema.field(name).type == plain.get(name, kind), name
        expected = table[name].combine_chunks()
        if name not in {"list", "struct", "map"}:
            assert found[name].combine_chunks() == expected.cast(plain.get(name, kind)), name
        else:
            assert found[name].to_pylist() == table[name].to_pylist(), name


def test_columns_of_several_files_are_put_together_and_what_was_not_kept_whole_is_a_text(tmp_path: Path) -> None:
    one = kept_of(parquet_of(tmp_path / "one", pa.table({"_error": ["earlier"], "a": pa.array([1], pa.int32()), "b": ["x"]})))[0].data
    two = kept_of(parquet_of(tmp_path / "two", pa.table({"a": pa.array([2.5]), "_row": [True]})))[0].data
    long = kept_of(parquet_of(tmp_path / "long", pa.table({"a": ["x" * 70_000]})))[0].data
    assert (len(long), kept.read(long), kept.can_run("parquet", long), kept.can_run("parquet", one), kept.can_run("parquet", b"")) == (
        *(RAW_BYTES, None, False, True, False),
    )
    found = pl.from_arrow(pq.read_table(written("parquet", tmp_path / "out", (["1", "2", "3", "4"], [one, two, long, b""]))))
    assert isinstance(found, pl.DataFrame)
    assert found.schema == {"_error": pl.String, "a": pl.String, "b": pl.String, "_row": pl.Boolean, "_row_": pl.String}
    assert found.drop("_row_").rows() == [("1", "1", "x", None), ("2", "2.5", None, True), ("3", None, None, None), ("4", None, None, None)]
    assert found["_row_"].to_list() == [None, None, long.decode(), None]


CELLS: list[tuple[Any, ...]] = [
    ("number", "text", "flag", "day", "moment", "clock", "mixed", "old"),
    (1, "=1+1", True, date(2024, 2, 29), datetime(2024, 2, 29, 12, 30, 15, 250_000), time(6, 30), 1, date(1900, 1, 31)),  # noqa: DTZ001  it has no zone
    (0.1 + 0.2, "_x0041_ \x01 <&>\r\n ü", False, None, None, None, "one", date(1900, 3, 1)),
    (123456789012345, "@SUM(A1)" + "é😀" * 10_000, None, date(9999, 12, 31), datetime(1900, 3, 1), time(0), True, None),  # noqa: DTZ001  as above
]


def book(rows: Sequence[tuple[Any, ...]] = CELLS) -> bytes:
    held = io.BytesIO()
    made = xlsxwriter.Workbook(held, {"in_memory": True, "strings_to_formulas": False})
    sheet = made.add_worksheet()
    formats = {date: "yyyy-mm-dd", datetime: "yyyy-mm-dd hh:mm:ss", time: "hh:mm:ss"}
    styles = {kind: made.add_format({"num_format": form}) for kind, form in formats.items()}
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            if type(value) in styles:
                sheet.write_datetime(row, column, value, styles[type(value)])
            elif value is not None:
                sheet.write(row, column, value)
    made.close()
    return held.getvalue()


def sheet_of(path: Path, home: Path) -> list[Portion]:
    return list(Excel(Limits(), home).tables(path))


def sheet_rows(path: Path) -> list[list[Any]]:
    sheet = openpyxl.load_workbook(io.BytesIO(path.read_bytes())).active
    assert sheet is not None
    return [list(row) for row in sheet.values]


def test_rows_of_a_workbook_are_read_again_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(book())
    ((table, _, _),) = sheet_of(tmp_path / "file", tmp_path)
    (again,) = reads([Piece(one.offset, one.raw, one.line, one.ordinal, 1) for one in map(table.place, range(3))])
    assert again.table.frame.equals(table.frame)
    assert again.table.frame.schema == table.frame.schema
    assert again.table.fragments == table.fragments == {"mixed"}


def test_rows_of_a_workbook_are_written_as_one_that_holds_no_formulas(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(book())
    portions = sheet_of(tmp_path / "file", tmp_path)
    raws = [piece.data for piece in kept_of(portions)]
    path = written("excel", tmp_path / "out", (["bad", "=bad()", ""], raws))
    sheet = openpyxl.load_workbook(io.BytesIO(path.read_bytes())).active
    assert sheet is not None
    cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert cells[0] == ["_error", *CELLS[0]]
    assert cells[1][:7] == ["bad", 1, "=1+1", True, datetime(2024, 2, 29), CELLS[1][4], time(6, 30)]  # noqa: DTZ001  as above
    assert not [cell.coordinate for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    ((table, rejects, _),) = sheet_of(path, tmp_path)
    assert not rejects
    assert table.frame.drop("_error").equals(portions[0].table.frame)
    assert table.frame.drop("_error").schema == portions[0].table.frame.schema
    assert CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()[1][2] == "=1+1"


def test_a_row_that_is_too_long_is_a_text_as_long_as_a_cell(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(book([("a", "b", "c"), ("x" * 32_767, "ü" * 17_000, "z")]))
    (long,) = kept_of(sheet_of(tmp_path / "file", tmp_path))
    assert len(long.data) == RAW_BYTES
    rows = sheet_rows(written("excel", tmp_path / "out", (["long"], [long.data])))
    assert rows == [["_error", "_row"], ["long", long.data.decode("utf-8", "replace")[:32_767]]]


def test_a_cell_that_says_nothing_stays_turned_away_and_is_written_as_it_stood(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(_edited(book([("a", "b"), (1, 77), (3, "x")])))
    ((_, rejects, _),) = sheet_of(path, tmp_path)
    ((ordinal, line, _, column, code, _, value, raw),) = rejects
    assert (ordinal, line, column, code, value) == (0, 2, "b", "bad_cell", "nonsense")
    (again,) = reads([Piece(-1, raw, line, ordinal, 1)])
    assert (again.rejects, again.rows_read, again.table.frame.height) == (rejects, 1, 0)
    assert sheet_rows(written("excel", tmp_path / "out", (["bad"], [raw])))[1] == ["bad", 1, "nonsense"]


def _edited(data: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(held, "w") as made:
        for name in source.namelist():
            made.writestr(name, source.read(name).replace(b"<v>77</v>", b"<v>nonsense</v>"))
    return held.getvalue()


@pytest.mark.parametrize("form", ["parquet", "excel"])
def test_no_rows_are_a_file_all_the_same(tmp_path: Path, form: str) -> None:
    path = written(form, tmp_path / "out")
    assert (pq.read_table(path).column_names if form == "parquet" else sheet_rows(path)) == (["_error"] if form == "parquet" else [["_error"]])


@pytest.mark.parametrize("form", ["parquet", "excel"])
def test_many_rows_are_written_lot_by_lot(tmp_path: Path, form: str) -> None:
    raw = b'{"n":%d}\n[["int64",1]]'
    spooled = Spooled(form, tmp_path)
    spooled.add([""] * 12_000, [raw % n for n in range(12_000)])
    assert [spooled.write() for _ in range(4)] == [False, False, False, True]
    found = pq.read_table(spooled.path)["n"].to_pylist() if form == "parquet" else [row[1] for row in sheet_rows(spooled.path)[1:]]
    assert found == list(range(12_000))


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    spooled = Spooled("parquet", tmp_path)
    rows = [orjson.dumps({f"{letter}{n}": None for n in range(4_500)}) + b'\n[["null",4500]]' for letter in "abcd"]
    with closing(spooled), pytest.raises(Unreadable, match="more than 16,000 columns"):
        spooled.add(["wide"] * 4, rows)
    with pytest.raises(BadRequest):
        Spooled("csv", tmp_path)


def test_the_process_that_reads_runs_them_again() -> None:
    session = opened(
        "parquet",
        sample=b"PAR1",
        rules={"data_types": {"n": "int64"}, "max": {"n": 5}},
        output={"file": FILE, "shape": "row", "rows_per_record": 1, "key_columns": [], "most_bytes": 1000},
    )
    places = [[-1, 0, ordinal, 1, "records"] for ordinal in (2, 9)]
    found = portion(session.answer(Frame({"kind": "again", "places": places}, (b'{"n":5}\n[["int8",1]]', b'{"n":6}\n[["int8",1]]'))))
    assert (found.values, found.ids) == ([b'{"n":5}'], [*ids_of(FILE, [2])])
    assert [(one.ordinal, one.code, one.raw) for one in found.rejects] == [(9, "too_large", b'{"n":6}\n[["int8",1]]')]


@pytest.mark.parametrize(
    ("told", "unit", "expected"),
    [
        ("1970-01-02", "d", 1),
        ("1970-01-02", "ms", 86_400_000),
        ("00:00:01.5", "ns", 1_500_000_000),
        ("1970-01-01T01:00:00+01:00", "s", 0),
        ("1969-12-31T23:59:59.999Z", "ms", -1),
        ("5000000 d", "d", 5_000_000),
        ("7 s", "us", 7_000_000),
        (1.5, "ms", 1_500),
    ],
)
def test_times_that_were_kept_are_read(told: str | float, unit: str, expected: int) -> None:
    assert ticks(told, unit) == expected
