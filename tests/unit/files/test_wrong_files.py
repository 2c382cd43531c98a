"""Files that are not what they are ordered as, or not whole: cut and read as a job does, from their pieces or from a path."""

import io
import random
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from connectors.files.detect import detect
from flows.core.files.cut_xml import XmlCutter, XmlOptions
from tests.kit.cutting import cut
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


PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog, /Pages 2 0 R >>\nendobj\nxref\n0 1\ntrailer\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0" + bytes(range(256)) * 4
NO_TEXT = [
    (random.Random(1).randbytes(20_000), "no text and of no format that is known"),  # noqa: S311  it makes test data
    (random.Random(2).randbytes(20_000).replace(b"\0", b""), "no text and of no format that is known"),  # noqa: S311  it makes test data
    (PDF, "a PDF file"),
    (PNG, "a PNG image"),
]


@pytest.mark.parametrize("name", ["a.csv", "a.bin"])
@pytest.mark.parametrize("form", ["csv", "tsv", "ndjson", "json", "xml"])
@pytest.mark.parametrize(("data", "what"), NO_TEXT, ids=["by chance", "without NUL", "PDF", "PNG"])
def test_no_row_is_made_of_what_is_no_text(tmp_path: Path, data: bytes, what: str, form: str, name: str) -> None:
    found = told(tmp_path, data, form, name)
    assert (found.rows_read, found.refused and found.refused[0]) == (0, "wrong_format")
    assert found.refused is not None
    assert f"not one good row of {form} in the file, and its first bytes are those of {what}. " in found.refused[1]
    assert "These bytes are neither text nor of a known format." in detect(data, name)["notes"]


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (b"id,name\n1,a\0\n2,\x01b\n", {}),
        (b"id\x01name\n1\x01a\n2\x01b\n" * 50, {"delimiter": "\x01"}),
        ("id,name\n1,\u4e01\u4e02\u4e03\u4e04\u4e05\u4e06\u4e07\u4e08\u4e0e\u4e0f\u4e10\u4e11\u4e12\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (b"id,name\n1,a\n" + bytes(5), {}),
    ],
    ids=["a NUL", "another delimiter", "UTF-16", "zeros behind"],
)
def test_text_with_control_characters_is_text(tmp_path: Path, data: bytes, source: dict[str, str]) -> None:
    found = told(tmp_path, data, "csv", "a.csv", **source)
    assert (found.refused, found.good > 0) == (None, True)


def test_that_an_encoding_is_a_guess_is_told_beside_other_notes(tmp_path: Path) -> None:
    data = "id,name\n1,Muñoz\n2,Núñez\0\n".encode("cp1252")
    assert told(tmp_path, data, "csv", "a.csv").read_as["notes"] == [
        "The encoding is a guess (windows-1252): name it in source_config.encoding if letters look wrong."
    ]


CSV = b"id,name\n" + b"".join(b"%d,name %d\n" % (n, n) for n in range(500))
ARRAYS = [
    b'[\n{"id":1},\n{"id":2},\n{"id":3}\n]\n',
    b'[{"id":1},\n {"id":2},\n {"id":3}\n]\n',
    b'[{"id":1},{"id":2}]\n',
    b'[\n  {\n    "id": 1\n  }\n]\n',
    b'\xef\xbb\xbf[{"id":1}]',
    b"[" + b'{"id":1},' * 60_000 + b'{"id":1}]\n',
]


@pytest.mark.parametrize("name", ["a.ndjson", "a.json", "a"])
@pytest.mark.parametrize("data", ARRAYS)
def test_a_json_array_is_no_ndjson_and_no_row_of_it_goes_out(tmp_path: Path, data: bytes, name: str) -> None:
    found = told(tmp_path, data, "ndjson", name)
    assert (found.rows_read, found.refused and found.refused[0]) == (0, "wrong_format")
    assert found.refused is not None
    assert "not one good row of ndjson in the file, and its first bytes are those of json. " in found.refused[1]


@pytest.mark.parametrize("name", ["a.ndjson", "a.csv", "a"])
@pytest.mark.parametrize(("data", "other"), [(CSV, "csv"), (CSV.replace(b",", b"\t"), "csv"), (b'{\n "id": 1\n}\n{\n "id": 2\n}\n', "json")])
def test_a_file_of_another_format_has_no_good_row_of_ndjson(tmp_path: Path, data: bytes, other: str, name: str) -> None:
    found = told(tmp_path, data, "ndjson", name)
    assert found.refused is not None
    assert found.refused[0] == "wrong_format"
    assert f"its first bytes are those of {other}. " in found.refused[1]


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":1}',
        b'{"id":1}\n',
        b'[{"id":1}]\n{"id":2}\n',
        b'[{"id":1},\n{"id":2}\n{"id":3}\n{"id":4}\n',
        b'{"id":1\n{"id":2}\n',
        b"[1,2]\n" * 3 + b'{"id":2}\n',
        b'oops\n{"id":1}\n',
        b"[1,2]\n[3,4]\n",
    ],
)
def test_ndjson_with_bad_lines_is_ndjson(tmp_path: Path, data: bytes) -> None:
    found = told(tmp_path, data, "ndjson", "a.ndjson")
    assert (found.refused, found.rows_read, found.read_as.get("looks_like")) == (None, len(data.splitlines()), None)


def test_what_a_file_looks_like_is_told_where_it_has_good_rows(tmp_path: Path) -> None:
    found = told(tmp_path, CSV + b'{"id":1}\n', "ndjson", "a.ndjson")
    assert (found.refused, found.good, found.read_as["looks_like"]) == (None, 1, "csv")


NAMES = ("Иван Петров", "Мария Сидорова", "Пётр Кузнецов", "Ольга Смирнова", "Алексей Попов", "Наталья Волкова")
RECORDS = "".join(f"<r><id>{n}</id><name>{name}</name></r>" for n, name in enumerate(NAMES))


@pytest.mark.parametrize("between", ["", "\n"], ids=["one line", "lines"])
@pytest.mark.parametrize("declared", ["", '<?xml version="1.0"?>', '<?xml version="1.0" encoding="klingon"?>'])
def test_xml_of_a_legacy_encoding_that_nobody_names_is_read_by_a_guess(tmp_path: Path, declared: str, between: str) -> None:
    data = f"{declared}<rs>{RECORDS.replace('</r>', f'</r>{between}')}</rs>".encode("cp1251")
    found = told(tmp_path, data, "xml", "a.xml", record_path="rs/r")
    assert found.values[0].decode() == '{"id":"0","name":"Иван Петров"}'
    assert (found.good, found.rejected, found.read_as["encoding"]) == (len(NAMES), 0, "cp1251")
    unknown = "The encoding 'klingon' that the file declares is none that it can be in: it is read as cp1251."
    assert [note for note in found.read_as.get("notes", ()) if note.startswith(unknown)] == [f"{unknown} {NAME_IT}"] * ("klingon" in declared)


NAME_IT = "Name its encoding in source_config.encoding if letters look wrong."


def test_an_encoding_that_is_none_is_told_and_a_job_may_name_another(tmp_path: Path) -> None:
    data = '<?xml version="1.0" encoding="klingon"?><rs><r><a>é</a></r></rs>'.encode()
    found = told(tmp_path, data, "xml", "a.xml", record_path="rs/r")
    assert found.read_as["notes"] == [f"The encoding 'klingon' that the file declares is none that it can be in: it is read as utf-8. {NAME_IT}"]
    assert "notes" not in told(tmp_path, data, "xml", "a.xml", record_path="rs/r", encoding="utf-8").read_as


@pytest.mark.parametrize("data", [b'[{"a":"\xff"},{"a":"\xe9t\xc3\xa9"},{"a":"\xc3\xa9"},{"a":"\xc3\xa8"},{"a":"\xc3\xa7"}]', b'[{"a":"\xff","b":"\xfe"}]'])
def test_damage_to_utf_8_in_one_line_is_damage(tmp_path: Path, data: bytes) -> None:
    assert told(tmp_path, data, "json", "a.json").read_as["encoding"] == "utf-8"


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (b"<rows></rows>", {}),
        (b'<?xml version="1.0"?>\n<!-- none today -->\n<rows at="2026">\n <!-- none -->\n</rows>\n', {}),
        (b"<rows/>", {}),
        (b"<rows></rows>", {"record_path": "rows/row"}),
        (b"<a:rows xmlns:a='u'/>", {"record_path": "rows/list/row"}),
        (b"<rows></rows>", {"record_path": "row"}),
    ],
)
@pytest.mark.parametrize("name", ["a.xml", "a.txt"])
def test_an_empty_root_is_a_file_without_records(tmp_path: Path, data: bytes, source: dict[str, str], name: str) -> None:
    found = told(tmp_path, data, "xml", name, **source)
    assert (found.refused, found.rows_read) == (None, 0)


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (b"<rows>", {}),
        (b"<error>no such bucket</error>", {}),
        (b"<error>no such bucket</error>", {"record_path": "row"}),
        (b"<rows></rows>", {"record_path": "orders/order"}),
        (b"<rows><other/></rows>", {"record_path": "rows/row"}),
        (b"<rows></row>", {"record_path": "rows/row"}),
        (b"<rows>" + b" " * 5000 + b"<other/></rows>", {"record_path": "rows/row"}),
    ],
)
def test_what_is_more_than_an_empty_root_is_still_refused(tmp_path: Path, data: bytes, source: dict[str, str]) -> None:
    found = told(tmp_path, data, "xml", "a.xml", **source)
    assert found.refused is not None
    assert found.refused[0] in {"path_not_found", "no_records"}


def test_an_empty_root_is_one_in_pieces_of_any_size() -> None:
    rng = Random(3)  # noqa: S311  it makes test data
    for data, bare in ((b"<rows>\n\n<!-- none at all -->\n</rows>\n", True), (b"<rows>\n\n<!-- none at all -->\n</rows><more>\n", False)):
        for size in (16, 40, 4_000):
            for restart in (0.0, 1.0):
                _, cutter = cut(partial(XmlCutter, XmlOptions("rows/row"), piece_bytes=size), data, rng, restart)
                assert (cutter.refused is None) is bare
