"""Imports that remember what came before, on a real Kafka: keys, contents, files and watermarks, wherever the worker dies."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from flows.core.files.cutters import Format
from flows.core.imports.progress import Report
from tests.kit.engine import Crash, balanced, dies
from tests.kit.importer import Importer, importer

ROWS = 6_000
UNIQUE: dict[str, Any] = {"data_types": {"id": "int64"}, "unique": ["id"]}
FORMS = {"csv": Format.CSV, "ndjson": Format.LINES, "json": Format.JSON}


def told(report: Report) -> tuple[str, int, int, int, int]:
    """Return a report's status and counts."""
    return report.status, report.rows_read, report.rows_accepted, report.rows_rejected, report.rows_skipped


def csv(rows: Sequence[tuple[object, object]]) -> bytes:
    """Write rows of an id and a value."""
    return b"id,value\n" + b"".join(b"%s,%s\n" % (str(key).encode(), str(value).encode()) for key, value in rows)


def file(data_format: str, ids: Sequence[int]) -> bytes:
    """Write a file of rows with an id each, in a format."""
    frame, buffer = pl.DataFrame({"id": ids, "value": [f"v{n}" for n in ids]}), io.BytesIO()
    if data_format == "parquet":
        frame.write_parquet(buffer, row_group_size=1000)
        return buffer.getvalue()
    if data_format == "json":
        return orjson.dumps(frame.to_dicts())
    frame.write_ndjson(buffer)
    return buffer.getvalue() if data_format == "ndjson" else csv([(n, f"v{n}") for n in ids])


def ids_of(made: Importer, job_id: str) -> list[int]:
    """Return the ids that a job has published, of rows or of blocks of them."""
    found: list[int] = []
    for row in made.rows(job_id):
        value = row.value or b""
        if row.header("content-type") == "application/vnd.apache.arrow.stream":
            found += pl.read_ipc_stream(io.BytesIO(value))["id"].to_list()
        else:
            found += [int(orjson.loads(line)["id"]) for line in value.split(b"\n") if line]
    return sorted(found)


def after_one_another(made: Importer, files: Sequence[tuple[bytes, dict[str, Any]]], **fields: Any) -> tuple[list[str], list[Report]]:
    """Import files, each when the one before is over."""
    jobs, reports = [], []
    for data, more in files:
        jobs.append(made.job(data, **fields, **more))
        reports += made.run(jobs[-1])
    return jobs, reports


@pytest.mark.parametrize("block_format", ["rows", "ndjson", "arrow"])
@pytest.mark.parametrize("data_format", ["csv", "ndjson", "parquet"])
def test_a_key_comes_once_in_a_file_of_many_portions(kafka: str, tmp_path: Path, data_format: str, block_format: str) -> None:
    made = importer(kafka, tmp_path)
    ids = [n if n % 7 else n // 2 for n in range(ROWS)]
    first = {key: at for at, key in reversed([*enumerate(ids)])}
    blocks: dict[str, Any] = {} if block_format == "rows" else {"rows_per_record": 100, "block_format": block_format}
    job_id = made.job(file(data_format, ids), data_format, transformation_rules=UNIQUE, source={"chunk_size": 10}, **blocks)
    (report,) = made.run(job_id)
    assert told(report) == ("completed_with_errors", ROWS, len(first), ROWS - len(first), 0)
    assert report.errors_by_code == {"duplicate": ROWS - len(first)}
    assert ids_of(made, job_id) == sorted(first)
    assert sorted(one.ordinal for one in made.rejects(job_id)) == sorted(set(range(ROWS)) - set(first.values()))
    assert balanced(made.bench.tallies())


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_worker_that_dies_decides_the_same_about_repeated_keys(kafka: str, tmp_path: Path, step: int) -> None:
    made = importer(kafka, tmp_path)
    ids = [n % 4500 for n in range(ROWS)]
    job_id = made.job(file("csv", ids), transformation_rules=UNIQUE, source={"chunk_size": 10})
    for times in (2, 2, 2):
        with pytest.raises(Crash):
            made.run(job_id, after=dies(step, times))
    (report,) = made.run(job_id)
    assert told(report) == ("completed_with_errors", ROWS, 4500, 1500, 0)
    assert ids_of(made, job_id) == list(range(4500))
    assert sorted(one.ordinal for one in made.rejects(job_id)) == list(range(4500, ROWS))


def test_a_rejected_row_takes_no_key_and_a_retry_minds_those_that_were_taken(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    data = csv([(1, "x"), (1, "y"), (2, "bad"), (2, "z"), (3, "bad"), ("", "a"), ("", "b")])
    source = {"upload_id": made.upload(data)}
    strict = UNIQUE | {"enum": {"value": ["x", "y", "z", "a", "b"]}}
    made.order("taken", source=source, transformation_rules=strict)
    (report,) = made.run("taken")
    assert told(report) == ("completed_with_errors", 7, 4, 3, 0)
    assert report.errors_by_code == {"duplicate": 1, "not_one_of": 2}
    assert [(one.ordinal, one.line, one.reasons) for one in made.rejects("taken") if one.ordinal == 1] == [(1, 3, [("id", "duplicate", "unique: id", "1")])]
    made.order("taken", source=source, transformation_rules=UNIQUE, turn=2, only="rejected")
    (report,) = made.run("taken", turn=2)
    assert told(report) == ("completed_with_errors", 7, 5, 2, 0)
    assert [one.ordinal for one in made.rejects("taken") if one.turn == 2] == [1, 2]
    made.order("taken", source=source, transformation_rules={}, turn=3, only="rejected")
    (report,) = made.run("taken", turn=3)
    assert told(report) == ("completed", 7, 7, 0, 0)


def test_all_or_nothing_checks_with_keys_of_its_own(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    rules = {"data_types": {"id": "int64"}, "unique": [{"columns": ["id"], "across_runs": True}]}
    fields: dict[str, Any] = {"transformation_rules": rules, "all_or_nothing": True, "name": "whole", "source": {"chunk_size": 10}}
    bad = made.job(file("csv", [*range(3000), 5]), **fields)
    (report,) = made.run(bad)
    assert (report.status, report.rows_rejected, ids_of(made, bad)) == ("failed", 1, [])
    good = made.job(file("csv", range(3000)), **fields | {"source": {"chunk_size": 10}})
    (report,) = made.run(good)
    assert told(report) == ("completed", 3000, 3000, 0, 0)
    late = made.job(file("csv", [3000, 2999]), **fields | {"source": {}})
    (report,) = made.run(late)
    assert (report.status, report.errors_by_code) == ("failed", {"duplicate": 1})


def test_a_key_comes_once_over_all_runs_of_a_name(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    rules = {"data_types": {"id": "int64"}, "unique": [{"columns": ["id"], "across_runs": True}]}
    first, reports = after_one_another(made, [(file("csv", range(1000)), {}), (file("csv", range(500, 1500)), {})], transformation_rules=rules, name="orders")
    other = made.job(file("csv", range(1000)), transformation_rules=rules, name="elsewhere")
    reports += made.run(other)
    assert [told(report)[2:4] for report in reports] == [(1000, 0), (500, 500), (1000, 0)]
    assert ids_of(made, first[1]) == list(range(1000, 1500))


def test_rows_at_or_below_the_watermark_are_skipped_and_a_run_that_fails_does_not_raise_it(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    rules = {"data_types": {"id": "int64", "value": "int64"}, "max": {"value": 100}}
    fields: dict[str, Any] = {"transformation_rules": rules, "incremental": {"cursor_column": "id"}, "name": "cursor"}
    files = [
        (csv([(5, 1), (3, 1), ("", 1), (9, 200)]), {}),
        (csv([(5, 200), (6, 1), (4, 1), (8, 200)]), {"max_errors": 0}),
        (csv([(5, 1), (6, 1), (7, 1), (4, 200)]), {}),
        (csv([(7, 1), (8, 1)]), {}),
    ]
    jobs, reports = after_one_another(made, files, **fields)
    assert [told(report) for report in reports] == [
        ("completed_with_errors", 4, 2, 2, 0),  # 9 was rejected, and is no watermark
        ("failed", 4, 1, 1, 2),
        ("completed", 4, 2, 0, 2),
        ("completed", 2, 1, 0, 1),
    ]
    assert reports[0].errors_by_code == {"no_cursor": 1, "too_large": 1}
    assert [ids_of(made, job_id) for job_id in jobs] == [[3, 5], [6], [6, 7], [8]]
    changed = made.job(csv([(9, 1)]), **fields | {"transformation_rules": {"data_types": {"id": "string"}}})
    (report,) = made.run(changed)
    assert report.status == "failed"
    assert "of type string, and was int64 in earlier runs" in report.trouble


def test_a_run_that_failed_and_is_retried_goes_on_with_the_watermark_it_began_with(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    rules = {"data_types": {"id": "int64", "value": "int64"}}
    fields: dict[str, Any] = {"incremental": {"cursor_column": "id"}, "name": "retried"}
    made.run(made.job(csv([(10, 1)]), transformation_rules=rules, **fields))
    data = csv([(n, 1) for n in range(3000, 0, -1)] + [(2, "x"), (3001, "x"), (3002, 2)])
    source = {"upload_id": made.upload(data), "chunk_size": 10}
    made.order("halted", source=source, transformation_rules=rules | {"max": {"value": 1}}, max_errors=0, **fields)
    (report,) = made.run("halted")
    assert report.status == "failed"
    assert report.rows_rejected
    made.order("halted", source=source, transformation_rules=rules, turn=2, only="rejected", **fields)
    (report,) = made.run("halted", turn=2)
    if report.status == "failed":  # what stood behind the portion that was one too many
        made.order("halted", source=source, transformation_rules=rules | {"data_types": {"id": "int64"}}, turn=3, **fields)
        (report,) = made.run("halted", turn=3)
    assert ids_of(made, "halted")[:2] == [11, 12]
    assert 3002 in ids_of(made, "halted")
    assert report.rows_skipped == 11


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_worker_that_dies_compares_with_the_watermark_of_the_runs_before(kafka: str, tmp_path: Path, step: int) -> None:
    made = importer(kafka, tmp_path)
    fields: dict[str, Any] = {"transformation_rules": {"data_types": {"id": "int64"}}, "incremental": {"cursor_column": "id"}, "name": "dies"}
    made.run(made.job(file("csv", range(1000)), **fields))
    job_id = made.job(file("csv", range(6000, -1, -1)), **fields, source={"chunk_size": 10})
    for times in (2, 4):
        with pytest.raises(Crash):
            made.run(job_id, after=dies(step, times))
    (report,) = made.run(job_id)
    assert told(report) == ("completed", 6001, 5001, 0, 1000)
    assert ids_of(made, job_id) == list(range(1000, 6001))


@pytest.mark.parametrize("block_format", ["rows", "arrow"])
def test_rows_that_are_unchanged_under_their_key_are_skipped(kafka: str, tmp_path: Path, block_format: str) -> None:
    made = importer(kafka, tmp_path)
    blocks = {} if block_format == "rows" else {"rows_per_record": 50, "block_format": block_format}
    fields: dict[str, Any] = {"incremental": {"key": ["id"]}, "name": "keyed", **blocks}
    rows = [(n, "a") for n in range(3000)]
    first = made.job(csv([*rows, (7, "a"), (8, "b"), (8, "a")]), **fields, source={"chunk_size": 10})
    (report,) = made.run(first)
    assert told(report) == ("completed", 3003, 3002, 0, 1)
    changed = [(n, "b" if n % 100 == 0 else "a") for n in range(3010)]
    second = made.job(csv([*changed, ("", "x"), ("", "x")]), **fields, source={"chunk_size": 10})
    for times in (2, 3):
        with pytest.raises(Crash):
            made.run(second, after=dies(times, times))
    (report,) = made.run(second)
    assert told(report) == ("completed", 3012, 42, 0, 2970)
    third = made.job(csv(changed), **fields)
    (report,) = made.run(third)
    assert told(report) == ("completed", 3010, 0, 0, 3010)


def test_a_file_that_was_imported_before_is_skipped_as_a_whole(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    data, rules = csv([(1, "x"), (2, "y"), ("z", "z")]), {"data_types": {"id": "int64"}}
    fields: dict[str, Any] = {"transformation_rules": rules, "incremental": {"file": True}, "name": "files"}
    jobs, reports = after_one_another(made, [(data, {"max_errors": 0}), (data, {}), (data, {}), (data + b"4,w\n", {})], **fields)
    assert [told(report) for report in reports] == [
        ("failed", 3, 2, 1, 0),
        ("completed_with_errors", 3, 2, 1, 0),
        ("completed", 3, 0, 0, 3),
        ("completed_with_errors", 4, 3, 1, 0),
    ]
    assert (reports[2].phase, reports[2].bytes_read, made.rows(jobs[2])) == ("skipped: the file was imported before", len(data), [])
    (tmp_path / "in" / "same.csv").write_bytes(data)
    made.order("brought", source={"file_path": str(tmp_path / "in" / "same.csv")}, **fields)
    (report,) = made.run("brought")
    assert told(report) == ("completed", 3, 0, 0, 3)


def test_more_keys_than_may_be_remembered_end_a_job_with_a_sentence(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    job_id = made.job(file("csv", range(3000)), transformation_rules=UNIQUE, remember_keys=1000, source={"chunk_size": 10})
    (report,) = made.run(job_id)
    assert report.status == "failed"
    assert "1,000 keys that remember_keys allows" in report.trouble
    assert len(made.rows(job_id)) == report.rows_accepted <= 1000


def test_jobs_of_a_name_run_one_after_the_other_as_they_were_ordered(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    fields: dict[str, Any] = {"incremental": {"key": ["id"]}, "name": "queue"}
    rows = [(n, "a") for n in range(3000)]
    sources = [{"upload_id": made.upload(csv(data)), "chunk_size": 10} for data in (rows, [*rows, (1, "b")], [(1, "b"), (2, "a")])]
    for at, source in enumerate(sources):
        made.order(f"queue-{at}", source=source, **fields)
    reports = made.run(*(f"queue-{at}" for at in range(3)))
    assert [told(report)[2:] for report in reports] == [(3000, 0, 0), (1, 0, 3000), (0, 0, 2)]
