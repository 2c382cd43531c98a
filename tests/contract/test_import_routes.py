"""Import jobs at a running ingress: ordered, listed, followed, retried, cancelled, and their rejected rows. What the flow would tell is written by the test."""

import csv
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from io import BytesIO
from itertools import count
from typing import Any
from uuid import uuid4

import openpyxl
import orjson
import polars as pl
import pytest
from confluent_kafka import Producer

from flows.core import topics
from flows.core.files.pieces import Piece
from flows.core.files.rejects import Reject
from flows.core.imports import rejects
from flows.core.imports.jobs import JOB
from flows.core.imports.progress import Checkpoint, Gain, Report
from flows.core.imports.shelf import piece_output
from flows.core.imports.source import DataFormat
from flows.core.imports.uploads import Upload, create
from flows.core.murmur import partition_of
from flows.core.record import Output
from flows.wire.kafka import ensure_topics
from ingress import originals
from ingress.rejected import AT_ONCE
from tests.kit.door import RunningDoor, until

ROUTE = "/integration/import/jobs"


class Flow:
    """Tells what the flow would tell."""

    def __init__(self, door: RunningDoor) -> None:
        self.door = door
        ensure_topics(door.settings, [topics.UPLOADS, topics.REJECTS])
        self._producer = Producer({"bootstrap.servers": door.settings.kafka_bootstrap_servers, "partitioner": "murmur2_random"})

    def write(self, *outputs: Output) -> None:
        for output in outputs:
            self._producer.produce(output.topic, output.value, output.key, headers=list(output.headers))
        assert self._producer.flush(30) == 0

    def upload(self, data: bytes) -> str:
        """Let a file have come, and be known."""
        made: Upload = create(f"u-{uuid4().hex}", len(data), "", _now_ms(), 600_000, 1 << 20)
        self.write(piece_output(made.upload_id.encode(), made.upload_id, Piece(0, data, 1, 0, 1)))
        self.write(Output(topics.STATUS.name, f"upload/{made.upload_id}".encode(), made.text()))
        until(lambda: "unknown_upload" not in self.door.http.post(ROUTE, json=body(made.upload_id, target_topic="xyra.webhooks")).text)
        return made.upload_id

    def report(self, report: Report) -> Report:
        """Tell how far a job has come, and wait until the ingress knows."""
        self.write(Output(topics.STATUS.name, f"{JOB}/{report.job_id}".encode(), report.text()))
        until(lambda: self.door.http.get(f"{ROUTE}/{report.job_id}").json()["rows_read"] == report.rows_read)
        return report

    def reject(self, job_id: str, turn: int, *rows: Reject) -> None:
        found = rejects.by_row(rows)
        told = rejects.Headers(job_id, turn, found)
        self.write(*(Output(topics.REJECTS.name, job_id.encode(), row[0].raw, tuple(headers)) for row, headers in zip(found, told, strict=True)))


@pytest.fixture(scope="module")
def flow(door: RunningDoor) -> Flow:
    return Flow(door)


@pytest.fixture(scope="module")
def upload(flow: Flow) -> str:
    return flow.upload(b"id,amount\n1,2\nx,=1\n")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def body(upload_id: str, **over: Any) -> dict[str, Any]:
    return {"name": "orders", "job_type": "one_time", "data_format": "csv", "source_config": {"upload_id": upload_id, "chunk_size": 1000}, **over}


def ordered(door: RunningDoor, upload_id: str, **over: Any) -> dict[str, Any]:
    answer = door.http.post(ROUTE, json=body(upload_id, **over))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def begun(job_id: str, rejected: int = 0, turn: int = 1) -> Report:
    """Report a job whose first rows were read."""
    now = _now_ms() - 60_000
    codes = {"wrong_type": rejected} if rejected else {}
    return (
        Report(job_id=job_id, turn=turn, updated_at_ms=now).after("start", now).plus(Gain(5, rejected, 1, 100, codes), Checkpoint("f", 100, 7, 6), now + 1000)
    )


def row(ordinal: int, raw: bytes = b"x,=1\n", column: str = "id") -> Reject:
    return Reject(ordinal, ordinal + 2, 10 * ordinal, column, "wrong_type", "int64", "=1", raw)


def test_a_job_from_its_order_to_its_end(door: RunningDoor, flow: Flow, upload: str) -> None:
    made = ordered(door, upload, transformation_rules={"data_types": {"id": "int64"}})
    job_id = made["job_id"]
    assert (made["status"], made["rows_read"], made["definition"]["transformation_rules"]) == ("queued", 0, {"data_types": {"id": "int64"}})
    report = flow.report(begun(job_id, rejected=2))
    found = door.http.get(f"{ROUTE}/{job_id}").json()
    assert {name: found[name] for name in ("status", "rows_read", "rows_accepted", "rows_rejected", "rows_skipped", "bytes_read", "errors_by_code")} == {
        "status": "running", "rows_read": 8, "rows_accepted": 5, "rows_rejected": 2, "rows_skipped": 1, "bytes_read": 100, "errors_by_code": {"wrong_type": 2},
    }  # fmt: skip
    assert found["checkpoint"] == {"file": "f", "offset": 100, "line": 7, "ordinal": 6, "path": None}
    refused = door.http.post(f"{ROUTE}/{job_id}/retry")
    assert (refused.status_code, refused.json()["detail"]) == (409, "The job is running: it cannot be retried; it can be cancelled.")
    flow.write(Output(topics.STATUS.name, f"{JOB}/{job_id}".encode(), report.after("complete_with_errors", _now_ms()).text()))
    until(lambda: door.http.get(f"{ROUTE}/{job_id}").json()["status"] == "completed_with_errors")
    again = door.http.post(f"{ROUTE}/{job_id}/retry", json={"only": "rejected", "transformation_rules": {"trim": True}})
    assert (again.status_code, again.json()["status"], again.json()["turn"], again.json()["only"]) == (200, "queued", 2, "rejected")
    assert again.json()["definition"]["transformation_rules"] == {"trim": True}
    assert door.http.post(f"{ROUTE}/{job_id}/retry").status_code == 409


def test_a_job_is_cancelled_and_then_forgotten(door: RunningDoor, flow: Flow, upload: str) -> None:
    job_id = ordered(door, upload)["job_id"]
    report = flow.report(begun(job_id))
    answer = door.http.delete(f"{ROUTE}/{job_id}").json()
    assert (answer["status"], answer["phase"], answer["rows_accepted"]) == ("running", "cancelling", 5)
    flow.write(Output(topics.STATUS.name, f"{JOB}/{job_id}".encode(), report.after("cancel", _now_ms()).text()))
    until(lambda: door.http.get(f"{ROUTE}/{job_id}").json()["status"] == "cancelled")
    assert door.http.delete(f"{ROUTE}/{job_id}").json()["rows_accepted"] == 5
    assert [door.http.request(method, f"{ROUTE}/{job_id}").status_code for method in ("GET", "DELETE")] == [404, 404]
    assert [door.http.get(f"{ROUTE}/{job_id}/{what}").status_code for what in ("errors", "events")] == [404, 404]


def test_the_list_is_filtered_and_has_pages(door: RunningDoor, upload: str) -> None:
    name = f"Orders {uuid4().hex}"
    made = [ordered(door, upload, name=name)["job_id"] for _ in range(3)]
    door.http.delete(f"{ROUTE}/{made[0]}")
    page = door.http.get(ROUTE, params={"name": name.lower(), "limit": 2}).json()
    assert [one["job_id"] for one in page["items"]] == made[:0:-1]
    rest = door.http.get(ROUTE, params={"name": name, "limit": 2, "cursor": page["next_cursor"]}).json()
    assert [(one["job_id"], one["status"]) for one in rest["items"]] == [(made[0], "cancelled")]
    assert [one["job_id"] for one in door.http.get(ROUTE, params={"name": name, "status": "cancelled"}).json()["items"]] == made[:1]


def test_a_schedule_on_a_url_that_remembers_is_taken(door: RunningDoor) -> None:
    schedule = {"frequency": "daily", "time": "02:00", "timezone": "Europe/Berlin"}
    source = {"url": "https://example.com/a.csv"}
    wanted = body("", job_type="scheduled", source_config=source, schedule_config=schedule, incremental={"file": True}, transformation_rules={"unique": ["id"]})
    answer = door.http.post(ROUTE, json=wanted)
    assert answer.status_code == 201, answer.text
    assert answer.json()["next_runs"]
    assert door.http.delete(f"{ROUTE}/{answer.json()['job_id']}").status_code == 200


@pytest.mark.parametrize(
    ("over", "wrong"),
    [
        ({"source_config": {"upload_id": "u-0"}}, {"/source_config/upload_id": "unknown_upload"}),
        ({"source_config": {"file_path": "/etc/passwd"}}, {"/source_config/file_path": "outside_roots"}),
        ({"source_config": {}, "target_topic": "xyra.dlq"}, {"/source_config": "value_error", "/target_topic": "reserved_topic"}),
        (
            {"source_config": {"file_path": "/a"}, "transformation_rules": {"regex": {"a": "("}}},
            {"/source_config/file_path": "outside_roots", "/transformation_rules/regex/a": "invalid_regex"},
        ),
        ({"source_config": {"url": "http://10.0.0.1/a.csv"}}, {"/source_config/url": "address_not_allowed"}),
        ({"source_config": {"url": "http://[::1]:8080/a.csv"}}, {"/source_config/url": "address_not_allowed"}),
        ({"source_config": {"url": "http://metadata.google.internal/"}}, {"/source_config/url": "address_not_allowed"}),
        ({"source_config": {"url": "https://93.184.216.34:22/a.csv"}}, {"/source_config/url": "port_not_allowed"}),
        ({"source_config": {"url": "https://user:hidden@example.com/a.csv"}}, {"/source_config/url": "url_invalid"}),
        ({"source_config": {"url": "s3://key:hidden@bucket/a.csv"}}, {"/source_config/url": "url_invalid"}),
        ({"source_config": {"url": "https://example.com/a", "headers": {"Range": "bytes=1-"}}}, {"/source_config/headers/Range": "not_here"}),
        ({"source_config": {"url": "https://example.com/a", "headers": {"X-Key": 1}}}, {"/source_config/headers/X-Key": "not_text"}),
        ({"source_config": {"upload_id": "u-0", "chunksize": 1}}, {"/source_config/chunksize": "unknown_field"}),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_refused_with_every_reason(door: RunningDoor, over: dict[str, Any], wrong: dict[str, str]) -> None:
    answer = door.http.post(ROUTE, json=body("", **over))
    assert answer.status_code == 422, answer.text
    assert {error["pointer"]: error["code"] for error in answer.json()["errors"]} == wrong


@pytest.fixture(scope="module")
def rejected(door: RunningDoor, flow: Flow, upload: str) -> str:
    """Give a job with five rejected rows among those of another one."""
    job_id, other = (ordered(door, upload)["job_id"] for _ in range(2))
    flow.report(begun(job_id, rejected=5))
    for n in range(5):
        flow.reject(job_id, 1, row(n), row(n, column="amount"))
        flow.reject(other, 1, row(n))
    return str(job_id)


def pages(door: RunningDoor, job_id: str, **params: Any) -> Iterator[list[dict[str, Any]]]:
    cursor: str | None = ""
    while cursor is not None:
        page = door.http.get(f"{ROUTE}/{job_id}/errors", params={"cursor": cursor, **params}).json()
        yield page["items"]
        cursor = page["next_cursor"]


def test_rejected_rows_in_pages(door: RunningDoor, rejected: str) -> None:
    found = [item for page in pages(door, rejected, limit=2) for item in page]
    assert [item["ordinal"] for item in found] == [0, 1, 2, 3, 4]
    errors = [{"column": column, "code": "wrong_type", "rule": "int64", "value": "=1"} for column in ("id", "amount")]
    assert found[1] == {"path": None, "ordinal": 1, "line": 3, "offset": 10, "turn": 1, "errors": errors, "row": "x,=1\n", "row_base64": None}
    assert not any(pages(door, rejected, turn=2))  # a page whose time is over may be empty, and say where to go on


def test_rejected_rows_behind_thousands_of_another_job_are_on_the_first_page(door: RunningDoor, flow: Flow, upload: str) -> None:
    job_id, partitions = str(ordered(door, upload)["job_id"]), door.settings.kafka_partitions
    flow.report(begun(job_id, rejected=1))
    other = next(name for name in (f"other-{n}" for n in count()) if partition_of(name.encode(), partitions) == partition_of(job_id.encode(), partitions))
    flow.reject(other, 1, *map(row, range(2 * AT_ONCE.records)))
    flow.reject(job_id, 1, row(7))
    assert [item["ordinal"] for item in next(pages(door, job_id))] == [7]


def test_rejected_rows_as_files(door: RunningDoor, rejected: str) -> None:
    def fetched(form: str) -> Any:
        answer = door.http.get(f"{ROUTE}/{rejected}/errors", params={"format": form})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"].startswith(f'attachment; filename="{rejected}-rejected.')
        return answer

    lines = list(csv.DictReader(fetched("csv").text.splitlines(keepends=True)))
    assert len(lines) == 10
    assert (lines[0]["column"], lines[1]["column"], lines[0]["value"], lines[0]["row"]) == ("id", "amount", "'=1", "x,=1\n")
    items = [orjson.loads(line) for line in fetched("ndjson").content.splitlines()]
    assert items == [item for page in pages(door, rejected) for item in page]
    original = fetched("original")
    assert original.headers["content-type"].startswith("text/csv")
    assert original.text.splitlines() == ["_error,id,amount", *['"wrong_type id: int64; wrong_type amount: int64",x,=1'] * 5]


KEPT = b'{"id":%d,"day":"2024-02-29","note":"=1+1"}\n[["int32",1],["date32[day]",1],["string",1]]'
"""A row of Parquet or of a workbook, as it is kept."""


def whole(door: RunningDoor, flow: Flow, upload: str, data_format: DataFormat) -> tuple[str, bytes]:
    """Give a job with 1,500 rejected rows, and the file of them."""
    job_id = ordered(door, upload, data_format=data_format)["job_id"]
    flow.report(begun(job_id, rejected=1500))
    for n in range(1500):
        flow.reject(job_id, 1, row(n, KEPT % n), row(n, KEPT % n, "note"))
    answer = door.http.get(f"{ROUTE}/{job_id}/errors", params={"format": "original"}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == originals.WHOLE[data_format][0]
    assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}-rejected.{originals.WHOLE[data_format][1]}"'
    return job_id, answer.content


TOLD = "wrong_type id: int64; wrong_type note: int64"


def test_rejected_rows_as_parquet(door: RunningDoor, flow: Flow, upload: str) -> None:
    job_id, data = whole(door, flow, upload, "parquet")
    found = pl.read_parquet(data)
    assert found.schema == {"_error": pl.String, "id": pl.Int32, "day": pl.Date, "note": pl.String}
    assert found.rows() == [(TOLD, n, date(2024, 2, 29), "=1+1") for n in range(1500)]
    shown = next(item for page in pages(door, job_id, limit=1) for item in page)
    assert shown["row"] == '{"id":0,"day":"2024-02-29","note":"=1+1"}'
    assert list(door.settings.batch_import_upload_dir.glob("*")) == []


def test_rejected_rows_as_a_workbook(door: RunningDoor, flow: Flow, upload: str) -> None:
    _, data = whole(door, flow, upload, "excel")
    sheet = openpyxl.load_workbook(BytesIO(data)).active
    assert sheet is not None
    rows = [tuple(cell.value for cell in cells) for cells in sheet.iter_rows()]
    assert rows == [("_error", "id", "day", "note"), *((TOLD, n, datetime(2024, 2, 29), "=1+1") for n in range(1500))]  # noqa: DTZ001  a sheet has no zones
    assert {cell.data_type for cell in sheet["D"]} == {"s"}
    assert list(door.settings.batch_import_upload_dir.glob("*")) == []


@pytest.mark.parametrize("data_format", ["parquet", "excel"])
def test_rejected_rows_of_a_format_that_is_read_as_a_whole_are_run_again(door: RunningDoor, flow: Flow, upload: str, data_format: str) -> None:
    job_id = ordered(door, upload, data_format=data_format)["job_id"]
    report = flow.report(begun(job_id, rejected=2))
    flow.write(Output(topics.STATUS.name, f"{JOB}/{job_id}".encode(), report.after("complete_with_errors", _now_ms()).text()))
    until(lambda: door.http.get(f"{ROUTE}/{job_id}").json()["status"] == "completed_with_errors")
    again = door.http.post(f"{ROUTE}/{job_id}/retry", json={"only": "rejected"})
    assert (again.status_code, again.json()["turn"], again.json()["only"]) == (200, 2, "rejected")


def test_what_does_not_fit_into_one_file_is_refused(door: RunningDoor, flow: Flow, upload: str) -> None:
    job_id = ordered(door, upload, data_format="parquet")["job_id"]
    flow.report(begun(job_id, rejected=4))
    for n in range(4):
        names = orjson.dumps({f"{n}_{at}": None for at in range(4500)})
        flow.reject(job_id, 1, row(n, names + b'\n[["null",4500]]'))
    answer = door.http.get(f"{ROUTE}/{job_id}/errors", params={"format": "original"}, timeout=60)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"], answer.json()["errors"][0]["code"]) == (422, "/query/format", "does_not_fit")


def test_reports_are_followed_until_the_job_is_over(door: RunningDoor, flow: Flow, upload: str) -> None:
    job_id = ordered(door, upload)["job_id"]
    with ThreadPoolExecutor(1) as pool:
        heard: list[str] = []
        listening = pool.submit(_listen, door, job_id, heard)
        until(lambda: "event: report" in heard)
        report = flow.report(begun(job_id))
        until(lambda: heard.count("event: report") == 2)
        flow.write(Output(topics.STATUS.name, f"{JOB}/{job_id}".encode(), report.after("complete", _now_ms()).text()))
        listening.result(60)
    told = [orjson.loads(line[len("data: ") :]) for line in heard if line.startswith("data: ")]
    assert heard[0] == "retry: 2000"
    assert [one["status"] for one in told] == ["queued", "running", "completed"]
    last = [line[len("id: ") :] for line in heard if line.startswith("id: ")][-1]
    assert door.http.get(f"{ROUTE}/{job_id}/events", headers={"last-event-id": last}).status_code == 204
    assert '"completed"' in door.http.get(f"{ROUTE}/{job_id}/events", headers={"last-event-id": "older"}).text


def _listen(door: RunningDoor, job_id: str, heard: list[str]) -> None:
    with door.http.stream("GET", f"{ROUTE}/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            heard.append(line)  # noqa: PERF402  looked at while it grows


def test_listeners_are_bounded_and_seats_are_given_back(door: RunningDoor, upload: str) -> None:
    job_id = ordered(door, upload)["job_id"]
    request = f"GET {ROUTE}/{job_id}/events HTTP/1.1\r\nhost: x\r\nx-api-key: test-admin-key\r\n\r\n".encode()
    lines = [door.connect() for _ in range(100)]
    for line in lines:
        line.sendall(request)
        assert line.recv(65536).startswith(b"HTTP/1.1 200")
    refused = door.http.get(f"{ROUTE}/{job_id}/events")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    for line in lines:
        line.close()
    door.http.delete(f"{ROUTE}/{job_id}")
    until(lambda: door.http.get(f"{ROUTE}/{job_id}/events").status_code in {200, 204})
