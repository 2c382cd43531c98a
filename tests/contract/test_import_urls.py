"""Jobs on URLs, on a real Kafka: ordered at an ingress or put on the log, fetched, read, and each row published once wherever the worker dies."""

from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from flows.core.clock import SystemClock
from flows.core.imports.jobs import StoredJob
from flows.core.imports.run import STAGE
from flows.core.imports.staged import Staged
from flows.engine.runtime import Engine
from flows.steps.fetch import PORTION_BYTES
from tests.kit.door import SEALING_KEY, RunningDoor, running_door, until
from tests.kit.engine import Crash, dies
from tests.kit.files import Served, rows, serving
from tests.kit.importer import Importer, importer
from tests.kit.settings import settings_for

ROWS = 90_000
OPEN = {"egress_allow": "127.0.0.0/8", "secret_key": SEALING_KEY}


@cache
def big() -> bytes:
    """Write a file of three portions."""
    return rows(ROWS, 220)


def once(made: Importer, job_id: str, data: bytes, count: int) -> bool:
    """Tell whether each row of a file was published once."""
    file = sha256(data).hexdigest()
    return Counter(row.header("ce_id") for row in made.rows(job_id)) == Counter(sha256(f"{file}:{n}".encode()).hexdigest() for n in range(count))


def test_a_job_on_a_url_from_its_order_to_its_rows(kafka: str, tmp_path: Path) -> None:
    made, file = importer(kafka, tmp_path, SystemClock(), **OPEN), Served(rows(5000))
    target = f"rows-{tmp_path.name}"
    with serving(file.talk) as seen, running_door(settings_for(kafka, tmp_path / "door"), tmp_path / "log", egress_allow="127.0.0.0/8") as door:
        answer = door.http.post("/integration/import/jobs", json={
            "name": "people", "job_type": "one_time", "data_format": "csv", "target_topic": target,
            "source_config": {"url": f"{seen.url}/people.csv?signature=hidden", "headers": {"Authorization": "Bearer hidden"}},
        })  # fmt: skip
        assert answer.status_code == 201, answer.text
        job_id = answer.json()["job_id"]
        source = {"url": f"{seen.url}/people.csv?signature=***", "headers": {"Authorization": "**********"}}
        assert answer.json()["definition"]["source_config"] == source
        made.orders[job_id] = _known(door, job_id, target)
        (report,) = made.run(job_id)
        assert (report.status, report.rows_accepted, report.bytes_total) == ("completed", 5000, len(file.data)), report.trouble
        until(lambda: door.http.get(f"/integration/import/jobs/{job_id}").json()["status"] == "completed")
        shown = door.http.get(f"/integration/import/jobs/{job_id}").text + door.log.read_text()
    assert once(made, job_id, file.data, 5000)
    assert file.asked[0].header("authorization") == "Bearer hidden"
    assert file.asked[0].head.startswith("GET /hook/people.csv?signature=hidden ")
    assert "hidden" not in shown
    for topic in ("xyra.config", "xyra.status", f"xyra.{made.bench.name}.changelog"):
        assert not [read for read in made.bench.read(topic) if b"hidden" in (read.value or b"")]


def _known(door: RunningDoor, job_id: str, target: str) -> StoredJob:
    """Return a job as far as the kit looks at it."""
    definition = door.http.get(f"/integration/import/jobs/{job_id}").json()["definition"]
    return StoredJob(job_id=job_id, definition=definition | {"target_topic": target}, by="", created_at_ms=0, updated_at_ms=0)


@pytest.mark.parametrize("ranges", [True, False], ids=["parts", "no parts"])
@pytest.mark.parametrize(("step", "times"), [(2, 2), (3, 3), (4, 3)])
def test_a_worker_that_dies_while_it_fetches_publishes_no_row_twice_and_loses_none(kafka: str, tmp_path: Path, ranges: bool, step: int, times: int) -> None:
    made, file = importer(kafka, tmp_path, None, **OPEN), Served(big(), ranges=ranges)
    job_id = f"url-{tmp_path.name}"
    with serving(file.talk) as seen:
        made.order(job_id, source={"url": seen.url}, rows_per_record=10_000)
        for _ in range(2):
            with pytest.raises(Crash):
                made.run(job_id, after=dies(step, times))
        (report,) = made.run(job_id)
    assert (report.status, report.rows_accepted, report.checkpoint.file) == ("completed", ROWS, sha256(big()).hexdigest()), report.trouble
    assert sum((row.value or b"").count(b"\n") for row in made.rows(job_id)) == ROWS
    assert 1 <= len(file.asked) <= 3


def test_a_part_is_asked_for_by_a_worker_that_has_just_started(kafka: str, tmp_path: Path) -> None:
    made, file = importer(kafka, tmp_path, None, **OPEN), Served(big(), every_s=0.004, rests_at=PORTION_BYTES * 3 // 2)
    job_id = f"part-{tmp_path.name}"

    def half(engine: Engine) -> bool:
        """Let the second portion end when the pieces of the first have come back; tell whether it has."""
        run = made.state(engine, job_id)
        if run is None or run.staged is None:
            return False
        if made.shelf(engine, run.upload).first >= 0:
            file.goes_on.set()
        return Staged.of(run.staged).at > PORTION_BYTES * 3 // 2

    with serving(file.talk) as seen:
        made.order(job_id, source={"url": seen.url}, rows_per_record=10_000)
        made.run(job_id, until=half)
        (report,) = made.run(job_id)
    assert (report.status, report.rows_accepted) == ("completed", ROWS), report.trouble
    assert [request.header("range") is None for request in file.asked] == [True, False]
    assert file.asked[1].header("if-range") == file.etag


@pytest.mark.parametrize(("status", "tries"), [(404, 3), (500, 8)])
def test_what_is_not_there_fails_its_job_after_some_attempts_and_can_be_retried(kafka: str, tmp_path: Path, status: int, tries: int) -> None:
    made, file = importer(kafka, tmp_path, None, **OPEN), Served(rows(100), status=[status] * tries)
    job_id = f"gone-{status}-{tmp_path.name}"

    def over(engine: Engine) -> bool:
        made.bench.clock.advance(20_000)  # type: ignore[attr-defined]  # a bench's clock is moved by hand
        return made.over(engine, job_id)

    with serving(file.talk) as seen:
        made.order(job_id, source={"url": seen.url})
        (report,) = made.run(job_id, until=over)
        assert (report.status, len(file.asked)) == ("failed", tries)
        assert report.trouble.startswith(f"{seen.url} answered {status}")
        assert report.trouble.endswith(f". It was tried {tries} times; retry the job to go on.")
        made.order(job_id, source={"url": seen.url}, turn=2)
        (report,) = made.run(job_id, turn=2)
    assert (report.status, report.rows_accepted, report.trouble) == ("completed", 100, "")


def test_a_file_that_has_changed_while_the_worker_was_away_is_read_as_it_is_now(kafka: str, tmp_path: Path) -> None:
    made, file = importer(kafka, tmp_path, None, **OPEN), Served(big())
    job_id = f"changed-{tmp_path.name}"

    def begun(engine: Engine) -> bool:
        run = made.state(engine, job_id)
        return run is not None and run.report.phase == STAGE and bool(run.staged and run.staged["at"])

    with serving(file.talk) as seen:
        made.order(job_id, source={"url": seen.url})
        made.run(job_id, until=begun)
        file.data, file.etag = rows(3000), '"two"'
        (report,) = made.run(job_id, until=lambda engine: made.bench.clock.advance(1000) or made.over(engine, job_id))  # type: ignore[attr-defined]  # as above
    assert (report.status, report.rows_accepted) == ("completed", 3000), report.trouble
    assert once(made, job_id, file.data, 3000)
