"""What rows that are run again change in the report of their job."""

from flows.core.files.rejects import Reject
from flows.core.imports.again import Again, codes_of, rejects_of
from flows.core.imports.portion import BEGINNING, Portion
from flows.core.imports.progress import BEGINNING as START
from flows.core.imports.progress import Gain, Report
from flows.core.imports.rejects import MOST_REASONS, Headers, by_row, read
from flows.core.record import Record


def reject(ordinal: int, code: str) -> Reject:
    return Reject(ordinal, ordinal + 1, ordinal * 10, "age", code, "int64", "old", b"old\n")


def again(good: int, skipped: int, *still: Reject) -> Again:
    portion = Portion(BEGINNING, True, good + skipped + len(still), skipped, good, [], [], [], still)
    return Again(9, 9, {"wrong_type": 3, "required": 1}, portion)


def test_rows_that_pass_move_and_those_that_fail_again_are_counted_once() -> None:
    before = Report(job_id="j").plus(Gain(5, 4, 0, 100, {"wrong_type": 4, "required": 1}), START, 1)
    found = Again.unpack(again(2, 1, reject(3, "too_large")).pack())
    after = before.plus(found.gain(before.rows_rejected), START, 2)
    assert (after.rows_read, after.rows_accepted, after.rows_rejected, after.rows_skipped, after.bytes_read) == (9, 7, 1, 1, 100)
    assert after.errors_by_code == {"wrong_type": 1, "too_large": 1}


def test_no_more_rows_are_taken_back_than_were_counted() -> None:
    before = Report(job_id="j").plus(Gain(5, 1, 0, 100, {"wrong_type": 1}), START, 1)
    after = before.plus(again(3, 0).gain(before.rows_rejected), START, 2)
    assert (after.rows_read, after.rows_accepted, after.rows_rejected, after.errors_by_code) == (8, 8, 0, {})


def test_what_a_record_tells_of_a_row_is_what_was_counted() -> None:
    found = [reject(1, "wrong_type")] * (MOST_REASONS + 5) + [reject(2, "required")]
    rows = by_row(found)
    headers = Headers("j", 1, rows)
    assert [*headers] == [*headers]  # as often as they are asked for
    records = [Record("xyra.rejects", 0, 0, 0, b"j", row[0].raw, tuple(told)) for row, told in zip(rows, headers, strict=True)]
    told = [one for record in records if (turned := read(record)) for one in rejects_of(turned)]
    assert codes_of(told) == codes_of(found) == {"wrong_type": MOST_REASONS, "required": 1}
    assert told[-1] == found[-1]
