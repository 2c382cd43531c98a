"""Imports on a real Kafka: rows, rejects and reports, exactly once wherever the worker dies."""

from collections import Counter
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import psutil
import pytest

from connectors.files.bypiece import RECORD_BYTES
from flows.core import topics
from flows.core.files.cutters import Format
from flows.core.files.pieces import LEAST_BYTES, PIECE_BYTES
from flows.core.imports.jobs import JOB
from flows.core.imports.progress import Report
from flows.engine.runtime import Engine
from flows.steps.parse import MOST_ROWS
from tests.kit.door import until
from tests.kit.engine import Crash, balanced, dies
from tests.kit.importer import Importer, counts, importer, people

ROWS = 30_000


def test_a_csv_becomes_rows_with_ids_of_file_and_ordinal(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    data = people(ROWS, bad=1000)
    job_id = made.job(data, transformation_rules={"data_types": {"id": "int64", "age": "int64"}, "column_mapping": {"name": "full_name"}}, key_columns=["id"])
    (report,) = made.run(job_id)
    assert counts(report) == ("completed_with_errors", ROWS, ROWS - 30, 30, 0)
    assert (report.bytes_read, report.bytes_total) == (len(data), len(data))
    rows = made.rows(job_id)
    file = sha256(data).hexdigest()
    expected = {sha256(f"{file}:{n}".encode()).hexdigest(): {"id": n, "full_name": f"name {n}", "age": n % 90} for n in range(ROWS) if n % 1000}
    assert {row.header("ce_id"): orjson.loads(row.value or b"") for row in rows} == expected
    assert len(rows) == len(expected)
    assert {row.key for row in rows[:5]} <= {b"%d" % n for n in range(ROWS)}
    turned = made.rejects(job_id)
    assert sorted(one.ordinal for one in turned) == list(range(0, ROWS, 1000))
    first = min(turned, key=lambda one: one.ordinal)
    assert (first.line, first.offset, first.raw) == (2, 12, b"0,name 0,old\n")
    assert [(column, value) for column, _, _, value in first.reasons] == [("age", "old")]
    assert balanced(made.bench.tallies())


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_worker_that_dies_publishes_no_row_twice_and_loses_none(kafka: str, tmp_path: Path, step: int) -> None:
    made = importer(kafka, tmp_path)
    job_id = made.job(people(ROWS), source={"chunk_size": 50})
    for times in (2, 4):
        with pytest.raises(Crash):
            made.run(job_id, after=dies(step, times))
    (report,) = made.run(job_id)
    assert counts(report) == ("completed", ROWS, ROWS, 0, 0)
    ids = Counter(row.header("ce_id") for row in made.rows(job_id))
    assert len(ids) == ROWS
    assert set(ids.values()) == {1}


def test_a_worker_that_is_stopped_in_the_middle_of_a_file_leaves_no_reading_process(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    job_id = made.job(people(10 * ROWS), source={"chunk_size": 50})
    made.run(until=lambda engine: (run := made.state(engine, job_id)) is not None and run.report.rows_read > 0)
    until(lambda: not [*made.bench.settings.batch_import_upload_dir.glob("reader-*")], timeout_s=30)
    (report,) = made.run(job_id)
    assert counts(report) == ("completed", 10 * ROWS, 10 * ROWS, 0, 0)


def test_rows_of_two_bytes_come_in_portions_that_memory_has_room_for(kafka: str, tmp_path: Path) -> None:
    """Each is turned away with a kilobyte of reasons, and a chunk may be as large as whoever orders likes."""
    made, rows = importer(kafka, tmp_path), 100_000
    job_id = made.job(b"id,t\n1,a\n" + b"l\n" * rows, source={"chunk_size": 1_000_000, "delimiter": ","})
    (report,) = made.run(job_id)
    assert counts(report) == ("completed_with_errors", rows + 1, 1, rows, 0)
    told = [Report.of(orjson.loads(read.value or b"")) for read in made.bench.read(topics.STATUS.name) if read.key == f"{JOB}/{job_id}".encode()]
    assert max(after.rows_read - before.rows_read for before, after in pairwise(told)) < MOST_ROWS + PIECE_BYTES // LEAST_BYTES
    assert len(made.rejects(job_id)) == rows


def test_a_reading_process_that_is_killed_costs_its_job_no_row(kafka: str, tmp_path: Path) -> None:
    made, killed = importer(kafka, tmp_path), list[int]()
    job_id = made.job(people(10 * ROWS), source={"chunk_size": 50})

    def over(engine: Engine) -> bool:
        run = made.state(engine, job_id)
        if not killed and run is not None and run.report.rows_read > 0:
            for reader in (one for one in psutil.Process().children(recursive=True) if "reader-" in one.cwd()):
                reader.kill()
                killed.append(reader.pid)
        return made.over(engine, job_id)

    (report,) = made.run(job_id, until=over)
    assert killed
    assert counts(report) == ("completed", 10 * ROWS, 10 * ROWS, 0, 0)


@pytest.mark.parametrize("size", [3_000_000, 50_000_000])
@pytest.mark.parametrize("form", [Format.CSV, Format.JSON, Format.LINES])
def test_a_row_that_is_larger_than_what_is_read_at_once_stops_no_file(kafka: str, tmp_path: Path, form: Format, size: int) -> None:
    made = importer(kafka, tmp_path)
    rows = [{"id": str(n), "name": "x" * size if n == 1 else "short"} for n in range(4)]
    match form:
        case Format.CSV:
            data = b"id,name\n" + b"".join(f"{row['id']},{row['name']}\n".encode() for row in rows)
        case Format.JSON:
            data = orjson.dumps(rows)
        case _:
            data = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    job_id = made.job(data, "ndjson" if form is Format.LINES else form.value, form)
    (report,) = made.run(job_id)
    turned = size > RECORD_BYTES
    assert report.errors_by_code == ({"record_too_long" if form is Format.CSV else "record_too_large": 1} if turned else {})
    assert sorted(int(orjson.loads(row.value or b"")["id"]) for row in made.rows(job_id)) == ([0, 2, 3] if turned else [0, 1, 2, 3])


@pytest.mark.parametrize("data_format", ["ndjson", "json", "parquet", "excel"])
def test_other_formats_keep_their_types(kafka: str, tmp_path: Path, data_format: str) -> None:
    made = importer(kafka, tmp_path)
    frame = pl.DataFrame({"n": list(range(2000)), "text": [f"t{n}" for n in range(2000)], "half": [n / 2 for n in range(2000)]})
    path = tmp_path / "file.xlsx"
    match data_format:
        case "ndjson":
            frame.write_ndjson(path)
        case "json":
            path.write_bytes(orjson.dumps(frame.to_dicts()))
        case "parquet":
            frame.write_parquet(path, row_group_size=300)
        case "excel":
            frame.write_excel(path)
    job_id = made.job(path.read_bytes(), data_format, source={"chunk_size": 10})
    (report,) = made.run(job_id)
    assert counts(report) == ("completed", 2000, 2000, 0, 0)
    found = sorted((orjson.loads(row.value or b"") for row in made.rows(job_id)), key=lambda row: row["n"])
    assert found == frame.to_dicts()


def test_a_file_that_cannot_be_read_fails_its_job_with_a_sentence_and_no_other(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    wrong = made.job(b"PK\x03\x04 nothing of the kind", "excel")
    good = made.job(people(10))
    broken, whole = made.run(wrong, good)
    assert broken.status == "failed"
    assert broken.trouble
    assert counts(whole) == ("completed", 10, 10, 0, 0)


def test_a_file_of_another_format_fails_its_job_and_one_without_rows_does_not(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    wrong = made.job(b'[{"id": 1}, {"id": 2}]', "csv", Format.RAW)
    empty = made.job(b"id,name\n")
    other, none = made.run(wrong, empty)
    assert counts(other) == ("failed", 0, 0, 0, 0)
    assert other.trouble.startswith("There is not one good row of csv in the file, and its first bytes are those of json.")
    assert counts(none) == ("completed", 0, 0, 0, 0)


@pytest.mark.parametrize("rules", [{"unique": ["zz"]}, {"unique": [{"columns": ["zz"], "across_runs": True}]}])
def test_a_rule_that_tells_rows_by_a_column_that_is_not_there_fails_the_job_before_a_row_is_out(kafka: str, tmp_path: Path, rules: dict[str, Any]) -> None:
    made = importer(kafka, tmp_path)
    job_id = made.job(people(1000), transformation_rules=rules)
    (report,) = made.run(job_id)
    assert counts(report) == ("failed", 0, 0, 0, 0)
    assert report.trouble == "There is no column 'zz' for unique to tell rows by: rows have id, name, age. Rules go by names after mapping."
    assert made.rows(job_id) == []


@pytest.mark.parametrize(("data_format", "unknown"), [("csv", ["zz", "tpyo"]), ("ndjson", ["zz", "tpyo", "never"])])
def test_columns_that_rules_speak_of_and_no_row_has_are_told_wherever_the_worker_dies(kafka: str, tmp_path: Path, data_format: str, unknown: list[str]) -> None:
    made = importer(kafka, tmp_path)
    data = people(ROWS)
    if data_format == "ndjson":
        data = b"".join(b'{"id":%d,"first":1}\n' % n if n < 10 else b'{"id":%d,"age":1}\n' % n for n in range(ROWS))
    rules = {"column_mapping": {"zz": "y"}, "trim": ["tpyo", "id", *(["first", "never"] if data_format == "ndjson" else [])]}
    job_id = made.job(data, data_format, source={"chunk_size": 50}, transformation_rules=rules)
    with pytest.raises(Crash):
        made.run(job_id, after=dies(3, 4))
    (report,) = made.run(job_id)
    assert counts(report) == ("completed", ROWS, ROWS, 0, 0)
    assert report.read_as["unknown_columns"] == unknown


def test_all_or_nothing_publishes_nothing_of_a_file_with_a_bad_row(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    rules = {"data_types": {"age": "int64"}}
    bad = made.job(people(3000, bad=1000), transformation_rules=rules, all_or_nothing=True)
    good = made.job(people(3000), transformation_rules=rules, all_or_nothing=True)
    refused, passed = made.run(bad, good)
    assert refused.status == "failed"
    assert (made.rows(bad), len(made.rejects(bad))) == ([], 3)
    assert counts(passed) == ("completed", 3000, 3000, 0, 0)
    assert len(made.rows(good)) == 3000


def test_too_many_errors_stop_a_job(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    job_id = made.job(people(ROWS, bad=10), source={"chunk_size": 10}, transformation_rules={"data_types": {"age": "int64"}}, max_errors=50)
    (report,) = made.run(job_id)
    assert report.status == "failed"
    assert "max_errors" in report.trouble
    assert 'retry the job with {"only": "rejected"} and transformation_rules' in report.trouble
    assert report.rows_read < ROWS
    assert len(made.rows(job_id)) == report.rows_accepted


def test_a_job_waits_for_an_upload_that_is_still_coming(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    upload = made.upload(people(100), whole=False)
    made.order("waits", source={"upload_id": upload})

    def waiting(engine: object) -> bool:
        run = made.state(engine, "waits")  # type: ignore[arg-type]  # it is an engine
        return run is not None and run.report.phase == "waiting for the upload"

    made.run(until=waiting)
    assert made.report("waits").status == "queued"


def test_a_job_that_is_cancelled_before_it_began_is_told_as_cancelled_and_can_be_retried(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    source = {"upload_id": made.upload(people(10))}
    made.order("stopped", source=source, cancelled=True)
    (report,) = made.run("stopped")
    assert counts(report) == ("cancelled", 0, 0, 0, 0)
    assert report.ended_at_ms is not None
    made.order("stopped", source=source, turn=2)
    (report,) = made.run("stopped", turn=2)
    assert counts(report) == ("completed", 10, 10, 0, 0)


def blocks(made: Importer, job_id: str) -> list[bytes]:
    """Return what a job has published, in order of ids."""
    return [row.value or b"" for row in made.rows(job_id)]


@pytest.mark.parametrize("block_format", ["ndjson", "arrow"])
def test_rows_go_out_in_blocks(kafka: str, tmp_path: Path, block_format: str) -> None:
    made = importer(kafka, tmp_path)
    job_id = made.job(people(2500), rows_per_record=1000, block_format=block_format)
    (report,) = made.run(job_id)
    assert counts(report) == ("completed", 2500, 2500, 0, 0)
    found = blocks(made, job_id)
    heights = [block.count(b"\n") if block_format == "ndjson" else pl.read_ipc_stream(block).height for block in found]
    assert sorted(heights) == [500, 1000, 1000]


@pytest.mark.parametrize("step", [0, 2, 3])
def test_a_file_of_the_workers_machine_is_brought_in_and_read(kafka: str, tmp_path: Path, step: int) -> None:
    made = importer(kafka, tmp_path)
    data = people(20_000)
    (tmp_path / "in" / "people.csv").write_bytes(data)
    job_id = f"path-{tmp_path.name}"
    made.order(job_id, source={"file_path": str(tmp_path / "in" / "people.csv"), "chunk_size": 50})
    for times in (1, 3) if step else ():
        with pytest.raises(Crash):
            made.run(job_id, after=dies(step, times))
    (report,) = made.run(job_id)
    assert counts(report) == ("completed", 20_000, 20_000, 0, 0)
    file = sha256(data).hexdigest()
    assert Counter(row.header("ce_id") for row in made.rows(job_id)) == Counter(sha256(f"{file}:{n}".encode()).hexdigest() for n in range(20_000))


@pytest.mark.parametrize(("name", "told"), [("nothing.csv", "There is no file"), ("../secret.csv", "plain absolute path"), ("link.csv", "is no regular file")])
def test_a_file_that_may_not_be_read_fails_its_job(kafka: str, tmp_path: Path, name: str, told: str) -> None:
    made = importer(kafka, tmp_path)
    (tmp_path / "secret.csv").write_bytes(b"a\n1\n")
    (tmp_path / "in" / "link.csv").symlink_to(tmp_path / "secret.csv")
    job_id = f"refused-{tmp_path.name}"
    made.order(job_id, source={"file_path": f"{tmp_path}/in/{name}"})
    (report,) = made.run(job_id)
    assert report.status == "failed"
    assert told in report.trouble
