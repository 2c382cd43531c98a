"""Runs of a scheduled job, with real state and no broker: when they begin, which files they read, and what is told of them."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.steps.find import LINK
from tests.kit.office import Office, counts, files

HOUR = 3600


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def test_a_job_waits_for_its_first_run_and_says_when_it_is(office: Office) -> None:
    office.order()
    office.settle()
    report = office.report
    assert (counts(report), report.phase) == (("queued", 0, 0, 0, 0), "waiting for its first run")
    assert report.next_run_at_ms == office.clock.now_ms() + HOUR * 1000


def test_each_run_reads_the_files_that_are_there_and_counts_from_nothing(office: Office) -> None:
    office.file("b.csv", "3\nbad\n")
    office.file("a.csv", "1\n2\n")
    office.order()
    office.settle()
    office.tick(HOUR)
    office.settle()
    report = office.report
    assert (counts(report), files(report)) == (("completed_with_errors", 1, 4, 3, 1), (2, 2, 0))
    assert [value for _, value in office.rows] == [b"1", b"2", b"3"]
    assert report.checkpoint.path == f"{office.folder}/b.csv"
    assert report.next_run_at_ms == office.clock.now_ms() + HOUR * 1000
    (office.folder / "b.csv").unlink()
    office.file("c.csv", "4\n")
    office.tick(HOUR)
    office.settle()
    report = office.report
    assert (counts(report), files(report)) == (("completed", 2, 3, 3, 0), (2, 2, 0))
    assert [(past.run, past.status, past.rows_read) for past in report.past] == [(2, "completed", 3), (1, "completed_with_errors", 4)]
    assert Counter(Counter(name for name, _ in office.rows).values()) == {2: 2, 1: 2}


def test_a_run_that_finds_no_file_is_completed(office: Office) -> None:
    office.order()
    office.tick(HOUR)
    office.settle()
    assert (counts(office.report), files(office.report)) == (("completed", 1, 0, 0, 0), (0, 0, 0))
    assert office.report.trouble == f"No file matches {office.folder}/*.csv."


def test_a_link_is_told_and_costs_the_run_nothing(office: Office) -> None:
    office.file("a.csv", "1\n")
    (office.folder / "link.csv").symlink_to("/etc/passwd")
    (office.folder / "loose.csv").symlink_to("nowhere")
    office.order()
    office.tick(HOUR)
    office.settle()
    report = office.report
    assert (counts(report), files(report), report.trouble) == (("completed", 1, 1, 1, 0), (1, 1, 0), "")
    assert list(report.files.told) == [f"{office.folder}/{name}.csv: {LINK}" for name in ("link", "loose")]
    (office.folder / "a.csv").unlink()
    office.tick(HOUR)
    office.settle()
    assert (office.report.status, len(office.report.files.told)) == ("completed", 2)


def test_a_file_that_cannot_be_read_costs_itself_and_no_other(office: Office) -> None:
    office.file("a.csv", "1\n")
    office.file("b.csv", "2\nbroken\n3\n")
    office.file("c.csv", "4\n")
    (office.folder / "link.csv").symlink_to(office.folder / "a.csv")
    office.order()
    office.tick()
    office.tick(HOUR)
    assert office.work()  # they are found
    (office.folder / "c.csv").unlink()
    office.file("d.csv", "5\n")
    office.settle()
    report = office.report
    assert (counts(report), files(report)) == (("completed_with_errors", 1, 2, 2, 0), (3, 1, 2))
    assert list(report.files.troubles) == [f"{office.folder}/b.csv: The file is broken.", f"There is no file {office.folder}/c.csv."]
    assert list(report.files.passed) == [f"{office.folder}/link.csv: {LINK}"]
    assert report.trouble == f"2 of 3 files were not read to their ends, of which the first: {office.folder}/b.csv: The file is broken."
    assert [value for _, value in office.rows] == [b"1", b"2"]


def test_a_file_that_is_written_to_while_it_is_brought_in_is_left_to_the_next_run(office: Office) -> None:
    office.file("a.csv", "1\n" * 6_000_000)  # more than one part of it is brought in at once
    office.file("b.csv", "2\n")
    office.order()
    office.tick()
    office.tick(HOUR)
    assert office.work()
    assert office.work()
    office.file("a.csv", "1\n")
    office.settle()
    report = office.report
    assert (counts(report), files(report)) == (("completed_with_errors", 1, 1, 1, 0), (2, 1, 1))
    assert "a.csv was written to while it was brought in" in report.trouble
    office.tick(HOUR)
    office.settle()
    assert counts(office.report) == ("completed", 2, 2, 2, 0)


@pytest.mark.parametrize(("policy", "runs", "skipped"), [("skip", 0, 5), ("once", 1, 4), ("all", 3, 2)])
def test_runs_that_were_missed_are_made_up_for_as_the_policy_says(tmp_path: Path, policy: str, runs: int, skipped: int) -> None:
    office = Office(tmp_path, frequency="hourly", catch_up=policy, catch_up_most=3)
    office.file("a.csv", "1\n")
    office.order()
    office.settle()
    begin = office.clock.now_ms()
    office.tick(5 * HOUR + 120)
    office.settle()
    report = office.report
    assert (report.run, report.runs_skipped, len(office.rows)) == (runs, skipped, runs)
    assert [due for _, due in office.begun()] == [begin + hour * HOUR * 1000 for hour in range(6 - runs, 6)]
    assert report.next_run_at_ms == begin + 6 * HOUR * 1000
    office.close()


def test_no_two_runs_go_on_at_once(office: Office) -> None:
    office.file("a.csv", "1\n")
    office.order()
    office.tick()
    office.tick(HOUR)
    begin = office.clock.now_ms()
    for _ in range(3):
        office.tick(HOUR)
    office.extra += 1
    office.order()
    office.tick()
    assert office.report.run == 1
    office.settle()
    assert (office.report.run, office.report.runs_skipped) == (2, 2)
    assert [due for _, due in office.begun()] == [begin, begin + 3 * HOUR * 1000]


@pytest.mark.parametrize("jump", [-600, -HOUR * 30])
def test_a_clock_that_is_set_back_begins_no_run_twice(office: Office, jump: int) -> None:
    office.file("a.csv", "1\n")
    office.order()
    office.settle()
    begin = office.clock.now_ms()
    office.tick(HOUR)
    office.settle()
    office.clock.jump(jump * 1000)
    office.crash()
    office.settle()
    office.tick(-jump + HOUR)
    office.settle()
    assert [due for _, due in office.begun()] == [begin + HOUR * 1000, begin + 2 * HOUR * 1000]


def test_limits_are_about_each_file_and_a_file_that_must_pass_as_a_whole_publishes_nothing(office: Office) -> None:
    office.file("a.csv", "1\n2\n")
    office.file("b.csv", "3\nbad\n4\n")
    office.file("c.csv", "5\n")
    office.order(all_or_nothing=True)
    office.tick(HOUR)
    office.settle()
    report = office.report
    assert [value for _, value in office.rows] == [b"1", b"2", b"5"]
    assert (report.rows_read, report.rows_accepted, report.rows_rejected, report.rows_skipped) == (6, 3, 1, 2)
    assert (report.status, files(report)) == ("completed_with_errors", (3, 2, 1))
    assert "all_or_nothing" in report.trouble


def test_a_portion_that_fails_for_good_costs_its_file(office: Office) -> None:
    office.file("a.csv", "1\n")
    office.order()
    office.tick()
    office.tick(HOUR)
    office.away = True
    for _ in range(200):
        office.work()
        office.tick(2)
    report = office.report
    assert (report.status, report.run) == ("failed", 1)
    assert report.trouble.startswith("A portion could not be read 60 times: Unavailable")


def test_what_a_pattern_cannot_find_fails_its_run_with_a_sentence(office: Office) -> None:
    odd = os.fsencode(office.folder) + b"/\xff.csv"
    os.close(os.open(odd, os.O_CREAT))
    office.order()
    office.tick(HOUR)
    office.settle()
    assert (counts(office.report), office.report.trouble.partition(" finds ")[2]) == (
        ("failed", 1, 0, 0, 0),
        f"{office.folder}/\\udcff.csv, whose name is no text of UTF-8; rename it.",
    )
    Path(os.fsdecode(odd)).unlink()
    for number in range(1001):
        office.file(f"{number}.csv", "")
    office.tick(HOUR)
    office.settle()
    assert (office.report.run, office.report.status) == (2, "failed")
    assert "finds more than 1,000 files" in office.report.trouble
    for number in range(1001):
        (office.folder / f"{number}.csv").unlink()
    (office.folder / "a.csv").write_text("1\n")
    office.again()
    office.settle()
    assert (counts(office.report), files(office.report)) == (("completed", 2, 1, 1, 0), (1, 1, 0))


def test_a_schedule_outlives_a_definition_that_this_version_cannot_read(office: Office) -> None:
    office.file("a.csv", "1\n")
    office.order()
    office.settle()
    office.put(b'{"of": "a newer version"}')
    office.tick(HOUR)
    office.tick(90)
    assert office.report.run == 0
    office.order()
    office.tick(60)
    office.settle()
    assert counts(office.report) == ("completed", 1, 1, 1, 0)


def test_the_history_is_bounded(office: Office) -> None:
    office.order()
    office.settle()
    for _ in range(13):
        office.tick(HOUR)
        office.settle()
    assert [past.run for past in office.report.past] == list(range(13, 3, -1))


def test_a_schedule_is_kept_for_as_long_as_it_waits(tmp_path: Path) -> None:
    office = Office(tmp_path, frequency="monthly", day=31, time="02:30", timezone="Europe/Berlin")
    office.order()
    for _ in range(3):
        office.tick(32 * 24 * HOUR)
        office.crash()
        office.settle()
    assert office.report.run == 3
    office.close()
