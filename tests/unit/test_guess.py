"""How a file is cut, told by its first bytes."""

import codecs
from typing import Any

import pytest

from flows.core.errors import BadRequest
from flows.core.files.cutters import Format
from flows.core.files.guess import Cut, check_hints, guess


@pytest.mark.parametrize(
    ("sample", "name", "kind", "hints", "form", "data_format"),
    [
        (b"a,b\n1,2\n", "", "", {}, "csv", "csv"),
        (b"", "", "", {}, "csv", "csv"),
        (b"a\tb\n", "x.tsv", "", {}, "csv", "tsv"),
        (b'{"a": 1}\n{"a": 2}\n', "", "", {}, "lines", "ndjson"),
        (b'{"a": 1}\n{"a": 2}\n', "x.json", "application/json", {}, "lines", "ndjson"),
        (b'{"a": [1]}', "x.json", "", {}, "raw", "json"),
        (b'{"a": [1]}', "", "", {"data_format": "json", "json_path": "/a"}, "json", "json"),
        (b'{\n "a": [1]}', "", "", {}, "raw", "json"),
        (b" [1]", "", "", {}, "json", "json"),
        ("[1]".encode("utf-16"), "", "", {}, "json", "json"),
        ('["表"]'.encode("shift_jis"), "", "", {"encoding": "shift_jis"}, "raw", "json"),
        (b"<a><b/></a>", "", "", {}, "raw", "xml"),
        (b"<a><b/></a>", "", "text/xml", {"record_path": "a/b"}, "xml", "xml"),
        (b"PAR1...", "x.csv", "text/csv", {}, "raw", "parquet"),
        (b"PK\x03\x04", "x.xlsx", "", {}, "raw", "excel"),
        (b"PK\x03\x04", "x.zip", "", {}, "raw", None),
        (b"\x1f\x8b", "x.csv.gz", "", {}, "raw", "csv"),
        (b"a;b\n", "x.csv", "", {"encoding": "utf-32"}, "raw", "csv"),
        ("a;b\n1;2".encode("utf-16-le"), "", "", {}, "csv", "csv"),
        (codecs.BOM_UTF16_BE + "a;b".encode("utf-16-be"), "", "", {"encoding": "utf-16"}, "csv", "csv"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(sample: bytes, name: str, kind: str, hints: dict[str, Any], form: str, data_format: str | None) -> None:
    found = guess(sample, name, kind, hints)
    assert (found.form, found.data_format) == (Format(form), data_format)
    assert Cut.of(found.text()) == found
    cutter = found.cutter()
    pieces = [*cutter.feed(sample), *cutter.finish()]
    assert cutter.refused is None
    assert b"".join(piece.data for piece in pieces) == sample


def test_the_sign_that_is_most_often_outside_quotes_parts_the_fields() -> None:
    assert guess(b'"a,b,c";d;e\n').options["delimiter"] == ";"
    assert guess(b'"a,b,c";d;e\n', hints={"delimiter": "|"}).options["delimiter"] == "|"


def test_what_means_nothing_is_refused_before_a_byte_comes() -> None:
    check_hints({"quote": "'", "record_path": "a/b", "json_path": "/x"})
    with pytest.raises(BadRequest):
        check_hints({"quote": ",", "delimiter": ","})
