"""`xyra import` as a user runs it: a process beside a running ingress and a worker of the flow."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import SHUT_RDWR, create_connection, create_server, socket
from typing import Any

import pytest

from deploy.local.ports import free_port
from flows.core import topics
from flows.core.settings import PREFIX
from flows.wire.kafka import ensure_topics
from tests.kit.door import KEY, RunningDoor, running_door, until
from tests.kit.files import Served, serving
from tests.kit.settings import settings_for
from tests.kit.workers import running_workers

PEOPLE = b"id,age\n" + b"".join(b"%d,%d\n" % (n, n % 90) for n in range(5_000))
BAD = b"id,age\n1,2\n2,old\n3,4\n"
RULES = {"data_types": {"id": "int64", "age": "int64"}}
NEAR = {"egress_allow": "127.0.0.0/8"}
TUS = {"tus-resumable": "1.0.0"}


@pytest.fixture(scope="module")
def door(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    home = tmp_path_factory.mktemp("imports")
    settings = settings_for(kafka, home)
    ensure_topics(settings, topics.TOPICS)
    with running_door(settings, home / "log", batch_import_upload_dir=str(home / "scratch"), **NEAR) as running:
        yield running


def started(door: RunningDoor, folder: Path, data: bytes, *options: str, url: str = "", rules: Any = RULES) -> "subprocess.Popen[str]":
    (folder / "people.csv").write_bytes(data)
    return begun(door, folder, str(folder / "people.csv"), *options, url=url, rules=rules)


def begun(door: RunningDoor, folder: Path, what: str, *options: str, url: str = "", rules: Any = RULES) -> "subprocess.Popen[str]":
    (folder / "rules.json").write_text(json.dumps(rules))
    env = {**os.environ, PREFIX + "ADMIN_KEY": KEY}
    command = ["import", what, "--rules", str(folder / "rules.json"), "--url", url or door.url, *options]
    return subprocess.Popen([sys.executable, "-m", "deploy.cli.main", *command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ran(door: RunningDoor, folder: Path, data: bytes, *options: str, url: str = "", rules: Any = RULES) -> tuple[int, str, str]:
    return ended(started(door, folder, data, *options, url=url, rules=rules))


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def left(door: RunningDoor, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, str]:
    """Give what a command said that was ended by Ctrl-C while no worker ran yet."""
    process = started(door, tmp_path_factory.mktemp("left"), PEOPLE, "--watch")
    assert process.stderr is not None
    said = ""
    while "queued" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, said + err


@pytest.fixture(scope="module")
def worker(door: RunningDoor, left: tuple[int, str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run a worker of the flow, when the job that was left is on the log."""
    assert "goes on" in left[2]
    home = tmp_path_factory.mktemp("worker")
    with running_workers(door.settings, home, "imports", batch_import_upload_dir=str(home / "scratch"), **NEAR):
        yield


@pytest.mark.usefixtures("worker")
def test_ctrl_c_leaves_the_job_and_says_how_to_look_at_it_and_cancel_it(door: RunningDoor, left: tuple[int, str, str]) -> None:
    code, out, err = left
    found = re.search(r"The job (\S+) goes on\.", err)
    assert found, err
    assert (code, out) == (130, "")
    route = f"{door.url}/integration/import/jobs/{found[1]}"
    assert f"curl -sS '{route}' -H \"X-API-Key: $INTEGRATION_ADMIN_KEY\"" in err
    assert f"curl -sS -X DELETE '{route}'" in err
    until(lambda: door.http.get(f"/integration/import/jobs/{found[1]}").json()["status"] == "completed")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("data", "code", "counts"), [(PEOPLE, 0, ("completed", 5000, 5000, 0)), (BAD, 5, ("completed_with_errors", 3, 2, 1))], ids=["good", "bad"]
)
def test_a_file_is_sent_read_and_followed(door: RunningDoor, tmp_path: Path, data: bytes, code: int, counts: tuple[object, ...]) -> None:
    done = ran(door, tmp_path, data, "--watch", "--json", "--key", "id", "--chunk-size", "1000", "--name", "people")
    assert done[0] == code, done[2]
    found = json.loads(done[1])
    assert tuple(found[name] for name in ("status", "rows_read", "rows_accepted", "rows_rejected")) == counts
    definition = door.http.get(f"/integration/import/jobs/{found['job_id']}").json()["definition"]
    assert (definition["name"], definition["key_columns"], definition["transformation_rules"]) == ("people", ["id"], RULES)
    assert definition["source_config"] == {"upload_id": found["upload_id"], "chunk_size": 1000}


@pytest.mark.usefixtures("worker")
def test_what_was_found_out_of_the_file_is_told_once_beside_what_is_told_as_json(door: RunningDoor, tmp_path: Path) -> None:
    data = "id,name,years\n1,Müller,2\n2,Jürgen Groß,3\n3,Weiß,4\n4,Schröder,5\n".encode("cp1252")
    code, out, err = ran(door, tmp_path, data, "--watch", "--json")
    assert code == 0, err
    found = json.loads(out)["read_as"]
    assert found["unknown_columns"] == ["age"]
    assert err.count("Rules speak of columns that no row has: 'age'.") == 1
    assert [err.count(note) for note in found["notes"]] == [1]
    assert err.splitlines()[-1].startswith("completed: 4 rows"), "a job that is over is said to be doing something"


@pytest.mark.usefixtures("worker")
def test_a_file_at_a_url_is_fetched_and_what_an_earlier_run_took_is_skipped(door: RunningDoor, tmp_path: Path) -> None:
    found: list[dict[str, Any]] = []
    with serving(Served(PEOPLE).talk) as seen:
        for _ in range(2):
            code, out, err = ended(begun(door, tmp_path, f"{seen.url}/members.csv", "--watch", "--json", "--incremental", "id"))
            assert code == 0, err
            found.append(json.loads(out))
    assert [(one["rows_read"], one["rows_skipped"], "upload_id" in one) for one in found] == [(5000, 0, False), (5000, 5000, False)]
    definition = door.http.get(f"/integration/import/jobs/{found[0]['job_id']}").json()["definition"]
    assert (definition["name"], definition["source_config"]) == ("members.csv", {"url": f"{seen.url}/members.csv"})


@pytest.mark.usefixtures("worker")
def test_a_store_that_no_worker_reads_is_refused_when_the_job_is_ordered(door: RunningDoor, tmp_path: Path) -> None:
    wanted = {"name": "o", "job_type": "one_time", "data_format": "csv", "source_config": {"url": "gs://inbox/orders.csv"}}
    until(lambda: door.http.post("/integration/import/jobs", json=wanted).status_code == 422)  # before its first sign of life its run decides
    code, out, err = ended(begun(door, tmp_path, "gs://inbox/orders.csv", "--watch"))
    assert (code, out) == (7, "")
    assert "gs:// is read by gcsfs, which is not installed where the worker runs: pip install 'xyra-integration[gs]'." in err


@pytest.mark.usefixtures("worker")
def test_a_job_that_fails_says_why(door: RunningDoor, tmp_path: Path) -> None:
    code, out, err = ran(door, tmp_path, b"not a table", "--watch", "--format", "parquet")
    assert code == 6, err
    assert " is failed: " in out


def test_a_broken_connection_is_taken_up_where_the_file_stands(door: RunningDoor, tmp_path: Path) -> None:
    data = b"id,age\n" + b"1,%s\n" % (b"2" * 1000) * 8000
    with breaking(door.port, 1_000_000, 3_000_000) as url:
        code, out, err = ran(door, tmp_path, data, "--json", url=url)
    assert code == 0, err
    upload = door.http.get(f"/integration/import/uploads/{json.loads(out)['upload_id']}").json()
    assert (upload["size_bytes"], upload["status"], upload["name"]) == (len(data), "received", "people.csv")


def test_an_upload_that_was_left_is_gone_on_with(door: RunningDoor, tmp_path: Path) -> None:
    made = door.http.post("/integration/import/tus", headers=TUS | {"upload-length": str(len(PEOPLE))}).headers["location"]
    headers = TUS | {"upload-offset": "0", "content-type": "application/offset+octet-stream"}
    assert door.http.patch(made, content=PEOPLE[:9000], headers=headers).status_code == 204
    upload_id = made.rpartition("/")[2]
    code, out, err = ran(door, tmp_path, PEOPLE[:-1], "--resume", upload_id)
    assert (code, out) == (2, "")
    assert f"is of a file of {len(PEOPLE)} bytes, and this one has {len(PEOPLE) - 1}" in err
    code, out, err = ran(door, tmp_path, PEOPLE, "--resume", upload_id)
    assert code == 0, err
    assert " is queued: " in out or " is running: " in out
    code, _, err = ran(door, tmp_path, PEOPLE.replace(b"1", b"9"), "--resume", upload_id)
    assert code == 7
    assert "does not hold the bytes of" in err


def test_a_refusal_has_every_reason(door: RunningDoor, tmp_path: Path) -> None:
    code, out, err = ran(door, tmp_path, PEOPLE, "--target-topic", "xyra.dlq", rules={"regex": {"id": "("}})
    assert (code, out) == (7, "")
    assert "/target_topic: " in err
    assert "/transformation_rules/regex/id: " in err
    assert "Upload " not in err, "the file was sent for nothing"


@pytest.mark.usefixtures("worker")
def test_how_the_file_is_read_is_said_by_the_command(door: RunningDoor, tmp_path: Path) -> None:
    data = json.dumps({"data": {"items": [{"id": 1, "age": 2}]}}).encode()
    code, out, err = ran(door, tmp_path, data, "--watch", "--json", "--format", "json", "--set", "json_path=/data/items")
    assert code == 0, err
    assert json.loads(out)["rows_accepted"] == 1
    code, out, err = ran(door, tmp_path, data, "--watch", "--format", "json")
    assert (code, "--set json_path=..." in out) == (6, True), out + err


def test_an_ingress_that_is_away(door: RunningDoor, tmp_path: Path) -> None:
    code, out, err = ran(door, tmp_path, PEOPLE, url=f"http://127.0.0.1:{free_port()}")
    assert (code, out) == (1, "")
    assert "does not answer" in err


class breaking:  # noqa: N801  a context manager reads as a word
    """A way to a port whose connections break after so many bytes, the first after the first number, and so on."""

    def __init__(self, port: int, *after: int) -> None:
        self._port, self._after = port, list(after)
        self._server = create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        threading.Thread(target=self._accept, daemon=True).start()
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        assert not self._after, "no connection broke"
        self._server.shutdown(SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket) -> None:
        with near, create_connection(("127.0.0.1", self._port)) as far:
            back = threading.Thread(target=_carry, args=(far, near, lambda _: False), daemon=True)
            back.start()
            _carry(near, far, self._breaks)
            back.join()

    def _breaks(self, carried: int) -> bool:
        if self._after and carried > self._after[0]:
            self._after.pop(0)
            return True
        return False


def _carry(source: socket, to: socket, breaks: Callable[[int], bool]) -> None:
    carried = 0
    with contextlib.suppress(OSError):
        while not breaks(carried) and (data := source.recv(65536)):
            to.sendall(data)
            carried += len(data)
    for end in (source, to):
        with contextlib.suppress(OSError):
            end.shutdown(SHUT_RDWR)
