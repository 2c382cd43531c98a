"""Parquet and workbooks inside archives that nobody names, and files without a byte."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.files.detect import detect
from flows.core.files.guess import SAMPLE, guess
from flows.core.imports.opening import opening
from tests.kit.reading import FILE, Here, Outcome, read_through

FRAME = pl.DataFrame({"id": [1, 2]})
ROWS = [b'{"id":1}', b'{"id":2}']


def parquet() -> bytes:
    file = io.BytesIO()
    FRAME.write_parquet(file)
    return file.getvalue()


def workbook() -> bytes:
    file = io.BytesIO()
    FRAME.write_excel(file)
    return file.getvalue()


def zipped(name: str, data: bytes, method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def told(tmp_path: Path, data: bytes, form: str, name: str, **source: Any) -> Outcome:
    return read_through(Here(), data, form, tmp_path, name=name, **source)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize(("form", "member", "data"), [("parquet", "p.parquet", parquet()), ("excel", "x.xlsx", workbook())], ids=["parquet", "excel"])
def test_a_zip_that_nobody_names_is_told_by_its_bytes(tmp_path: Path, form: str, member: str, data: bytes, method: int) -> None:
    packed = zipped(member, data, method)
    for source in (dict[str, Any](), {"member": member}, {"compression": "zip"}):
        found = told(tmp_path, packed, form, f"{member}.zip", **source)
        assert (found.refused, found.values) == (None, ROWS)
    assert (detect(packed, f"{member}.zip")["format"], detect(packed, f"{member}.zip")["compression"]) == (form, "zip")
    assert guess(packed[:SAMPLE], "a.zip").compression == "zip"


def test_a_workbook_is_a_zip_of_its_own_packed_or_not(tmp_path: Path) -> None:
    for data in (workbook(), gzip.compress(workbook())):
        assert told(tmp_path, data, "excel", "x.xlsx").values == ROWS


@pytest.mark.parametrize("form", ["excel", "csv"])
def test_a_workbook_that_is_called_a_zip_is_told_what_it_is(tmp_path: Path, form: str) -> None:
    found = told(tmp_path, workbook(), form, "x.xlsx", compression="zip")
    assert found.refused is not None
    assert found.refused[0] == "is_a_workbook"
    assert "is a workbook itself" in found.refused[1]
    assert "Leave source_config.compression out, and name excel in data_format." in found.refused[1]


def test_a_workbook_is_no_parquet(tmp_path: Path) -> None:
    found = told(tmp_path, workbook(), "parquet", "x.parquet")
    assert found.refused is not None
    assert found.refused[0] == "not_parquet"


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "xml", "parquet", "excel"])
def test_a_file_without_a_byte_is_none_of_any_format_but_ndjson(form: str) -> None:
    job = {"data_format": form, "transformation_rules": {}, "rows_per_record": 1, "key_columns": []}
    asked = {"job": {"definition": job}, "sha256": FILE, "most_bytes": 66 << 20, "at": 0, "line": 1, "ordinal": 0}
    answer = Here().ask(opening(asked, {}, None), (b"", b"")).head
    assert (answer["kind"], answer.get("code")) == ("failed", "empty_file")


def test_ndjson_without_a_line_has_no_rows_and_says_so(tmp_path: Path) -> None:
    found = told(tmp_path, b"", "ndjson", "a.ndjson")
    assert (found.refused, found.rows_read) == (None, 0)
    assert found.read_as["notes"] == ["The file is empty: NDJSON without a line has no rows, and that is not an error."]
