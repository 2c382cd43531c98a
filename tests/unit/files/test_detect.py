import gzip
import random

import pytest

from connectors.files.detect import SAMPLE_BYTES, detect

CSV = 'id;name;price;day\n1;Müller;1.5;2026-01-02\n2;"a;b";2.5;2026-01-03\n'


@pytest.mark.parametrize(
    ("sample", "name", "kind"),
    [
        (CSV.encode(), "a.csv", "csv"),
        (b'{"a":1}\n{"a":2}\n', "a.jsonl", "ndjson"),
        (b'{"a":1}\n{bad}\n{"a":2}\n', "a.ndjson", "ndjson"),
        (b'{bad}\n{"a":1}\n{"a":2}\n', "a.ndjson", "ndjson"),
        (b'oops\n{"a":1}\n{"a":2}\n', "a.jsonl", "ndjson"),
        (b'{"a":1}\n{"a":', "a.ndjson", "ndjson"),
        (b'{"a":1}\n', "a.ndjson", "ndjson"),
        (b'{"a":1}', "a.jsonl", "ndjson"),
        (b'{"a":1}', "a.json", "json"),
        (b'{"a":1}\n', "a", "json"),
        (b'[{"a":1}]', "a.json", "json"),
        (b'[\n{"a":1}\n]', "a.json", "json"),
        (b'{"rows": [\n{"a":1}]}', "a.json", "json"),
        (b"<?xml version='1.0'?><a/>", "a.xml", "xml"),
        (b"PAR1....", "a.parquet", "parquet"),
        (b"PK\x03\x04....[Content_Types].xml", "a.xlsx", "excel"),
        (gzip.compress(CSV.encode(), mtime=0), "a.csv.gz", "csv"),
    ],
)
def test_formats_are_told_by_their_bytes(sample: bytes, name: str, kind: str) -> None:
    found = detect(sample, name)
    assert found["format"] == kind
    assert not found["notes"]


def test_a_dialect_and_columns_are_guessed() -> None:
    found = detect(CSV.encode("cp1252"), "a.csv")
    assert found["dialect"] == {"delimiter": ";", "quote": '"', "escape": "", "comment": "", "header": True}
    assert [(column["name"], column["type"]) for column in found["columns"]] == [("id", "int64"), ("name", "string"), ("price", "float64"), ("day", "date")]
    assert found["columns"][0]["samples"] == ["1", "2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_of_unicode_are_certain(encoding: str) -> None:
    found = detect(CSV.encode(encoding))
    assert found["encoding"] == {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
    assert found["dialect"]["delimiter"] == ";"


def test_a_name_that_lies_is_said() -> None:
    assert detect(CSV.encode(), "a.json")["notes"] == ["The name says json, the bytes say csv; the bytes were believed."]
    assert detect(b'{\n"a":1}', "a.ndjson")["notes"] == ["The name says ndjson, the bytes say json; the bytes were believed."]
    assert detect(b"", "a.csv")["notes"] == ["The file is empty."]


def test_what_the_sender_states_counts_for_more_than_the_name() -> None:
    found = detect(b'{"a":1}\n', "a.json", "ndjson")
    assert (found["format"], found["confidence"], found["notes"]) == ("ndjson", 1.0, [])
    assert detect(CSV.encode(), "a.csv", "json")["notes"] == ["The sender says json, the bytes say csv; the bytes were believed."]


def test_no_bytes_make_it_raise() -> None:
    luck = random.Random(5)  # noqa: S311 - a seed for tests
    for _ in range(200):
        detect(bytes(luck.choices(luck.choice([range(256), b"{[\"\n,;<\\'# a1"]), k=luck.randrange(80))))
    detect(b'"' * SAMPLE_BYTES)
    detect(b"," * SAMPLE_BYTES)
