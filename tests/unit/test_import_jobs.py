"""What a job's definition may say, and what its report can become."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from flows.core.errors import Conflict
from flows.core.imports.history import MOST_PATH, MOST_TEXT, MOST_TROUBLES, Files
from flows.core.imports.jobs import JobDefinition, StoredJob, check_job
from flows.core.imports.progress import ENDED, MOST_CODES, MOVES, OTHER, Checkpoint, Gain, Report, move, outcome, too_wrong, way_on
from ingress.fields import errors_of

SEED: dict[str, Any] = {
    "name": "Customer Data Import",
    "job_type": "one_time",
    "data_format": "csv",
    "source_config": {"file_path": "/path/to/customers.csv", "chunk_size": 1000},
    "transformation_rules": {
        "column_mapping": {"customer_id": "id", "customer_name": "name"},
        "data_types": {"id": "int64", "created_at": "datetime"},
    },
}
MONTHLY: dict[str, Any] = {
    "name": "Monthly Customer Import",
    "job_type": "scheduled",
    "data_format": "csv",
    "source_config": {"file_path": "/in/customers-*.csv"},
    "schedule_config": {"frequency": "monthly", "day": 1, "time": "02:00"},
}


def wrong(base: dict[str, Any] = SEED, /, source: dict[str, Any] | None = None, **fields: Any) -> list[tuple[str, str]]:
    body = base | fields | ({"source_config": base["source_config"] | source} if source is not None else {})
    found = check_job(JobDefinition.model_validate(body))
    assert all(error.detail for error in found)
    return [(error.pointer, error.code) for error in found]


def test_the_seeds_bodies_are_fine() -> None:
    assert wrong() == []
    assert wrong(MONTHLY) == []


def test_a_stored_job_is_read_back_as_it_was() -> None:
    stored = StoredJob(job_id="j-1", definition=JobDefinition.model_validate(MONTHLY), by="a", created_at_ms=1, updated_at_ms=2)
    assert StoredJob.model_validate_json(stored.model_dump_json(by_alias=True)) == stored


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "     "}, [("/name", "blank")]),
        ({"source_config": {}}, [("/source_config", "value_error")]),
        ({"source": {"url": "https://example.com/a.csv"}}, [("/source_config", "value_error")]),
        ({"source_config": {"url": "ftp://example.com/a.csv"}}, [("/source_config/url", "url_invalid")]),
        ({"source_config": {"url": "https://user@example.com/a.csv"}}, [("/source_config/url", "url_invalid")]),
        ({"source_config": {"url": "s3://bucket/a.csv"}}, []),
        ({"source_config": {"url": "az://container/a b/\u00e9.csv"}}, []),
        *(
            ({"source_config": {"url": url}}, [("/source_config/url", "url_invalid")])
            for url in ("s3://bucket", "s3://bucket/", "gs://b/a?x", "az://c@account.host/a", "S3://b/a", "s3://b/a#1", "s3:///a", "s3://b::file/")
        ),
        ({"source": {"file_path": "/in/../etc/passwd"}}, [("/source_config/file_path", "wrong_form")]),
        ({"source": {"file_path": "/in//a"}}, [("/source_config/file_path", "wrong_form")]),
        ({"source": {"file_path": "/in/*.csv"}}, [("/source_config/file_path", "not_here")]),
        (
            {"job_type": "scheduled", "schedule_config": {"frequency": "daily"}, "source": {"file_path": "/in/**/a.csv"}},
            [("/source_config/file_path", "wrong_form")],
        ),
        ({"source": {"sheet": "A", "json_path": "/a"}}, [("/source_config/sheet", "not_here"), ("/source_config/json_path", "not_here")]),
        ({"data_format": "parquet", "source": {"delimiter": ";"}}, [("/source_config/delimiter", "not_here")]),
        ({"source": {"delimiter": ";", "quote": ";"}}, [("/source_config/quote", "conflict")]),
        ({"source": {"delimiter": '"'}}, [("/source_config/quote", "conflict")]),
        ({"source": {"delimiter": '"', "quote": ""}}, []),
        ({"source": {"member": "a.csv", "compression": "gzip"}}, [("/source_config/member", "not_here")]),
        ({"source": {"headers": {"a": "b"}}}, [("/source_config/headers", "not_here")]),
        ({"source": {"file_path": None, "url": "s3://b/a", "headers": {"a": "b"}}}, [("/source_config/headers", "not_here")]),
        (
            {"source": {"file_path": None, "url": "http://h/a", "headers": {"Range": "a", "Host": "b", "a": "b\n", "X": "1", "x": "2"}}},
            [
                ("/source_config/headers/Range", "not_here"),
                ("/source_config/headers/Host", "wrong_form"),
                ("/source_config/headers/a", "wrong_form"),
                ("/source_config/headers", "conflict"),
            ],
        ),
        ({"job_type": "scheduled"}, [("/schedule_config", "missing")]),
        ({"schedule_config": {"frequency": "daily"}}, [("/schedule_config", "not_here")]),
        ({"incremental": {}}, [("/incremental", "value_error")]),
        ({"incremental": {"file": True, "key": ["id"]}}, [("/incremental", "value_error")]),
        ({"incremental": {"cursor_column": "id"}}, []),
        ({"target_topic": "xyra.events"}, []),
        ({"target_topic": "xyra.config"}, [("/target_topic", "reserved_topic")]),
        ({"target_topic": ".."}, [("/target_topic", "reserved_topic")]),
        ({"block_format": "arrow"}, [("/block_format", "not_here")]),
        ({"block_format": "arrow", "rows_per_record": 500}, []),
        ({"rows_per_record": 500, "key_columns": ["id"]}, [("/key_columns", "not_here")]),
        ({"key_columns": ["id", "id"]}, [("/key_columns", "conflict")]),
    ],
)
def test_fields_that_do_not_go_together_are_named(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert wrong(**fields) == expected


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert wrong(MONTHLY, source={"upload_id": "u", "sheet": 1}, schedule_config={"frequency": "weekly"}, incremental={}, block_format="arrow") == [
        ("/source_config", "value_error"),
        ("/source_config/sheet", "not_here"),
        ("/source_config/upload_id", "not_here"),
        ("/schedule_config/weekday", "missing"),
        ("/incremental", "value_error"),
        ("/block_format", "not_here"),
    ]


@pytest.mark.parametrize(
    "source",
    [
        *({"encoding": name} for name in ("rot13", "hex", "zip", "utf-7", "punycode", "no such", "a\0b", "undefined")),
        *({"delimiter": text} for text in ("", ",,", "\n", "\r", "\0", "\u00a7")),
        {"columns": []},
        {"columns": ["a", "a"]},
        {"chunk_size": 0},
        {"file_path": "customers.csv"},
        {"file_path": "/a\0b"},
        {"record_path": "/a"},
        {"json_path": "a"},
        {"sheet": 0},
        {"chunksize": 5},
    ],
)
def test_what_no_source_has_is_refused(source: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobDefinition.model_validate(SEED | {"source_config": SEED["source_config"] | source})


def test_a_misspelt_field_is_told_with_the_name_that_was_meant() -> None:
    body = SEED | {"source_config": {"file_pth": "/a"}, "schedule_config": {"timezne": "UTC"}, "incrementl": {}}
    with pytest.raises(ValidationError) as caught:
        JobDefinition.model_validate(body)
    found = errors_of([{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()], body, JobDefinition)
    assert [(error.pointer, error.detail.partition("did you mean ")[2]) for error in found] == [
        ("/source_config/file_pth", "file_path?"),
        ("/schedule_config/timezne", "timezone?"),
        ("/incrementl", "incremental?"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF-16", "cp1252", "windows-1252", "latin1", "shift_jis", "gb18030", "utf_8_sig"])
def test_encodings_of_files_are_taken(encoding: str) -> None:
    assert wrong(source={"encoding": encoding}) == []


def test_the_rule_of_the_counts_is_part_of_the_report() -> None:
    Report(job_id="j", rows_read=6, rows_accepted=3, rows_rejected=2, rows_skipped=1)
    with pytest.raises(ValueError, match="7 rows were read"):
        Report(job_id="j", rows_read=7, rows_accepted=3, rows_rejected=2, rows_skipped=1)
    with pytest.raises(ValueError, match="accepted"):
        Report(job_id="j", rows_read=1, rows_accepted=2, rows_rejected=-1)


def run(*gains: Gain, total: int | None = None) -> Report:
    report = Report(job_id="j", bytes_total=total).after("start", 1000)
    for number, gain in enumerate(gains, 1):
        report = report.plus(gain, Checkpoint("f", number), 1000 + 1000 * number)
    return report


def test_a_report_grows_by_portions_and_is_read_back_as_it_was() -> None:
    report = run(Gain(900, 100, 0, 5000, {"type": 100}), Gain(500, 0, 500, 5000, {}), total=100_000)
    assert (report.rows_read, report.rows_accepted, report.rows_rejected, report.rows_skipped) == (2000, 1400, 100, 500)
    assert report.rate_rows_s == pytest.approx(1000)
    assert report.eta_s == 18
    assert report.started_at_ms == 1000
    assert Report.of(orjson.loads(report.text())) == report


def paced(report: Report, portions: int, every_ms: int) -> Report:
    for _ in range(portions):
        report = report.plus(Gain(3500, 0, 0, 50_000, {}), report.checkpoint, report.updated_at_ms + every_ms)
    return report


def test_a_time_without_a_worker_is_no_slow_reading() -> None:
    report = paced(Report(job_id="j", bytes_total=100_000_000).after("start", 1000), 40, 500)
    assert report.rate_rows_s == pytest.approx(7000)
    behind = paced(report, 1, 60_000)
    assert behind.rate_rows_s > 5900
    assert behind.eta_s is not None
    assert report.eta_s is not None
    assert behind.eta_s < 1.25 * report.eta_s
    assert paced(behind, 10, 500).rate_rows_s > 6400


@pytest.mark.parametrize("every_ms", [50, 5000])
def test_a_reading_that_is_faster_or_slower_for_good_is_told_as_such(every_ms: int) -> None:
    report = paced(Report(job_id="j").after("start", 1000), 40, 500)
    assert paced(report, 15 if every_ms > 500 else 600, every_ms).rate_rows_s == pytest.approx(3_500_000 / every_ms, rel=0.3)


def test_a_retry_of_rejected_rows_moves_them() -> None:
    report = run(Gain(90, 10, 0, 500, {"type": 10})).after("complete_with_errors", 3000).after("retry", 4000).after("start", 4001)
    report = report.plus(Gain(8, -8, 0, 0, {"type": -10, "enum": 2}), report.checkpoint, 5000)
    assert (report.rows_read, report.rows_accepted, report.rows_rejected, report.errors_by_code) == (100, 98, 2, {"enum": 2})
    assert (report.turn, report.started_at_ms, report.ended_at_ms) == (2, 1000, None)


def test_codes_are_bounded() -> None:
    report = run(*(Gain(0, 1, 0, 1, {f"code{number}": 1}) for number in range(MOST_CODES + 20)))
    assert len(report.errors_by_code) == MOST_CODES + 1
    assert report.errors_by_code[OTHER] == 20
    assert sum(report.errors_by_code.values()) == report.rows_rejected


def test_every_status_is_reached_and_left_only_by_the_table() -> None:
    statuses = {status for status, _ in MOVES}
    assert set(MOVES.values()) == statuses == ENDED | {"queued", "running"}
    for status in statuses:
        for event in {event for _, event in MOVES}:
            if (status, event) in MOVES:
                assert move(status, event) == MOVES[status, event]
            else:
                with pytest.raises(Conflict, match=f"The job is {status}"):
                    move(status, event)
    with pytest.raises(Conflict, match=r"is completed: it cannot be cancelled\.$"):
        move("completed", "cancel")
    with pytest.raises(Conflict, match="is failed: it cannot be cancelled; it can be retried"):
        move("failed", "cancel")


def test_the_next_run_of_a_schedule_counts_from_nothing() -> None:
    report = run(Gain(1, 0, 0, 1, {})).after("complete", 5000)
    assert report.next_run(6000, 5900) == Report(job_id="j", run=1, due_at_ms=5900, updated_at_ms=6000)
    with pytest.raises(Conflict):
        report.next_run(6000).next_run(7000)


@pytest.mark.parametrize(
    ("limits", "rejected", "read", "early", "at_the_end"),
    [
        ({}, 10, 10, False, False),
        ({"max_errors": 5}, 5, 10, False, False),
        ({"max_errors": 5}, 6, 10, True, True),
        ({"max_errors": 0}, 1, 10, True, True),
        ({"max_error_ratio": 0.1}, 100, 1000, False, False),
        ({"max_error_ratio": 0.1}, 101, 1000, True, True),
        ({"max_error_ratio": 0.1}, 9, 9, False, True),
        ({"max_error_ratio": 0.1, "min_rows_for_ratio": 9}, 9, 9, True, True),
        ({"max_error_ratio": 0}, 0, 0, False, False),
        ({"all_or_nothing": True}, 0, 10, False, False),
        ({"all_or_nothing": True}, 1, 10, False, True),
        ({"all_or_nothing": True, "max_errors": 3}, 3, 10, False, False),
        ({"all_or_nothing": True, "max_errors": 3}, 4, 10, True, True),
    ],
)
def test_too_much_is_wrong_by_number_and_by_part(limits: dict[str, Any], rejected: int, read: int, early: bool, at_the_end: bool) -> None:
    job = JobDefinition.model_validate(SEED | limits)
    report = Report(job_id="j", rows_read=read, rows_accepted=read - rejected, rows_rejected=rejected)
    assert (too_wrong(job, report, over=False) is not None, too_wrong(job, report, over=True) is not None) == (early, at_the_end)
    assert outcome(report) == ("complete_with_errors" if rejected else "complete")


@pytest.mark.parametrize(
    ("limits", "rows"), [({"max_errors": 0}, "1 row was"), ({"max_error_ratio": 0.1}, "1 of 2 rows was"), ({"all_or_nothing": True}, "1 row was")]
)
def test_one_rejected_row_is_told_as_one(limits: dict[str, Any], rows: str) -> None:
    report = Report(job_id="j", rows_read=2, rows_accepted=1, rows_rejected=1)
    assert f"{too_wrong(JobDefinition.model_validate(SEED | limits), report, over=True)}".startswith(f"{rows} rejected, and ")


@pytest.mark.parametrize(
    ("fields", "found", "sentence"),
    [
        ({}, 1, 'A plain retry counts them still: retry the job with {"only": "rejected"} and transformation_rules that these rows pass, or order a new one'),
        ({"data_format": "parquet"}, 1, "A plain retry counts them still: retry the job with"),
        ({"all_or_nothing": True}, 1, "Order a new job on the file, with rules"),
        ({}, 2, "Order a new job on the file, with rules"),
    ],
)
def test_what_to_do_about_too_many_rejects(fields: dict[str, Any], found: int, sentence: str) -> None:
    assert way_on(JobDefinition.model_validate(SEED | fields), Report(job_id="j", files=Files(found=found))).startswith(sentence)


def test_links_are_told_behind_the_files_that_failed_and_change_nothing_else() -> None:
    found = Files(found=1, passed=("/in/l.csv: A link.",))
    assert (found.told, found.sentence()) == (("/in/l.csv: A link.",), "")
    failed = found.one_failed("Broken.", "/in/a.csv")
    assert (failed.told, failed.sentence()) == (("/in/a.csv: Broken.", "/in/l.csv: A link."), "/in/a.csv: Broken.")
    assert len(Files(passed=("l",) * 10).one_failed("Broken.").told) == MOST_TROUBLES
    assert Files.of(orjson.loads(orjson.dumps(failed))) == failed


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\x1b[2J", "a\x7f", "a\x85b"])
def test_a_name_is_text_on_one_line(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        JobDefinition.model_validate(SEED | {"name": name})


def test_a_file_that_failed_is_named_before_what_was_wrong_with_it() -> None:
    found = Files(found=2)
    assert found.one_failed("The file is broken.", "/in/a.csv").troubles == ("/in/a.csv: The file is broken.",)
    assert found.one_failed("There is no file /in/a.csv.", "/in/a.csv").troubles == ("There is no file /in/a.csv.",)
    assert found.one_failed("The file is broken.").troubles == ("The file is broken.",)
    (long,) = found.one_failed("The file is broken. " * 100, "/in" * 1000 + "/a.csv").troubles
    assert (len(long), long.partition(": ")[0][-9:], len(long.partition(": ")[0])) == (MOST_TEXT, "/in/a.csv", MOST_PATH)
