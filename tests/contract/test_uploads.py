"""Files come in: what is on the log afterwards is what was sent, in whatever way it came."""

import base64
import contextlib
import hashlib
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flows.core import topics
from flows.core.files.pieces import Piece
from flows.core.imports.shelf import End, Shelf, read
from flows.wire.pick import pick
from flows.wire.replay import extent_of
from tests.kit.door import KEY, RunningDoor, running_door, until
from tests.kit.settings import settings_for

ROUTE = "/integration/import"
MIB = 1024 * 1024
TUS = {"tus-resumable": "1.0.0"}
PATCH = TUS | {"content-type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def door(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """Run one that takes files of 32 MiB."""
    home = tmp_path_factory.mktemp("uploads")
    with running_door(settings_for(kafka, home), home / "log", batch_import_max_file_size=str(32 * MIB)) as running:
        yield running


def rows(count: int, seed: int = 1) -> bytes:
    source = random.Random(seed)  # noqa: S311  no secret
    return b"id,text\n" + b"".join(b'%d,"a%d\nb"\n' % (n, source.getrandbits(200)) for n in range(count))


def on_the_log(door: RunningDoor, upload_id: str) -> tuple[bytes, Shelf, int]:
    """Return what a reader makes of the topic: the bytes, what stands on the shelf, and how many records there were."""
    shelf, data, records = Shelf(), b"", 0
    for partition in range(door.settings.kafka_partitions):
        extent = extent_of(door.settings, topics.UPLOADS.name, partition)
        for record in pick(door.settings, topics.UPLOADS.name, partition, range(extent.start, extent.end)):
            if record.key != upload_id.encode():
                continue
            found, before, records = read(record), shelf, records + 1
            shelf = shelf.after(found, record)
            if isinstance(found, Piece) and shelf.at > before.at:
                data += found.data
            if isinstance(found, End) and not found.broken:
                assert found.sha256 == hashlib.sha256(data).hexdigest()
    return data, shelf, records


def sent(answer: httpx2.Response, data: bytes) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert (found["size_bytes"], found["sha256"], found["status"]) == (len(data), hashlib.sha256(data).hexdigest(), "received")
    return found


def test_a_raw_body_is_on_the_log_before_it_is_answered(door: RunningDoor) -> None:
    data = rows(40_000)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    headers = {"content-type": "text/csv", "content-disposition": 'attachment; filename="a.csv"', "repr-digest": f"sha-256=:{digest}:"}
    found = sent(door.http.post(f"{ROUTE}/upload", content=data, headers=headers), data)
    assert found["detected"]["format"] == "csv"
    assert found["name"] == "a.csv"
    read_back, shelf, _ = on_the_log(door, found["upload_id"])
    assert read_back == data
    assert shelf.whole
    assert shelf.pieces > 4
    assert door.http.get(f"{ROUTE}/uploads/{found['upload_id']}").json() == found


@pytest.mark.parametrize(("query", "name"), [({"data_format": "ndjson"}, "a.json"), ({}, "a.ndjson")])
def test_one_line_that_is_json_and_ndjson_is_what_its_sender_says(door: RunningDoor, query: dict[str, str], name: str) -> None:
    data = b'{"id":1}\n'
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    found = sent(door.http.post(f"{ROUTE}/upload", content=data, params=query, headers=headers), data)
    assert (found["detected"]["format"], found["detected"]["notes"]) == ("ndjson", [])


def test_a_form_by_curl(door: RunningDoor, tmp_path: Path) -> None:
    data = rows(5_000)
    (tmp_path / "b.csv").write_bytes(data)
    command = [
        "curl",
        "-sS",
        f"{door.url}{ROUTE}/upload",
        "-H",
        f"X-API-Key: {KEY}",
        "-F",
        "header=true",
        "-F",
        f"file=@{tmp_path}/b.csv",
        "-w",
        "\n%{http_code}",
    ]
    text, _, status = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.rpartition("\n")
    assert status == "201", text
    assert '"name":"b.csv"' in text
    assert hashlib.sha256(data).hexdigest() in text


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"a" * (32 * MIB + 1), {}, 413),
        (b"a", {"repr-digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"}, 400),
        (b"a", {"repr-digest": "sha-256=:AAAA:"}, 400),
        (b"a", {"content-type": "multipart/form-data"}, 400),
        (b"--x\r\n\r\n\r\n--x--\r\n", {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b"--x\r\ncontent-disposition: form-data; name=file\r\n\r\nhalf", {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b"--x\r\nh: " + b"a" * 9000, {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b"a", {"content-encoding": "gzip"}, 415),
    ],
)
def test_what_is_refused(door: RunningDoor, content: bytes, headers: dict[str, str], status: int) -> None:
    answer = door.http.post(f"{ROUTE}/upload", content=iter([content]), headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert status != 413 or "BATCH_IMPORT_MAX_FILE_SIZE" in answer.text


def begun(door: RunningDoor, length: int, **more: str) -> str:
    made = door.http.post(f"{ROUTE}/tus", headers=TUS | {"upload-length": str(length)} | more)
    assert made.status_code == 201, made.text
    return str(made.headers["location"])


def offset(door: RunningDoor, place: str) -> int:
    return int(door.http.head(place, headers=TUS).headers["upload-offset"])


def test_tus_goes_on_where_it_was_and_ends_an_upload(door: RunningDoor) -> None:
    data, at = rows(60_000, 2), 0
    place = begun(door, len(data), **{"upload-metadata": f"filename {base64.b64encode(b'c.csv').decode()}"})
    for size in (1, 99, 700_000, 300_000, len(data)):
        part = data[at : at + size]
        answer = door.http.patch(place, content=part, headers=PATCH | {"upload-offset": str(at)})
        assert answer.status_code == 204, answer.text
        at += len(part)
        assert int(answer.headers["upload-offset"]) == at == offset(door, place)
    upload_id = place.rpartition("/")[2]
    assert on_the_log(door, upload_id)[0] == data
    assert door.http.get(f"{ROUTE}/uploads/{upload_id}").json()["sha256"] == hashlib.sha256(data).hexdigest()
    assert door.http.patch(place, content=b"x", headers=PATCH | {"upload-offset": "0"}).json()["type"] == "urn:xyra:problem:conflict"
    assert door.http.patch(place, content=b"x").json()["type"] == "urn:xyra:problem:precondition_failed"
    assert door.http.delete(place, headers=TUS).status_code == 204
    assert door.http.head(place, headers=TUS).status_code == 410
    half = begun(door, len(data))
    assert door.http.patch(half, content=data[: len(data) // 2], headers=PATCH | {"upload-offset": "0"}).status_code == 204
    assert door.http.delete(half, headers=TUS).status_code == 204
    assert "taken it back" in on_the_log(door, half.rpartition("/")[2])[1].broken
    assert door.http.head(place + "x", headers=TUS).status_code == 404
    assert sent(door.http.post(f"{ROUTE}/upload", content=b""), b"")


def told(**about: str) -> dict[str, str]:
    return {"upload-metadata": ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in about.items())}


def test_a_file_that_is_not_what_was_announced_is_ended_for_all_who_wait_for_it(door: RunningDoor) -> None:
    data = rows(60_000, 4)
    right, wrong = hashlib.sha256(data).hexdigest(), hashlib.sha256(data[1:]).hexdigest()
    good, bad = (begun(door, len(data), **told(filename="d.csv", sha256=announced)) for announced in (right, wrong))
    assert door.http.patch(good, content=data, headers=PATCH | {"upload-offset": "0"}).status_code == 204
    _, shelf, _ = on_the_log(door, good.rpartition("/")[2])
    assert (shelf.announced, shelf.file, shelf.whole) == (right, right, True)
    refused = door.http.patch(bad, content=data, headers=PATCH | {"upload-offset": "0"})
    assert (refused.status_code, "announced" in refused.json()["detail"]) == (422, True)
    _, shelf, _ = on_the_log(door, bad.rpartition("/")[2])
    assert (shelf.whole, "announced" in shelf.broken) == (False, True)
    assert door.http.head(bad, headers=TUS).status_code == 410
    assert door.http.post(f"{ROUTE}/tus", headers=TUS | {"upload-length": "1"} | told(sha256="zz")).status_code == 400


@pytest.mark.timeout(180)
def test_a_killed_ingress_neither_loses_nor_doubles_a_byte(door: RunningDoor) -> None:
    data = rows(300_000, 3)
    place = begun(door, len(data))

    def slow() -> Iterator[bytes]:
        yield from (data[at : at + 65536] for at in range(0, len(data) - 1_000_000, 65536))
        gone.wait(60)

    def send() -> None:
        with httpx2.Client(base_url=door.url, headers={"x-api-key": KEY}) as http, contextlib.suppress(httpx2.HTTPError):
            http.patch(place, content=slow(), headers=PATCH | {"upload-offset": "0"}, timeout=60)

    gone = threading.Event()
    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: int(door.http.get(f"{ROUTE}/uploads/{place.rpartition('/')[2]}").json()["size_bytes"]) >= 16 * MIB)
    door.stop(signal.SIGKILL)
    gone.set()
    thread.join()
    door.start()
    at = offset(door, place)
    assert 16 * MIB <= at < len(data)
    assert door.http.patch(place, content=data[at:], headers=PATCH | {"upload-offset": str(at)}).status_code == 204
    found, shelf, records = on_the_log(door, place.rpartition("/")[2])
    assert found == data
    assert shelf.whole
    assert records > shelf.pieces + 1  # some were written twice
    assert door.http.get(f"{ROUTE}/uploads/{place.rpartition('/')[2]}").json()["sha256"] == hashlib.sha256(data).hexdigest()
