"""Workbooks as they are written: each value is what it was, and a text nothing but a text."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from connectors.files.written import Line
from connectors.files.xlsx_writer import Workbook

CELL = '<c r="B2"><f>1+1</f><v>2</v></c>'


def made(path: Path, values: list[Any], kind: str) -> Path:
    written = Workbook(path, ["_error", "a"])
    written.add([Line("bad", {"a": (value, kind)}) for value in values])
    written.finish()
    return path


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "<r>a & b</r>",
        "<r><t>one</t></r>",
        f"<r><t>one</t></r></is></c>{CELL}<c><is><r><t>two</t></r>",
        f"</t></is></c>{CELL}",
        f"]]>{CELL}<![CDATA[",
        "&lt;&#65;",
        " blanks ",
    ],
)
def test_a_text_is_nothing_but_a_text(tmp_path: Path, text: str) -> None:
    path = made(tmp_path / "file", [text], "string")
    sheet = openpyxl.load_workbook(io.BytesIO(path.read_bytes())).active
    assert sheet is not None
    assert [(cell.value, cell.data_type) for cell in sheet[2]] == [("bad", "s"), (text, "s")]


@pytest.mark.parametrize("number", [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, 2**53 + 1, 2**64 - 1, -(2**63)])
def test_a_number_is_written_to_its_last_digit(tmp_path: Path, number: float) -> None:
    with zipfile.ZipFile(made(tmp_path / "file", [number], "float64")) as archive:
        told = re.findall(rb"<v>(.*?)</v>", archive.read("xl/worksheets/sheet1.xml"))
    assert [type(number)(one) for one in told] == [number]


def test_a_full_sheet_is_followed_by_another(tmp_path: Path) -> None:
    made = Workbook(tmp_path / "file", ["_error", "n"], sheet_rows=4)
    made.add([Line(f"bad {n}", {"n": (n, "int64")}) for n in range(7)])
    made.finish()
    found = openpyxl.load_workbook(io.BytesIO((tmp_path / "file").read_bytes()))
    assert found.sheetnames == ["Rejected", "Rejected 2", "Rejected 3"]
    assert [[cell[1] for cell in sheet.values] for sheet in found] == [["n", 0, 1, 2], ["n", 3, 4, 5], ["n", 6]]
