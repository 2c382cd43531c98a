"""What a dry run lets one expect of the whole file."""

from dataclasses import replace
from typing import Any

import pytest

from flows.core.files.rejects import Reject
from flows.core.imports.portion import BEGINNING, Portion
from flows.core.imports.uploads import create
from flows.wire.preview import Look
from flows.wire.sample import Sample
from ingress import previews
from ingress.routes.preview_answers import PreviewAnswer, PreviewRequest

UPLOAD = replace(create("u-1", 1000, "", 0, 1000, 10_000), offset=1000, cut=1000, sha256="ab" * 32)


def job(**fields: Any) -> PreviewRequest:
    return PreviewRequest.model_validate({"data_format": "csv", "source_config": {"upload_id": "u-1"}, **fields})


def portion(read: int, rejected: int = 0, **over: Any) -> Portion:
    rejects = [Reject(n, n + 2, -1, "a", "not_int64", "int64", "x", b"\xff") for n in range(rejected)]
    good = read - rejected
    return Portion(BEGINNING, True, read, 0, good, [b"{}"] * good, [None] * good, [b"0" * 64] * good, rejects, read_as={"encoding": "utf-8"})._replace(**over)


def seen(*portions: Portion, refused: tuple[str, str] | None = None, seconds: float = 0.1, **sample: Any) -> Look:
    found = Sample({}, {"start": [], "middle": [], "end": []}, **{"size": 100, **sample})
    return Look(found, list(portions), {}, refused, seconds)


def noted(wanted: PreviewRequest, look: Look) -> list[str]:
    """Return the notes but for the one on places that were not looked at."""
    return [note for note in previews.notes(wanted, look, previews.estimate(look, UPLOAD)) if not note.startswith("There was not time")]


def test_a_whole_file_is_known_exactly() -> None:
    found = previews.estimate(seen(portion(10, 2), whole=True, rows=10), UPLOAD)
    assert (found.rows, found.exact, found.rejected) == (10, True, 2)


def test_of_a_sample_rows_and_rejects_are_reckoned() -> None:
    counted = previews.estimate(seen(portion(10, 1), portion(10), rows=5000), UPLOAD)
    assert (counted.rows, counted.exact, counted.rejected) == (5000, True, 250)
    by_bytes = previews.estimate(seen(portion(10, 1), portion(10)), UPLOAD)
    assert (by_bytes.rows, by_bytes.exact, by_bytes.rejected) == (200, False, 10)


def test_what_is_published_bounds_the_rate() -> None:
    assert previews.estimate(seen(portion(1000), seconds=0.0001, rows=1_000_000), UPLOAD).seconds == 10.0
    assert previews.estimate(seen(portion(1000), seconds=1.0, rows=1_000_000), UPLOAD).seconds == 1000.0


def test_nothing_is_reckoned_of_what_cannot_be_read() -> None:
    look = seen(refused=("not_excel", "No."))
    assert previews.estimate(look, UPLOAD) == previews.Estimate(None, exact=False, rejected=None, rate_rows_s=None, seconds=None)
    assert previews.expected(job(), look, previews.estimate(look, UPLOAD)) == "failed"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "completed_with_errors"),
        ({"max_errors": 249}, "failed"),
        ({"max_errors": 250}, "completed_with_errors"),
        ({"max_error_ratio": 0.01}, "failed"),
        ({"max_error_ratio": 0.05}, "completed_with_errors"),
        ({"all_or_nothing": True}, "failed"),
        ({"all_or_nothing": True, "max_errors": 249}, "failed"),
        ({"all_or_nothing": True, "max_errors": 250}, "completed_with_errors"),
        ({"all_or_nothing": True, "max_error_ratio": 0.05}, "completed_with_errors"),
    ],
)
def test_thresholds_are_foreseen(fields: dict[str, Any], expected: str) -> None:
    look = seen(portion(20, 1), rows=5000)
    whole = previews.estimate(look, UPLOAD)
    assert previews.expected(job(**fields), look, whole) == expected
    told = [note.partition(": ")[0] for note in noted(job(**fields), look)]
    assert told == ["The job fails, as far as the sample tells"] * (expected == "failed")


def test_of_packed_rows_nobody_has_counted_those_of_the_sample_are_judged() -> None:
    look = seen(portion(20, 1, read_as={"compression": "gzip"}))
    whole = previews.estimate(look, UPLOAD)
    assert whole.rows is None
    assert previews.expected(job(max_errors=0), look, whole) == previews.expected(job(all_or_nothing=True), look, whole) == "failed"
    assert previews.expected(job(max_error_ratio=0.05), look, whole) == "completed_with_errors"


@pytest.mark.parametrize(("form", "expected", "follows"), [("csv", "failed", "the job fails"), ("ndjson", "completed", "they all pass it")])
def test_a_column_that_rows_are_told_by_and_no_row_has_is_foreseen(form: str, expected: str, follows: str) -> None:
    look = seen(portion(20), whole=True, rows=20)._replace(columns={"missing": [["unique", "zz"]], "unknown": ["zz", "tpyo"]})
    wanted = job(data_format=form)
    assert previews.expected(wanted, look, previews.estimate(look, UPLOAD)) == expected
    assert noted(wanted, look) == [
        f"There is no column 'zz' for unique to tell rows by, so that {follows}; rules go by names after mapping.",
        f"Rules speak of columns that no row of the sample has: 'tpyo'. {previews.NAMES}",
    ]


def test_what_earlier_runs_took_is_said_to_be_unknown() -> None:
    look = seen(portion(20), whole=True, rows=20)
    across = {"transformation_rules": {"unique": [{"columns": ["a"], "across_runs": True}]}}
    for fields in ({"incremental": {"file": True}}, {"incremental": {"key": ["a"]}}, across):
        assert noted(job(**fields), look) == [previews.EARLIER]
    part = look._replace(sample=look.sample._replace(whole=False))
    assert noted(job(transformation_rules={"unique": ["a"]}), part) == [previews.REPEATED]
    assert noted(job(incremental={"key": ["a"]}), part) == [previews.EARLIER, previews.REPEATED]


def test_columns_that_are_known_to_be_missing_at_the_end_only_are_told_as_well() -> None:
    look = seen(portion(5), portion(5, read_as={"unknown_columns": ["zz"]}))
    assert previews.read_as(look) == {"encoding": "utf-8", "unknown_columns": ["zz"]}


@pytest.mark.parametrize(("form", "expected", "follows"), [("csv", "failed", "the job fails"), ("ndjson", "completed", "rows have no key")])
def test_a_column_of_the_key_that_no_row_has_is_foreseen(form: str, expected: str, follows: str) -> None:
    look = seen(portion(20), whole=True, rows=20)._replace(columns={"published": [{"name": "id", "type": "string"}]})
    wanted = job(data_format=form, key_columns=["nope"])
    assert previews.expected(wanted, look, previews.estimate(look, UPLOAD)) == expected
    assert [note for note in noted(wanted, look) if f"no column 'nope' among those that are published, so that {follows};" in note]
    assert previews.expected(job(key_columns=["id"]), look, previews.estimate(look, UPLOAD)) == "completed"


def test_what_was_noted_while_reading_is_told() -> None:
    look = seen(portion(1, read_as={"encoding": "cp1252", "notes": ["A guess."]}), whole=True, rows=1)
    assert noted(job(), look) == ["A guess."]


def test_a_row_counts_once_for_each_code_and_bytes_that_are_no_text_are_shown() -> None:
    look = seen(portion(5, 5, rejects=[Reject(0, 2, 0, column, "not_int64", "int64", "x", b"\xff") for column in "ab"]))
    (error,) = previews.errors(look, "csv")
    assert (error["rows"], len(error["examples"]), error["examples"][0]["row"]) == (1, 1, "\ufffd")


def test_large_rows_are_counted_and_not_shown() -> None:
    answer = PreviewAnswer.of(job(), UPLOAD, seen(portion(1, values=[b'{"a":"' + b"x" * 20_000 + b'"}'])))
    assert (answer.rows[0].value, answer.rows[0].size_bytes) == (None, 20_008)
