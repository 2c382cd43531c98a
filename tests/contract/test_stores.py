"""Objects of an S3 on loopback: brought in portion by portion, begun anew where they change, refused with a sentence where they cannot be read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from flows.core.errors import Refused
from flows.core.imports.jobs import JobDefinition
from flows.core.imports.progress import Report
from flows.core.imports.run import Run
from flows.core.imports.staged import Brought, Staged
from flows.core.settings import load
from flows.engine import Task
from flows.steps.asks import ask_file
from flows.steps.store import PORTION_BYTES, Collector
from flows.wire.stores import Store
from ingress import jobs
from tests.kit.files import rows, sha256
from tests.kit.importer import importer

BIG = rows(80_000, 220)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer("127.0.0.1", 0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a client of the store, whose address and credentials stand in the environment of the worker."""
    names = {"AWS_ENDPOINT_URL_S3": server, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="inbox")
    yield client
    client.close()
    S3FileSystem.clear_instance_cache()


class Collecting:
    """A job on an object, and how far it is."""

    def __init__(self, url: str, **settings: str) -> None:
        told = {"name": "j", "job_type": "one_time", "data_format": "csv", "source_config": {"url": url}}
        self.order = jobs.ordered("j-1", JobDefinition.model_validate(told), 0, lambda *_: "")
        self.settings = load({}, **settings)
        self.staged, self.data = Staged(), b""
        self.again()

    def again(self) -> None:
        """Forget what a worker has in memory."""
        self.collect = Collector(self.settings)

    def portion(self, **known: Any) -> Brought:
        run = Run(Report(job_id="j-1"), f"u.{self.staged.anew}", former=known)
        brought = Brought.unpack(self.collect(Task(b"run", ask_file(self.order, run, self.staged, 0, -1))))
        self.data = b"" if brought.staged.anew != self.staged.anew else self.data + b"".join(piece.data for piece in brought.pieces)
        self.staged = brought.staged
        return brought


@pytest.mark.parametrize("killed", [False, True])
def test_an_object_comes_in_portions(s3: Any, killed: bool) -> None:
    s3.put_object(Bucket="inbox", Key="a b/people.csv", Body=BIG)
    made = Collecting("s3://inbox/a b/people.csv")
    first = made.portion()
    assert 0 < first.staged.at <= PORTION_BYTES < len(BIG) == first.staged.total
    while not made.staged.over:
        if killed:
            made.again()
        assert made.portion().failed is None
    assert (made.data == BIG, made.staged.sha256) == (True, sha256(BIG))
    made.staged, version = Staged(), made.staged.version
    assert made.portion(version=list(version)).same


def test_an_object_that_has_changed_is_begun_anew(s3: Any) -> None:
    s3.put_object(Bucket="inbox", Key="changing.csv", Body=BIG)
    made = Collecting("s3://inbox/changing.csv")
    made.portion()
    other = BIG[: len(BIG) // 2]
    s3.put_object(Bucket="inbox", Key="changing.csv", Body=other)
    later = made.portion().later
    assert later is not None
    assert later.sentence == "s3://inbox/changing.csv was changed while it was fetched. It is begun anew."
    while not made.staged.over:
        assert made.portion().failed is None
    assert (made.data == other, made.staged.sha256, made.staged.anew) == (True, sha256(other), 1)


def test_an_empty_object_is_a_file_without_rows(s3: Any) -> None:
    s3.put_object(Bucket="inbox", Key="empty.csv", Body=b"")
    made = Collecting("s3://inbox/empty.csv")
    assert (made.portion().failed, made.staged.over, made.staged.sha256) == (None, True, sha256(b""))


def test_what_cannot_be_read_is_told(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket="inbox", Key="large.csv", Body=b"x" * 101)
    assert Collecting("s3://inbox/large.csv", batch_import_max_file_size="100").portion().failed == (
        "s3://inbox/large.csv has more than the 100 bytes that INTEGRATION_BATCH_IMPORT_MAX_FILE_SIZE allows."
    )
    for url in ("s3://inbox/none.csv", "s3://nowhere/none.csv"):
        later = Collecting(url).portion().later
        assert later is not None
        assert (later.sentence, later.attempts) == (f"There is no object {url}.", 3)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    later = Collecting("s3://inbox/large.csv").portion().later
    assert later is not None
    assert (later.sentence, later.attempts) == ("s3://inbox/large.csv could not be read (EndpointConnectionError).", 8)


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_a_scheme_whose_library_is_not_there_says_what_to_install(scheme: str) -> None:
    with pytest.raises(Refused, match=rf"pip install 'xyra-integration\[{scheme}\]'"):
        Store(scheme)
    assert "is not installed where the worker runs" in (Collecting(f"{scheme}://in/a.csv").portion().failed or "")


def test_a_job_on_an_object_is_carried_out(kafka: str, tmp_path: Path, s3: Any) -> None:
    made, job_id, data = importer(kafka, tmp_path), f"s3-{uuid4().hex[:8]}", rows(3000)
    s3.put_object(Bucket="inbox", Key=f"{job_id}.csv", Body=data)
    made.order(job_id, source={"url": f"s3://inbox/{job_id}.csv"})
    (report,) = made.run(job_id)
    assert (report.status, report.rows_accepted, report.checkpoint.file) == ("completed", 3000, sha256(data)), report.trouble
    assert len({row.header("ce_id") for row in made.rows(job_id)}) == 3000
