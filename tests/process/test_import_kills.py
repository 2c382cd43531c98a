"""Kills the flow `imports`, and the process that reads for it, in the middle of a file: the short form of `make chaos`."""

from collections import Counter
from functools import partial
from pathlib import Path

import orjson
import pytest

from deploy.cli.positions import positions
from flows.core import topics
from flows.core.files.pieces import PIECE_BYTES
from flows.core.imports.jobs import JOB
from flows.core.imports.progress import Report
from flows.core.settings import Settings
from flows.steps.fetch import PORTION_BYTES
from tests.chaos.imports import storm
from tests.chaos.replays import running
from tests.kit.door import until
from tests.kit.files import Served, rows, serving, sha256
from tests.kit.importer import importer
from tests.kit.settings import settings_for
from tests.kit.topics import topic_reader

KILLS = 3
FETCHED = 100_000
"""Rows of a file of 24 MB, which comes in three portions."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("twice", [False, True])
def test_each_row_is_published_once_while_the_worker_dies(kafka: str, tmp_path: Path, *, twice: bool) -> None:
    outcome = storm(importer(kafka, tmp_path), kafka, tmp_path / "storm", KILLS, twice=twice)
    assert not outcome.wrong, outcome.text()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("ranges", [True, False], ids=["parts", "no parts"])
def test_a_file_is_fetched_and_read_once_while_the_worker_dies(kafka: str, tmp_path: Path, ranges: bool) -> None:
    """Kill it at moments of the fetching: the file is asked for again each time, and what was brought in before is brought in once."""
    made, file = importer(kafka, tmp_path), Served(rows(FETCHED, 220), every_s=0.01, ranges=ranges, rests_at=18_500_000)
    job_id, settings = f"fetched-{ranges}-{tmp_path.name}", settings_for(kafka, tmp_path)
    allowed = {"INTEGRATION_EGRESS_ALLOW": "127.0.0.0/8"}
    with serving(file.talk) as seen, running("imports", kafka, tmp_path / "storm", **allowed) as one:
        before = sum(place.end for place in positions(settings, "imports"))
        made.order(job_id, source={"url": seen.url}, rows_per_record=10_000)
        until(partial(_has_sent, file, 1, 3_000_000))
        one.kill()
        until(partial(_have_come_back, settings, before), timeout_s=120, why=one.log.read_text)  # with the rest on its way
        one.kill()
        file.goes_on.set()
        until(partial(_has_sent, file, 3, 2_000_000))
        one.kill()
        until(lambda: _is_over(kafka, job_id), timeout_s=120, why=one.log.read_text)
        assert one.drain() == 0
    report = made.report(job_id)
    assert (report.status, report.rows_accepted, report.checkpoint.file) == ("completed", FETCHED, sha256(file.data)), report.trouble
    lines = Counter(line for row in made.rows(job_id) for line in (row.value or b"").splitlines())
    assert (len(lines), set(lines.values())) == (FETCHED, {1})
    assert len(file.asked) == KILLS + 1
    assert any(request.header("range") for request in file.asked)  # whether it is heeded or not


def _has_sent(file: Served, times: int, sent: int) -> bool:
    """Tell whether a file was asked for so often, and so much of the last answer is on its way."""
    return len(file.asked) >= times and file.sent >= sent


def _have_come_back(settings: Settings, before: int) -> bool:
    """Tell whether the pieces of two portions are on the topic, and the flow has read them there."""
    places = positions(settings, "imports")
    return sum(place.end for place in places) - before >= 2 * PORTION_BYTES // PIECE_BYTES and not any(place.lag for place in places)


def _is_over(kafka: str, job_id: str) -> bool:
    """Tell whether a job's last report says that it is over."""
    told = [read.value or b"" for read in topic_reader(kafka, topics.STATUS.name) if read.key == f"{JOB}/{job_id}".encode()]
    return bool(told) and Report.of(orjson.loads(told[-1])).over
