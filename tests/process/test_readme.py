"""The README's commands, as they stand there, against a whole stack that was started as it says."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from deploy.local.ports import free_port
from tests.arch.tree import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"<!-- file: (\w+\.py) -->\n```python\n(.*?)```", README, re.DOTALL))
BLOCKS = re.findall(r"<!-- run -->\n```(sh|python)\n(.*?)```", README, re.DOTALL)
BIN = Path(sys.executable).parent
START_S = 600  # the first start on a machine fetches Kafka
STOP_S = 60

pytestmark = [pytest.mark.readme, pytest.mark.timeout(300)]


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=2) as answer:  # noqa: S310  http, to ourselves
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start everything on free ports with data of its own; yield the environment the README's first lines set."""
    home = tmp_path_factory.mktemp("readme")
    kafka, url = free_port(2), f"http://127.0.0.1:{(http := free_port())}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INTEGRATION_")} | {
        "INTEGRATION_HTTP_PORT": str(http),
        "INTEGRATION_LOCAL_KAFKA_PORT": str(kafka),
        "INTEGRATION_REDIS_PORT": str(free_port()),
        "INTEGRATION_WORKER_PORT": str(free_port(8)),
        "INTEGRATION_DATA_DIR": str(home / "data"),
        "INTEGRATION_IMPORT_ROOTS": str(home / "in"),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    (home / "in").mkdir()
    log = home / "up.log"
    with log.open("wb") as written:
        up = subprocess.Popen([BIN / "xyra", "up"], cwd=home, env=environment, stdout=written, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_S
        while not _ready(url):
            assert up.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.1)
        key = (home / "data" / "admin.key").read_text(encoding="utf-8").strip()
        yield environment | {"XYRA": url, "KEY": key, "INTEGRATION_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka}"}
    finally:
        up.send_signal(signal.SIGINT)
        code = up.wait(STOP_S)
    assert code == 0, log.read_text(errors="replace")


def test_each_block_does_what_it_says(stack: dict[str, str], tmp_path: Path) -> None:
    """In the order they stand: later ones use what earlier ones made."""
    shown = []
    for language, program in BLOCKS:
        command = ["bash", "-euo", "pipefail", "-c", program] if language == "sh" else [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=tmp_path, env=stack, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, program + done.stdout + done.stderr
        shown.append(done.stdout)
    registered, accepted, printed, consumed, status, tested, imported, ruled, scheduled = shown
    assert json.loads(registered)["endpoint_id"] == "orders"
    event_id = json.loads(accepted)["event_id"]
    assert event_id in printed
    assert '{"order":"A-17","cents":4250}' in printed
    assert consumed == f'{event_id} order.paid {{"order":"A-17","cents":4250}}\n'
    assert json.loads(status)["counters"]["accepted"] == 1
    assert json.loads(tested)["outcome"] == "emitted"
    job = _imported(stack, json.loads(imported)["job_id"])
    assert (job["status"], job["rows_accepted"], job["errors_by_code"]) == ("completed_with_errors", 2, {"not_int64": 1})
    job = _imported(stack, json.loads(ruled)["job_id"])
    assert (job["status"], job["rows_accepted"], job["rows_rejected"], job["rows_skipped"]) == ("completed_with_errors", 2, 5, 1)
    assert job["errors_by_code"] == dict.fromkeys(("no_match", "too_small", "duplicate", "missing", "not_one_of"), 1)
    job = _imported(stack, json.loads(scheduled)["job_id"])
    assert (job["status"], job["run"], job["rows_accepted"], job["next_run_at"] is not None) == ("completed", 1, 2, True)


def _imported(stack: dict[str, str], job_id: str) -> dict[str, Any]:
    """Return how an import stands that is over."""
    asked = urllib.request.Request(f"{stack['XYRA']}/integration/import/jobs/{job_id}", headers={"X-API-Key": stack["KEY"]})  # noqa: S310  http, to ourselves
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310  as above
            found: dict[str, Any] = json.load(answer)
        if found["ended_at"] is not None:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def _totals(stack: dict[str, str]) -> dict[str, str]:
    """Return what stands on the example flow's topic: the last value of each key; nothing before the topic is made."""
    command = [str(BIN / "xyra"), "topics", "read", "totals", "--from-beginning", "--json"]
    done = subprocess.run(command, env=stack, capture_output=True, text=True, check=False, timeout=60)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {record["key"]: record["value"] for record in records}


def _health(stack: dict[str, str]) -> dict[str, Any]:
    with urllib.request.urlopen(f"{stack['XYRA']}/health", timeout=10) as answer:  # noqa: S310  http, to ourselves
        found: dict[str, Any] = json.load(answer)
    return found


def test_the_flow_it_shows_runs(stack: dict[str, str], tmp_path: Path) -> None:
    """After the blocks above have made an event of 4250 cents for the customer c-9."""
    program = tmp_path / "totals.py"
    program.write_text(FILES["totals.py"], encoding="utf-8")
    worker = subprocess.Popen([sys.executable, program], cwd=tmp_path, env=stack)
    try:
        deadline = time.monotonic() + 60
        while _totals(stack).get("c-9") != "4250":
            assert worker.poll() is None
            assert time.monotonic() < deadline, _totals(stack)
            time.sleep(0.2)
    finally:
        worker.terminate()
        code = worker.wait(STOP_S)
    assert code == 0
    deadline = time.monotonic() + 20
    while (found := _health(stack))["parts"]["flow totals"]["status"] != "ended":
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_the_flow_it_shows_has_its_types_right(tmp_path: Path) -> None:
    program = tmp_path / "totals.py"
    program.write_text(FILES["totals.py"], encoding="utf-8")
    done = subprocess.run([BIN / "mypy", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
