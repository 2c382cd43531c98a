"""Imports that begin before their file has come whole."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from connectors.testing import ManualClock
from flows.core import topics
from flows.core.files.guess import guess
from flows.core.files.pieces import Piece
from flows.core.imports.shelf import End, end_output, piece_output
from flows.engine.runtime import Engine
from tests.kit.engine import Crash, dies
from tests.kit.importer import Importer, importer

ROWS = 30_000
DATA = b"id,name\n" + b"".join(b'%d,"name\n%0110d"\n' % (n, n) for n in range(ROWS))
SHA256 = hashlib.sha256(DATA).hexdigest()
CUT = guess(DATA[: 64 * 1024], "people.csv")


def pieces() -> list[Piece]:
    """Cut the file as an ingress would, in small pieces that end where records do."""
    cut = CUT.cutter()
    found = [piece for at in range(0, len(DATA), 64 * 1024) for piece in cut.feed(DATA[at : at + 64 * 1024])]
    return [*found, *cut.finish()]


def come(made: Importer, upload: str, some: list[Piece], *, announced: str = SHA256) -> None:
    for piece in some:
        made.write(piece_output(upload.encode(), upload, piece, CUT.text(), announced))
    assert made.producer.flush(30) == 0


def over(made: Importer, upload: str, end: End) -> None:
    made.write(end_output(upload.encode(), upload, end))
    assert made.producer.flush(30) == 0


def reached(made: Importer, job_id: str, phase: str, rows: int) -> Callable[[Engine], bool]:
    """Return what tells whether a job is in a phase and has read so many rows."""

    def told(engine: Engine) -> bool:
        run = made.state(engine, job_id)
        return run is not None and run.report.phase == phase and run.report.rows_read >= rows

    return told


def test_rows_are_published_while_the_rest_of_the_file_is_still_coming(kafka: str, tmp_path: Path) -> None:
    made, parts, upload = importer(kafka, tmp_path), pieces(), uuid4().hex
    assert len(parts) > 5
    made.order("early", source={"upload_id": upload, "chunk_size": 20})
    come(made, upload, parts[:1])
    made.run(until=reached(made, "early", "waiting for the upload", parts[0].records))
    report = made.report("early")
    assert (report.status, report.bytes_total) == ("running", None)
    assert len(made.rows("early")) == report.rows_accepted == parts[0].records
    for step in (1, 2, 3, 4):
        come(made, upload, parts[step : step + 1])
        with pytest.raises(Crash):
            made.run("early", after=dies(step, 3))
    come(made, upload, parts[5:])
    over(made, upload, End(len(DATA), SHA256))
    (report,) = made.run("early")
    assert (report.status, report.rows_accepted, report.bytes_read, report.bytes_total) == ("completed", ROWS, len(DATA), len(DATA))
    ids = Counter(row.header("ce_id") for row in made.rows("early"))
    assert ids == Counter(hashlib.sha256(f"{SHA256}:{n}".encode()).hexdigest() for n in range(ROWS))


def test_a_file_whose_sha256_nobody_has_announced_is_waited_for(kafka: str, tmp_path: Path) -> None:
    made, parts, upload = importer(kafka, tmp_path), pieces(), uuid4().hex
    made.order("patient", source={"upload_id": upload})
    come(made, upload, parts[:2], announced="")
    made.run(until=reached(made, "patient", "waiting for the upload", 0))
    assert made.rows("patient") == []


def test_a_job_that_reads_the_file_otherwise_than_it_was_cut_waits_for_all_of_it(kafka: str, tmp_path: Path) -> None:
    made, parts, upload = importer(kafka, tmp_path), pieces(), uuid4().hex
    made.order("otherwise", source={"upload_id": upload, "delimiter": ";"})
    come(made, upload, parts[:2])
    made.run(until=reached(made, "otherwise", "waiting for the upload", 0))
    assert made.rows("otherwise") == []


def test_a_file_that_breaks_off_fails_its_job_and_what_was_published_stays(kafka: str, tmp_path: Path) -> None:
    made, parts, upload = importer(kafka, tmp_path), pieces(), uuid4().hex
    made.order("broken", source={"upload_id": upload, "chunk_size": 20})
    come(made, upload, parts[:2])
    over(made, upload, End(0, "", "Its sender has taken it back."))
    (report,) = made.run("broken")
    assert report.status == "failed"
    assert report.trouble == "Its sender has taken it back. What was published of the file before that stays."
    assert len(made.rows("broken")) == report.rows_accepted


def test_an_upload_that_never_comes_whole_is_not_waited_for_for_ever(kafka: str, tmp_path: Path) -> None:
    made, parts, upload = importer(kafka, tmp_path), pieces(), uuid4().hex
    clock = made.bench.clock
    assert isinstance(clock, ManualClock)
    made.order("given-up", source={"upload_id": upload})
    come(made, upload, parts[:1], announced="")
    made.run(until=reached(made, "given-up", "waiting for the upload", 0))
    clock.advance(topics.UPLOADS.retention_ms)
    (report,) = made.run("given-up")
    assert report.status == "failed"
    assert "did not come whole" in report.trouble
