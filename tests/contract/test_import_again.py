"""Rejected rows are run again on a real Kafka: by new rules, each once, wherever the worker dies."""

import gzip
from collections import Counter
from datetime import date, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import openpyxl
import orjson
import polars as pl
import pytest

from flows.core.files.cutters import Format
from tests.kit.engine import Crash, balanced, dies
from tests.kit.importer import counts, importer, people

ROWS = 30_000
FORMS = {"csv": Format.CSV, "ndjson": Format.LINES, "json": Format.JSON}


def aged(data_format: str) -> bytes:
    """Write 3000 rows of the ages 0 to 89 in a format; the fourth, whose age is 3, is larger than what is kept of a reject."""
    rows = [{"id": n, "name": "long" * 20_000 if n == 3 else f"name {n}", "age": 60 if n == 3 else n % 90} for n in range(3000)]
    match data_format:
        case "ndjson":
            return b"\n".join(map(orjson.dumps, rows))
        case "json":
            return orjson.dumps(rows)
        case "xml":
            told = [f"<person><id>{row['id']}</id><name>{row['name']}</name><age>{row['age']}</age></person>" for row in rows]
            return ("<people>" + "\n".join(told) + "</people>").encode()
        case "parquet":
            held = BytesIO()
            pl.DataFrame(rows).write_parquet(held, row_group_size=700)
            return held.getvalue()
    text = "\n".join(f"{row['id']},{row['name']},{row['age']}" for row in rows).encode()
    data = b"id,name,age\n" + text + b"\n7000,short\n"
    return gzip.compress(data) if data_format == "csv.gz" else data


def limited(most: int) -> dict[str, object]:
    """Return rules that turn away who is older."""
    return {"data_types": {"id": "int64", "age": "int64"}, "max": {"age": most}}


@pytest.mark.parametrize("data_format", ["csv", "csv.gz", "ndjson", "json", "xml", "parquet"])
def test_rejected_rows_are_run_again_by_new_rules(kafka: str, tmp_path: Path, data_format: str) -> None:
    made, job_id = importer(kafka, tmp_path), f"again-{data_format}"
    form, data = data_format.partition(".")[0], aged(data_format)
    source = {"upload_id": made.upload(data, Format.RAW if data_format in {"csv.gz", "xml", "parquet"} else FORMS[form])}
    source |= {"record_path": "people/person"} if form == "xml" else {}
    short = 1 if form == "csv" else 0
    made.order(job_id, form, source=source, transformation_rules=limited(50))
    (report,) = made.run(job_id)
    ages = [60 if n == 3 else n % 90 for n in range(3000)]
    first = [n for n, age in enumerate(ages) if age > 50]
    assert counts(report) == ("completed_with_errors", 3000 + short, 3000 - len(first), len(first) + short, 0)
    before = {one.ordinal: one for one in made.rejects(job_id)}

    made.order(job_id, form, source=source, transformation_rules=limited(80), turn=2, only="rejected")
    (report,) = made.run(job_id, turn=2)
    second = [n for n, age in enumerate(ages) if age > 80 or n == 3]
    assert counts(report) == ("completed_with_errors", 3000 + short, 3000 - len(second), len(second) + short, 0)
    assert report.errors_by_code == {"too_large": len(second)} | ({"too_few_columns": 1} if short else {})
    file = sha256(data).hexdigest()
    rows = made.rows(job_id)
    expected = {sha256(f"{file}:{n}".encode()).hexdigest(): (n, age) for n, age in enumerate(ages) if n not in second}
    assert {row.header("ce_id"): (int(orjson.loads(row.value or b"")["id"]), orjson.loads(row.value or b"")["age"]) for row in rows} == expected
    assert len(rows) == len(expected)
    again = [one for one in made.rejects(job_id) if one.turn == 2]
    assert sorted(one.ordinal for one in again) == [*second, *[3000] * short]
    assert all((one.line, one.offset, one.raw) == (before[one.ordinal].line, before[one.ordinal].offset, before[one.ordinal].raw) for one in again)

    made.order(job_id, form, source=source, transformation_rules=limited(90), turn=3, only="rejected")
    (report,) = made.run(job_id, turn=3)
    assert counts(report) == ("completed_with_errors", 3000 + short, 2999, 1 + short, 0)
    assert len({row.header("ce_id") for row in made.rows(job_id)}) == len(made.rows(job_id)) == 2999
    assert balanced(made.bench.tallies())


def workbook(rows: list[tuple[object, ...]]) -> bytes:
    """Write a workbook with a sheet of these rows."""
    held = BytesIO()
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(held)
    return held.getvalue()


def test_rejected_rows_of_a_workbook_are_run_again_with_the_types_of_their_cells(kafka: str, tmp_path: Path) -> None:
    made, job_id = importer(kafka, tmp_path), "again-excel"
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(90)]
    data = workbook([("id", "day", "code", "long"), *((n, day, n if n % 2 else f"00{n}", "x" * 32_000 if n == 3 else None) for n, day in enumerate(days))])
    source = {"upload_id": made.upload(data, Format.RAW)}

    def rules(most: int, day: str) -> dict[str, object]:
        return {"data_types": {"id": "int64", "day": "date", "code": "string"}, "max": {"id": most, "day": day}}

    made.order(job_id, "excel", source=source, transformation_rules=rules(89, "2024-02-09"))
    (report,) = made.run(job_id)
    assert counts(report) == ("completed_with_errors", 90, 40, 50, 0)
    made.order(job_id, "excel", source=source, transformation_rules=rules(79, "2024-12-31"), turn=2, only="rejected")
    (report,) = made.run(job_id, turn=2)
    assert counts(report) == ("completed_with_errors", 90, 80, 10, 0)
    assert report.errors_by_code == {"too_large": 10}
    file = sha256(data).hexdigest()
    rows = {row.header("ce_id"): orjson.loads(row.value or b"") for row in made.rows(job_id)}
    assert len(made.rows(job_id)) == len(rows) == 80
    told = [{"id": n, "day": f"{days[n]}", "code": str(n) if n % 2 else f"00{n}", "long": "x" * 32_000 if n == 3 else None} for n in range(80)]
    assert rows == {sha256(f"{file}:{n}".encode()).hexdigest(): told[n] for n in range(80)}
    again = [one for one in made.rejects(job_id) if one.turn == 2]
    assert [(one.ordinal, one.line, one.offset) for one in again] == [(n, n + 2, -1) for n in range(80, 90)]


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_worker_that_dies_runs_no_rejected_row_twice_and_leaves_none_out(kafka: str, tmp_path: Path, step: int) -> None:
    made, job_id, total = importer(kafka, tmp_path), f"dies-{step}", 6_000
    source = {"upload_id": made.upload(people(total))}
    made.order(job_id, source=source, transformation_rules=limited(50))
    made.order(f"other-{step}", source=source, transformation_rules=limited(50))
    first, _ = made.run(job_id, f"other-{step}")
    made.order(job_id, source=source, transformation_rules=limited(80), turn=2, only="rejected")
    for times in (1, 3):
        with pytest.raises(Crash):
            made.run(job_id, turn=2, after=dies(step, times))
    (report,) = made.run(job_id, turn=2)
    accepted = sum(n % 90 <= 80 for n in range(total))
    assert first.rows_accepted < accepted
    assert counts(report) == ("completed_with_errors", total, accepted, total - accepted, 0)
    assert report.errors_by_code == {"too_large": total - accepted}
    ids = Counter(row.header("ce_id") for row in made.rows(job_id))
    assert (len(ids), set(ids.values())) == (accepted, {1})
    assert Counter(one.turn for one in made.rejects(job_id)) == {1: first.rows_rejected, 2: total - accepted}


def test_rejected_rows_of_a_file_that_was_not_read_to_its_end_and_then_the_rest(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    source = {"upload_id": made.upload(people(ROWS)), "chunk_size": 10}
    made.order("unread", source=source, transformation_rules=limited(50), max_errors=50)
    (report,) = made.run("unread")
    assert report.status == "failed"
    read = report.rows_read
    made.order("unread", source=source, transformation_rules=limited(90), max_errors=50, turn=2, only="rejected")
    (report,) = made.run("unread", turn=2)
    assert counts(report) == ("failed", read, read, 0, 0)
    assert "not read to its end" in report.trouble
    made.order("unread", source=source, transformation_rules=limited(90), max_errors=50, turn=3)
    (report,) = made.run("unread", turn=3)
    assert counts(report) == ("completed", ROWS, ROWS, 0, 0)
    assert len({row.header("ce_id") for row in made.rows("unread")}) == len(made.rows("unread")) == ROWS
