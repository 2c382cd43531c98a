"""Scheduled imports on a real Kafka: on time, each run once wherever the worker dies, whichever worker it is; and their routes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from connectors.testing import ManualClock
from flows.core.imports.progress import Report
from flows.engine.runtime import Engine
from tests.kit.door import RunningDoor, running_door, until
from tests.kit.engine import Crash, dies
from tests.kit.files import Served, rows, serving
from tests.kit.importer import Importer, importer
from tests.kit.settings import settings_for
from tests.kit.workers import running_workers

HOUR_MS = 3_600_000
ROUTE = "/integration/import/jobs"
HOURLY = {"frequency": "hourly"}


def people(first: int, rows: int) -> bytes:
    """Write a CSV of so many rows; each hundredth has an age that is no number."""
    lines = [b"%d,%s" % (n, b"old" if n % 100 == 0 else b"%d" % (n % 90)) for n in range(first, first + rows)]
    return b"id,age\n" + b"\n".join(lines) + b"\n"


def scheduled(made: Importer, tmp_path: Path, job_id: str, **fields: Any) -> None:
    """Order a job on all CSV files of a folder."""
    source = {"file_path": f"{tmp_path}/in/*.csv", "chunk_size": 20}
    fields.setdefault("schedule_config", HOURLY)
    fields.setdefault("transformation_rules", {"data_types": {"id": "int64", "age": "int64"}})
    made.order(job_id, source=source, job_type="scheduled", **fields)


def pass_time(made: Importer, milliseconds: int) -> None:
    clock = made.bench.clock
    assert isinstance(clock, ManualClock)
    clock.advance(milliseconds)


def after_run(made: Importer, job_id: str, run: int, **how: Any) -> Report:
    """Run a worker until a run of the job is over."""
    made.run(until=partial(ended, made, job_id, run), **how)
    return made.report(job_id)


def ended(made: Importer, job_id: str, run: int, engine: Engine) -> bool:
    """Tell whether a run is over in a worker's state."""
    found = made.state(engine, job_id)
    return found is not None and found.report.run >= run and found.report.over


def waiting(made: Importer, job_id: str) -> Report:
    """Run a worker until a job waits for its schedule."""

    def waits(engine: Engine) -> bool:
        found = made.state(engine, job_id)
        return found is not None and found.report.next_run_at_ms is not None

    made.run(until=waits)
    return made.report(job_id)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_each_run_begins_once_and_publishes_each_row_once_while_workers_die(kafka: str, tmp_path: Path, step: int) -> None:
    made, job_id = importer(kafka, tmp_path), f"hourly-{tmp_path.name}"
    data = {f"{name}.csv": people(first, 1500) for name, first in (("b", 2000), ("a", 0))}
    for name, content in data.items():
        (tmp_path / "in" / name).write_bytes(content)
    scheduled(made, tmp_path, job_id)
    assert waiting(made, job_id).next_run_at_ms == made.bench.clock.now_ms() + HOUR_MS
    report = Report(job_id=job_id)
    for run in (1, 2):
        pass_time(made, HOUR_MS)
        for times in (1, 4, 9):
            with suppress(Crash):
                after_run(made, job_id, run, after=dies(step, times))
        report = after_run(made, job_id, run)
        assert (report.status, report.run, report.rows_read, report.rows_accepted, report.rows_rejected) == ("completed_with_errors", run, 3000, 2970, 30)
        assert (report.files.found, report.files.read, report.checkpoint.path) == (2, 2, f"{tmp_path}/in/b.csv")
        assert report.runs_skipped == 0
    ids = {sha256(f"{sha256(content).hexdigest()}:{n}".encode()).hexdigest() for content in data.values() for n in range(1500) if n % 100}
    assert Counter(row.header("ce_id") for row in made.rows(job_id)) == Counter(dict.fromkeys(ids, 2))
    told = Counter((one.run, one.path.rpartition("/")[2]) for one in made.rejects(job_id))
    assert told == {(run, name): 15 for run in (1, 2) for name in data}
    assert [past.run for past in report.past] == [2, 1]


@pytest.mark.parametrize(("policy", "runs"), [("skip", 0), ("once", 1), ("all", 3)])
def test_runs_that_were_missed_while_no_worker_ran(kafka: str, tmp_path: Path, policy: str, runs: int) -> None:
    made, job_id = importer(kafka, tmp_path), f"missed-{tmp_path.name}"
    (tmp_path / "in" / "a.csv").write_bytes(people(1, 20))
    scheduled(made, tmp_path, job_id, schedule_config=HOURLY | {"catch_up": policy, "catch_up_most": 3})
    begin = made.bench.clock.now_ms()
    waiting(made, job_id)
    pass_time(made, 5 * HOUR_MS + 120_000)

    def caught_up(engine: Engine) -> bool:
        found = made.state(engine, job_id)
        return found is not None and found.report.next_run_at_ms == begin + 6 * HOUR_MS and found.report.run == runs and (found.report.over or not runs)

    made.run(until=caught_up)
    report = made.report(job_id)
    assert (report.run, report.runs_skipped) == (runs, 5 - runs)
    assert len(made.rows(job_id)) == 20 * runs
    assert [past.due_at_ms for past in report.past] == [begin + hour * HOUR_MS for hour in range(5, 5 - runs, -1)]


def test_a_file_of_a_url_is_read_again_only_when_its_server_says_that_it_has_changed(kafka: str, tmp_path: Path) -> None:
    made, file, job_id = importer(kafka, tmp_path, None, egress_allow="127.0.0.0/8"), Served(rows(300)), f"url-{tmp_path.name}"
    with serving(file.talk) as seen:
        made.order(job_id, source={"url": seen.url}, job_type="scheduled", schedule_config=HOURLY)
        waiting(made, job_id)
        told = []
        for run in (1, 2, 3, 4):
            if run == 4:
                file.data, file.etag = rows(200), '"two"'
            pass_time(made, HOUR_MS)
            report = after_run(made, job_id, run)
            told.append((report.status, report.run, report.rows_accepted, report.files.read))
    assert told == [("completed", 1, 300, 1), ("completed", 2, 0, 1), ("completed", 3, 0, 1), ("completed", 4, 200, 1)]
    assert [request.header("if-none-match") for request in file.asked] == [None, '"one"', '"one"', '"one"']
    assert len(made.rows(job_id)) == 500


def test_files_that_an_earlier_run_has_read_are_passed_over_and_only_new_ones_are_read(kafka: str, tmp_path: Path) -> None:
    made, job_id = importer(kafka, tmp_path), f"new-{tmp_path.name}"
    scheduled(made, tmp_path, job_id, incremental={"file": True}, all_or_nothing=True, max_errors=1000)
    told = []
    for run, (name, first) in enumerate((("a", 0), ("c", 1000), ("b", 2000)), 1):
        (tmp_path / "in" / f"{name}.csv").write_bytes(people(first, 300))
        if run == 1:
            waiting(made, job_id)
        pass_time(made, HOUR_MS)
        report = after_run(made, job_id, run)
        told.append((report.status, report.rows_accepted, report.rows_rejected, report.rows_skipped, report.files.read))
    assert told == [("completed_with_errors", 297, 3, 300 * (run - 1), run) for run in (1, 2, 3)]
    assert len(made.rows(job_id)) == 3 * 297


def test_a_watermark_is_that_of_all_files_of_the_runs_before(kafka: str, tmp_path: Path) -> None:
    made, job_id = importer(kafka, tmp_path), f"mark-{tmp_path.name}"
    (tmp_path / "in" / "a.csv").write_bytes(people(500, 100))
    (tmp_path / "in" / "b.csv").write_bytes(people(1, 99))
    scheduled(made, tmp_path, job_id, incremental={"cursor_column": "id"}, all_or_nothing=True, max_errors=1000)
    waiting(made, job_id)
    told = []
    for run in (1, 2):
        pass_time(made, HOUR_MS)
        report = after_run(made, job_id, run)
        told.append((report.rows_accepted, report.rows_rejected, report.rows_skipped))
        (tmp_path / "in" / "b.csv").write_bytes(people(550, 99))
    assert told == [(198, 1, 0), (48, 1, 150)]


def test_another_worker_takes_over_a_run_and_the_next_one(kafka: str, tmp_path: Path) -> None:
    made, job_id = importer(kafka, tmp_path), f"moved-{tmp_path.name}"
    (tmp_path / "in" / "a.csv").write_bytes(people(1, 3000))
    scheduled(made, tmp_path, job_id)
    waiting(made, job_id)
    pass_time(made, HOUR_MS)
    with pytest.raises(Crash):
        after_run(made, job_id, 1, after=dies(4, 6))
    for slot, run in ((1, 1), (2, 2)):
        made.bench.run(made.flow, slot=slot, until=partial(ended, made, job_id, run))
        pass_time(made, HOUR_MS)
    assert set(Counter(row.header("ce_id") for row in made.rows(job_id)).values()) == {2}
    assert len(made.rows(job_id)) == 2 * 2970


def test_the_rejected_rows_of_the_last_run_are_run_again_and_the_schedule_goes_on(kafka: str, tmp_path: Path) -> None:
    made, job_id = importer(kafka, tmp_path), f"mended-{tmp_path.name}"
    (tmp_path / "in" / "a.csv").write_bytes(people(1, 200))
    scheduled(made, tmp_path, job_id)
    waiting(made, job_id)
    for run in (1, 2):
        pass_time(made, HOUR_MS)
        after_run(made, job_id, run)
    scheduled(made, tmp_path, job_id, turn=2, only="rejected", transformation_rules={"data_types": {"id": "int64", "age": "string"}})
    made.run(job_id, turn=2)
    report = made.report(job_id)
    assert (report.status, report.run, report.rows_read, report.rows_accepted, report.rows_rejected) == ("completed", 2, 200, 200, 0)
    ages = Counter(orjson.loads(row.value or b"")["age"] for row in made.rows(job_id) if row.value and b'"old"' in row.value)
    assert ages == {"old": 2}
    pass_time(made, HOUR_MS)
    assert after_run(made, job_id, 3).rows_read == 200


@pytest.fixture(scope="module")
def stack(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningDoor, Path]]:
    """Run an ingress and a worker whose jobs may read a folder."""
    home = tmp_path_factory.mktemp("scheduled")
    (home / "in").mkdir()
    roots = str(home / "in")
    settings = settings_for(kafka, home / "door", import_roots=roots)
    with running_door(settings, home / "log", import_roots=roots) as door, running_workers(settings, home, "imports", import_roots=roots):
        yield door, home / "in"


def test_a_scheduled_job_from_its_order_to_its_end(stack: tuple[RunningDoor, Path]) -> None:
    door, folder = stack
    (folder / "a.csv").write_bytes(people(1, 200))
    body = {
        "name": "orders",
        "job_type": "scheduled",
        "data_format": "csv",
        "source_config": {"file_path": f"{folder}/*.csv"},
        "transformation_rules": {"data_types": {"id": "int64", "age": "int64"}},
        "schedule_config": {"frequency": "monthly", "day": 1, "time": "02:00", "timezone": "Europe/Berlin"},
    }
    answer = door.http.post(ROUTE, json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    url = f"{ROUTE}/{made['job_id']}"
    assert (made["status"], made["run"], len(made["next_runs"]), made["past_runs"]) == ("queued", 0, 5, [])
    until(lambda: door.http.get(url).json()["phase"] == "waiting for its first run")
    assert door.http.get(url).json()["next_run_at"] == made["next_run_at"]
    assert door.http.post(f"{url}/run").status_code == 200
    until(lambda: door.http.get(url).json()["status"] == "completed_with_errors")
    told = door.http.get(url).json()
    assert {name: told[name] for name in ("run", "due_at", "rows_read", "rows_accepted", "rows_rejected", "next_run_at")} == {
        "run": 1, "due_at": None, "rows_read": 200, "rows_accepted": 198, "rows_rejected": 2, "next_run_at": made["next_run_at"],
    }  # fmt: skip
    assert told["files"] == {"found": 1, "read": 1, "failed": 0, "troubles": []}
    assert [(past["run"], past["status"], past["rows_rejected"]) for past in told["past_runs"]] == [(1, "completed_with_errors", 2)]
    assert door.http.post(f"{url}/run").status_code == 200
    until(lambda: door.http.get(url).json()["run"] == 2 and door.http.get(url).json()["status"] == "completed_with_errors")
    errors = door.http.get(f"{url}/errors").json()["items"]
    assert [(item["path"], item["ordinal"], item["row"]) for item in errors] == [(f"{folder}/a.csv", n, f"{n + 1},old\n") for n in (99, 199)]
    assert door.http.get(f"{url}/errors", params={"format": "original"}).text.splitlines()[0] == "_error,id,age"
    cancelled = door.http.delete(url).json()
    assert (cancelled["next_run_at"], cancelled["next_runs"]) == (None, [])
    refused = door.http.post(f"{url}/run")
    assert (refused.status_code, refused.json()["detail"]) == (409, "The job is cancelled; retry it, so that its schedule goes on, and then have it run.")
    again = door.http.post(f"{url}/retry")
    assert (again.status_code, again.json()["next_run_at"]) == (200, made["next_run_at"])
    door.http.delete(url)
    until(lambda: door.http.get(url).json()["status"] != "queued")
    assert door.http.delete(url).json()["run"] == 2
    assert door.http.get(url).status_code == 404
