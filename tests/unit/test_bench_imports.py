"""The files that imports are measured on: read back they are what was meant, and bad where that was meant."""

import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from lxml import etree

from connectors.files.child import sieve_of
from connectors.files.csv_reader import CsvReader
from flows.core.files.csv_dialect import Dialect
from flows.core.files.cutters import Format, cutter
from tests.bench.imports import data, path
from tests.bench.results import Figure, Result, Series

ROWS = 400


def values(row: data.Row) -> list[object]:
    return list(row)


@pytest.mark.parametrize(
    ("write", "read"),
    [
        (data.ndjson, lambda file: [list(json.loads(line).values()) for line in file.read_bytes().splitlines()]),
        (data.json, lambda file: [list(one.values()) for one in json.loads(file.read_bytes())]),
        (data.excel, lambda file: [list(cells) for cells in openpyxl.load_workbook(file).active.iter_rows(min_row=2, values_only=True)]),
    ],
    ids=["ndjson", "json", "excel"],
)
def test_a_file_holds_the_rows(write: Callable[[Path, int], int], read: Callable[[Path], list[list[object]]], tmp_path: Path) -> None:
    file = tmp_path / "orders.xlsx"
    assert write(file, ROWS) == file.stat().st_size
    assert read(file) == [values(data.row(n)) for n in range(ROWS)]


def test_xml_and_parquet_hold_as_many_rows_of_the_same_columns(tmp_path: Path) -> None:
    data.xml(tmp_path / "orders.xml", ROWS)
    data.parquet(tmp_path / "orders.parquet", ROWS)
    orders = etree.parse(tmp_path / "orders.xml").getroot()
    assert [[cell.tag for cell in order] for order in orders] == [list(data.COLUMNS)] * ROWS
    frame = pl.read_parquet(tmp_path / "orders.parquet")
    assert (frame.columns, frame.height) == (list(data.COLUMNS), ROWS)


@pytest.mark.parametrize("bad", [None, *(bad for _, bad in path.BAD.values())], ids=["none", *path.BAD])
def test_one_row_in_a_hundred_is_bad_and_its_neighbours_are_not(bad: data.Bad | None, tmp_path: Path) -> None:
    data.csv(tmp_path / "orders.csv", ROWS, bad)
    cut = cutter(Format.CSV, Dialect())
    pieces = cut.feed((tmp_path / "orders.csv").read_bytes()) + cut.finish()
    reader, plan = CsvReader(Dialect()), sieve_of(data.RULES).plan
    reads = [*reader.read(pieces), *reader.finish()]
    turned = {reject.ordinal for read in reads for reject in (*read.rejects, *plan.apply(read.table).rejects)}
    assert sum(read.rows_read for read in reads) == ROWS
    assert turned == (set() if bad is None else set(range(1, ROWS, data.BAD_EVERY)))


def test_others_that_were_measured_beside_are_written_down() -> None:
    result = Result(Figure("speed", "speed", "rows/s", 1, "at least"), Series((2.0,)), None, (), (("other", 123456.7),))
    assert result.as_json({}, quick=True)["beside"] == {"other": 123457.0}
