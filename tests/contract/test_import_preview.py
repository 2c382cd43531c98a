"""Dry runs of imports at a running ingress over a real Kafka: what they say of files, and that they write nothing."""

import gzip
import io
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import polars as pl
import pytest

from flows.core import topics
from flows.wire.kafka import partition_count
from flows.wire.replay import extent_of
from tests.kit.door import RunningDoor

ROUTE = "/integration/import/preview"
RULES = {"column_mapping": {"Order No": "id"}, "data_types": {"id": "int64", "amount": "decimal"}}
CSV = b"Order No,amount,note\n1,1.50,a\nx,2,b\n3,many,c\n4,2\n5,7,e\n"


def uploaded(door: RunningDoor, data: bytes, name: str = "orders.csv", **hints: str) -> str:
    answer = door.http.post("/integration/import/upload", params=hints, content=data, headers={"content-type": "application/octet-stream", "x-file-name": name})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["upload_id"])


def asked(door: RunningDoor, data: bytes, data_format: str = "csv", *, name: str = "x", source: dict[str, Any] | None = None, **fields: Any) -> httpx2.Response:
    told = {"data_format": data_format, "source_config": {"upload_id": uploaded(door, data, name), **(source or {})}, **fields}
    return patiently(door, told)


def patiently(door: RunningDoor, told: dict[str, Any]) -> httpx2.Response:
    """Ask again where the machine was so busy that the process did not start in time."""
    answers = (door.http.post(ROUTE, json=told) for _ in range(5))
    found = next(answers)
    while ("too_slow_to_preview" in found.text or "There was not time" in found.text) and (more := next(answers, None)) is not None:
        found = more
    return found


def previewed(*args: Any, **fields: Any) -> dict[str, Any]:
    answer = asked(*args, **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ends(door: RunningDoor) -> dict[str, list[int]]:
    """Return where every topic ends."""
    names = [topic.name for topic in topics.TOPICS if topic is not topics.STATUS and partition_count(door.settings, topic.name)]
    return {name: [extent_of(door.settings, name, number).end for number in range(partition_count(door.settings, name) or 0)] for name in names}


def test_a_small_file_is_looked_at_as_a_whole(door: RunningDoor) -> None:
    found = previewed(door, CSV, transformation_rules=RULES, key_columns=["id"])
    assert found["expected"] == "completed_with_errors"
    assert found["refused"] is None
    assert found["sampled"] == {
        "places": ["start"], "whole": True, "size_bytes": len(CSV), "rows_read": 5, "rows_accepted": 2, "rows_rejected": 3, "rows_skipped": 0,
    }  # fmt: skip
    assert [(one["key"], one["value"]) for one in found["rows"]] == [
        ("1", {"id": 1, "amount": "1.50", "note": "a"}),
        ("5", {"id": 5, "amount": "7", "note": "e"}),
    ]
    errors = {error["code"]: error for error in found["errors"]}
    assert {code: error["rows"] for code, error in errors.items()} == {"not_int64": 1, "not_decimal": 1, "too_few_columns": 1}
    example = errors["not_int64"]["examples"][0]
    assert {name: example[name] for name in ("ordinal", "line", "offset", "column", "rule", "value", "row")} == {
        "ordinal": 1, "line": 3, "offset": CSV.index(b"x,"), "column": "id", "rule": 'data_types: "int64"', "value": "x", "row": "x,2,b\n",
    }  # fmt: skip
    assert example["message"].startswith("id: is no whole number. To mend it, write digits")
    assert errors["too_few_columns"]["examples"][0]["message"] == "The row has fewer fields than the header. To mend it, add the missing delimiters."
    assert [(column["name"], column["type"]) for column in found["columns"]["found"]] == [("Order No", "string"), ("amount", "string"), ("note", "string")]
    assert [(column["name"], column["type"]) for column in found["columns"]["published"]] == [("id", "int64"), ("amount", "decimal"), ("note", "string")]
    assert found["read_as"] == {"encoding": "utf-8", "delimiter": ",", "quote": '"', "escape": "", "comment": "", "header": True}
    assert (found["estimate"]["rows"], found["estimate"]["exact"], found["estimate"]["rows_rejected"]) == (5, True, 3)


def test_a_large_file_is_looked_at_in_three_places_and_its_rows_are_known(door: RunningDoor) -> None:
    rows = [b'%d,"%d\n%d"' % (n, n, n) for n in range(300_000)]
    rows[5], rows[150_000], rows[-3] = b"x,1", b'y,"2', b"z,3"
    data = b"id,n\n" + b"\n".join(rows) + b"\n"
    before, begun = ends(door), time.monotonic()
    upload_id = uploaded(door, data)
    then = ends(door)
    wanted = {"data_format": "csv", "source_config": {"upload_id": upload_id}, "transformation_rules": {"data_types": {"id": "int64"}}}
    found = patiently(door, wanted)
    assert time.monotonic() - begun < 40
    assert ends(door) == then != before, "a dry run has written something"
    told = found.json()
    assert told["sampled"]["places"] == ["start", "middle", "end"]
    assert told["sampled"]["rows_read"] < 100_000
    assert (told["estimate"]["rows"], told["estimate"]["exact"]) == (300_000, True)
    assert told["estimate"]["seconds"] > 0
    places = {one["ordinal"]: one for error in told["errors"] for one in error["examples"]}
    assert {5, 299_997} <= places.keys()
    for ordinal, one in places.items():
        assert data[one["offset"] :].startswith(rows[ordinal].split(b"\n")[0]), "an example is not where it is said to be"
        assert one["line"] == data.count(b"\n", 0, one["offset"]) + 1


@pytest.mark.parametrize(
    ("data_format", "make"),
    [
        ("ndjson", lambda frame: frame.write_ndjson().encode()),
        ("json", lambda frame: json.dumps(frame.to_dicts()).encode()),
        ("json", lambda frame: json.dumps({"rows": frame.to_dicts()}).encode()),
        ("xml", lambda frame: b"<rows>" + b"".join(b"<row><id>%d</id><name>%s</name></row>" % (n, name.encode()) for n, name in frame.rows()) + b"</rows>"),
        ("csv", lambda frame: gzip.compress(frame.write_csv().encode(), mtime=0)),
        ("tsv", lambda frame: frame.write_csv(separator="\t").encode("utf-16")),
        ("parquet", lambda frame: _written(frame.write_parquet)),
        ("excel", lambda frame: _written(frame.write_excel)),
    ],
    ids=["ndjson", "json", "nested json", "xml", "packed", "utf-16", "parquet", "excel"],
)
def test_each_format(door: RunningDoor, data_format: str, make: Callable[[pl.DataFrame], bytes]) -> None:
    frame = pl.DataFrame({"id": range(3000), "name": [f"n{n}" for n in range(3000)]})
    data = make(frame)
    source = {"json_path": "/rows"} if data.startswith(b'{"rows"') else {}
    rules = {"data_types": {"id": "int64"}, "min": {"id": 2}}
    found = previewed(door, data, data_format, source=source, transformation_rules=rules)
    assert found["refused"] is None
    assert (found["sampled"]["rows_read"], found["sampled"]["rows_rejected"], found["sampled"]["whole"]) == (3000, 2, True)
    assert (found["estimate"]["rows"], found["estimate"]["exact"]) == (3000, True)
    assert found["rows"][0]["value"] == {"id": 2, "name": "n2"}
    assert [(column["name"], column["type"]) for column in found["columns"]["found"]] == [("id", "int64"), ("name", "string")]


def _written(write: Callable[[io.BytesIO], Any]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def test_the_beginning_of_a_large_file_that_is_not_cut(door: RunningDoor) -> None:
    source = random.Random(7)  # noqa: S311  no secret
    lines = b"".join(b"%d,%032x\n" % (n, source.getrandbits(128)) for n in range(400_000))
    found = previewed(door, gzip.compress(b"id,n\n" + lines, 1, mtime=0))
    assert found["refused"] is None
    assert (found["sampled"]["whole"], found["sampled"]["places"], found["expected"]) == (False, ["start"], "completed")
    assert found["sampled"]["rows_rejected"] == 0, "the row at which the sample breaks off counts as damaged"
    assert 0 < found["sampled"]["rows_read"] < 400_000
    assert found["estimate"]["rows"] is None
    assert any("from the start" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("data", "data_format", "code"),
    [
        (b"not a workbook", "excel", "not_excel"),
        (b"\x1f\x8b\x08\x00rubbish", "csv", "truncated"),
        (b'{"a": 1}', "json", "not_an_array"),
        (b'a,"b\n1,2\n', "csv", "bad_header"),
    ],
)
def test_a_file_that_a_job_would_fail_on(door: RunningDoor, data: bytes, data_format: str, code: str) -> None:
    found = previewed(door, data, data_format)
    assert (found["expected"], found["refused"]["code"], found["rows"]) == ("failed", code, [])
    assert found["refused"]["detail"].endswith(".")


def test_a_file_that_breaks_off_is_taken_and_it_is_told_that_its_job_will_fail(door: RunningDoor) -> None:
    found = previewed(door, b'[{"id":1},{"id":2,},{"id":3}', "json", name="a.json")
    assert (found["expected"], found["refused"]["code"]) == ("failed", "truncated")
    assert [row["value"] for row in found["rows"]] == [{"id": 1}, {"id": 3}]
    answer = door.http.post("/integration/import/upload", content=b'[{"id":1}', headers={"x-file-name": "b.json"})
    assert [note for note in answer.json()["detected"]["notes"] if "array is not closed" in note]


def test_too_many_rejects_are_foreseen(door: RunningDoor) -> None:
    assert previewed(door, CSV, transformation_rules=RULES, max_errors=2)["expected"] == "failed"
    assert previewed(door, CSV, transformation_rules=RULES, max_error_ratio=0.9)["expected"] == "completed_with_errors"
    noted = previewed(door, CSV, key_columns=["nobody"])
    assert noted["rows"][0]["key"] is None
    assert "no column 'nobody'" in noted["notes"][0]


CURSOR: dict[str, Any] = {"transformation_rules": {"data_types": {"ts": "int64"}}, "incremental": {"cursor_column": "ts"}}


def test_the_column_of_a_cursor_is_looked_at_as_by_the_job(door: RunningDoor) -> None:
    found = previewed(door, b"id,ts\n1,5\n2,3\n3,\n", **CURSOR)
    assert (found["expected"], found["sampled"]["rows_accepted"], found["sampled"]["rows_rejected"]) == ("completed_with_errors", 2, 1)
    (error,) = found["errors"]
    assert (error["code"], error["rows"], error["examples"][0]["column"], error["examples"][0]["line"]) == ("no_cursor", 1, "ts", 4)
    assert any("earlier runs" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        (CURSOR, "incremental.cursor_column"),
        ({"incremental": {"key": ["ts"]}}, "incremental.key"),
        ({"transformation_rules": {"unique": ["ts"]}}, "unique"),
    ],
)
def test_a_rule_by_a_column_that_is_not_there_is_foreseen_to_fail(door: RunningDoor, fields: dict[str, Any], rule: str) -> None:
    found = previewed(door, b"id,stamp\n1,5\n", **fields)
    assert found["expected"] == "failed"
    assert f"There is no column 'ts' for {rule} to tell rows by, so that the job fails; rules go by names after mapping." in found["notes"]


def test_rows_that_repeat_what_came_before_in_the_file_are_skipped_as_by_the_job(door: RunningDoor) -> None:
    found = previewed(door, b"id,n\n1,5\n1,5\n1,6\n", incremental={"key": ["id"]})
    assert (found["sampled"]["rows_accepted"], found["sampled"]["rows_skipped"], found["expected"]) == (2, 1, "completed")


def test_rows_that_repeat_one_of_an_earlier_portion_are_seen(door: RunningDoor) -> None:
    lines = b"".join(b"%d\n" % n for n in [*range(6000), 3, 5999])
    found = previewed(door, gzip.compress(b"id\n" + lines, mtime=0), transformation_rules={"unique": ["id"]})
    assert (found["sampled"]["rows_read"], found["sampled"]["rows_rejected"], found["expected"]) == (6002, 2, "completed_with_errors")


def test_columns_that_rules_speak_of_and_no_row_has_are_told(door: RunningDoor) -> None:
    rules = {"column_mapping": {"zz": "y"}, "data_types": {"tpyo": "int64", "y": "string"}, "trim": ["id"]}
    for data, form in ((b"id,n\n1,5\n", "csv"), (b'{"id": "1"}\n{"n": "5"}\n', "ndjson")):
        found = previewed(door, data, form, transformation_rules=rules)
        assert (found["expected"], found["read_as"]["unknown_columns"]) == ("completed", ["zz", "tpyo"])
        assert any("'zz', 'tpyo'" in note for note in found["notes"])
    assert "unknown_columns" not in previewed(door, b"id,zz,tpyo\n1,2,3\n", transformation_rules=rules)["read_as"]


def test_a_job_that_publishes_all_or_nothing_is_foreseen_to_fail(door: RunningDoor) -> None:
    found = previewed(door, CSV, transformation_rules=RULES, all_or_nothing=True)
    assert (found["expected"], found["sampled"]["rows_rejected"]) == ("failed", 3)
    assert "3 rows were rejected, and all_or_nothing" in found["notes"][0]
    assert previewed(door, CSV, transformation_rules=RULES, all_or_nothing=True, max_errors=3)["expected"] == "completed_with_errors"


@pytest.mark.parametrize(
    ("over", "wrong"),
    [
        ({"source_config": {"upload_id": "u-0"}}, {"/source_config/upload_id": "unknown_upload"}),
        ({"source_config": {"file_path": "/data/a.csv"}}, {"/source_config/file_path": "not_here"}),
        ({"source_config": {"url": "https://example.com/a.csv"}}, {"/source_config/url": "not_here"}),
        (
            {"source_config": {}, "transformation_rules": {"regex": {"a": "("}}},
            {"/source_config": "value_error", "/transformation_rules/regex/a": "invalid_regex"},
        ),
        ({"colour": "red"}, {"/colour": "unknown_field"}),
    ],
)
def test_what_cannot_be_tried_is_refused_as_for_a_job(door: RunningDoor, over: dict[str, Any], wrong: dict[str, str]) -> None:
    answer = door.http.post(ROUTE, json={"data_format": "csv", "source_config": {"upload_id": "u-0"}, **over})
    assert answer.status_code == 422, answer.text
    assert {name: code for name, code in ((error["pointer"], error["code"]) for error in answer.json()["errors"]) if name in wrong} == wrong


def test_previews_at_once_are_bounded(door: RunningDoor) -> None:
    body = {"data_format": "csv", "source_config": {"upload_id": uploaded(door, CSV)}}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door.http.post(ROUTE, json=body), range(8)))
    sent_away = [answer for answer in answers if answer.status_code == 503]
    assert 0 < len(sent_away) < len(answers)
    assert all(answer.headers["retry-after"] == "2" for answer in sent_away)
    assert all(answer.status_code == 200 or "too_slow_to_preview" in answer.text for answer in answers if answer not in sent_away)


def test_an_upload_of_which_nothing_has_come(door: RunningDoor) -> None:
    made = door.http.post("/integration/import/tus", headers={"tus-resumable": "1.0.0", "upload-length": "100"})
    upload_id = made.headers["location"].rpartition("/")[2]
    answer = door.http.post(ROUTE, json={"data_format": "csv", "source_config": {"upload_id": upload_id}})
    assert (answer.status_code, answer.json()["status"]) == (409, 409)
