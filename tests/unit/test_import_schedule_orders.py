"""What orders do to a scheduled job: cancelling, retrying, running it now; with real state and no broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.office import Office, counts, files

HOUR = 3600


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def test_a_job_that_is_cancelled_while_it_waits_runs_no_more_until_it_is_retried(office: Office) -> None:
    office.file("a.csv", "1\n")
    office.order()
    office.tick(HOUR)
    office.settle()
    office.cancel()
    office.tick()
    assert (office.report.status, office.report.next_run_at_ms) == ("completed", None)
    office.tick(5 * HOUR)
    office.settle()
    assert office.report.run == 1
    office.again()
    office.settle()
    report = office.report
    assert (report.turn, report.run, report.runs_skipped, report.next_run_at_ms) == (2, 1, 0, office.clock.now_ms() + HOUR * 1000)
    office.tick(HOUR)
    office.settle()
    assert (office.report.run, office.report.turn) == (2, 2)


def test_a_job_that_is_cancelled_before_its_first_run_can_be_retried(office: Office) -> None:
    office.order()
    office.tick()
    office.cancel()
    office.tick(2 * HOUR)
    assert counts(office.report) == ("cancelled", 0, 0, 0, 0)
    office.again()
    office.settle()
    assert (office.report.status, office.report.phase, office.report.runs_skipped) == ("queued", "waiting for its first run", 0)


def test_a_retry_that_is_cancelled_before_the_flow_has_seen_it_is_over(office: Office) -> None:
    office.file("a.csv", "1\n")
    office.order()
    office.tick(HOUR)
    office.settle()
    office.cancel()
    office.tick()
    office.again()
    office.cancel()
    office.settle()
    assert (office.report.status, office.report.turn, office.report.next_run_at_ms, len(office.rows)) == ("completed", 2, None, 1)


def test_a_run_that_is_cancelled_in_the_middle_goes_on_where_it_stood(office: Office) -> None:
    office.file("a.csv", "1\n2\n")
    office.file("b.csv", "3\n")
    office.order()
    office.tick()
    office.tick(HOUR)
    while not office.rows:
        office.tick()
        office.work()
    office.cancel()
    office.settle()
    assert (counts(office.report), len(office.rows)) == (("cancelled", 1, 1, 1, 0), 1)
    office.again()
    office.settle()
    assert (counts(office.report), files(office.report)) == (("completed", 1, 3, 3, 0), (2, 2, 0))
    assert [value for _, value in office.rows] == [b"1", b"2", b"3"]
    assert [(past.run, past.status) for past in office.report.past] == [(1, "completed")]


def test_a_run_can_be_asked_for_beside_the_schedule(office: Office) -> None:
    office.file("a.csv", "1\n")
    office.order()
    office.settle()
    begin = office.clock.now_ms()
    office.tick(60)
    office.extra += 1
    office.order()
    office.settle()
    assert (office.begun(), office.report.status, office.report.next_run_at_ms) == ([(1, None)], "completed", begin + HOUR * 1000)
    office.tick(HOUR)
    office.settle()
    assert office.begun() == [(1, None), (2, begin + HOUR * 1000)]


def test_a_failed_run_of_one_file_is_gone_on_with_and_one_of_several_is_left_to_the_next(office: Office) -> None:
    source = office.definition["source_config"] | {"file_path": f"{office.folder}/a.csv"}
    office.order(source_config=source)
    office.tick(HOUR)
    office.settle()
    assert (office.report.status, office.report.trouble) == ("failed", f"There is no file {office.folder}/a.csv.")
    office.file("a.csv", "1\n")
    office.again()
    office.settle()
    assert (counts(office.report), files(office.report)) == (("completed", 1, 1, 1, 0), (1, 1, 0))
    for name in ("a.csv", "b.csv"):
        office.file(name, "broken\n")
    office.order(source_config=source | {"file_path": f"{office.folder}/*.csv"})
    office.tick(HOUR)
    office.settle()
    assert (counts(office.report), files(office.report)) == (("failed", 2, 0, 0, 0), (2, 0, 2))
    office.again()
    office.settle()
    assert (office.report.status, office.report.turn, office.report.run) == ("failed", 3, 2)


def test_a_retry_that_a_run_has_overtaken_is_that_run(office: Office) -> None:
    office.file("a.csv", "broken\n")
    office.order()
    office.tick(HOUR)
    office.settle()
    office.tick(HOUR)
    office.again("rejected")
    office.settle()
    assert (office.report.run, office.report.turn, office.report.status) == (2, 2, "failed")
