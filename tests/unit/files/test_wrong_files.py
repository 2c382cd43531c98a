"""Files that are not what they are ordered as, or not whole: cut and read as a job does, from their pieces or from a path."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.kit.reading import Here, Outcome, read_through

TWICE = b'[{"id":1},{"id":2}]'


def told(tmp_path: Path, data: bytes, data_format: str, name: str = "", **source: Any) -> Outcome:
    """Read a file; without its name it may be cut otherwise than it is read, and is then read from its path."""
    return read_through(Here(), data, data_format, tmp_path, name=name, **source)


@pytest.mark.parametrize("name", ["a.json", "a.txt"], ids=["piece by piece", "from its path"])
@pytest.mark.parametrize("behind", [b'\n{"id":3}\n{"id":4}\n', TWICE, b" garbage"])
def test_what_was_read_before_something_behind_the_array_goes_out(tmp_path: Path, name: str, behind: bytes) -> None:
    found = told(tmp_path, TWICE + behind, "json", name)
    assert found.values == [b'{"id":1}', b'{"id":2}']
    assert found.refused is not None
    assert found.refused[0] == "truncated"
    assert "behind record 2 and the end of the array, something else stands" in found.refused[1]


@pytest.mark.parametrize("behind", [b"", b"\n", b" \r\n\t\n"])
def test_white_space_behind_the_array_is_nothing(tmp_path: Path, behind: bytes) -> None:
    found = told(tmp_path, TWICE + behind, "json", "a.json")
    assert (found.good, found.refused) == (2, None)


@pytest.mark.parametrize("name", ["a.json", "a.txt"], ids=["piece by piece", "from its path"])
@pytest.mark.parametrize("data", [b'[{"id":1},{"id":2}{"id":3}]', b'[\n{"id":1},\n{"id":2,"a":[1,2}\n]\n', b'[{"id":1},{"id":2]'])
def test_a_damaged_last_record_costs_itself_alone(tmp_path: Path, name: str, data: bytes) -> None:
    found = told(tmp_path, data, "json", name)
    assert (found.values, [one.code for one in found.rejects], found.refused) == ([b'{"id":1}'], ["invalid_json"], None)


def test_half_a_workbook_or_zip_ends_early(tmp_path: Path) -> None:
    file = io.BytesIO()
    pl.DataFrame({"id": range(500)}).write_excel(file)
    half = file.getvalue()[: len(file.getvalue()) // 2]
    for form, source in (("excel", {}), ("csv", {"compression": "zip"})):
        found = told(tmp_path, half, form, "a.xlsx", **source)
        sentence = "The file ends early, before the list of members that a zip archive, and so a workbook, ends with. Send it again, whole."
        assert found.refused == ("truncated", sentence)
