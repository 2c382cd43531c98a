"""The README's commands, as they stand there, against a whole stack that was started as it says."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from deploy.local.ports import free_port
from tests.arch.tree import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- run -->\n```(sh|python)\n(.*?)```", README, re.DOTALL)
BIN = Path(sys.executable).parent
START_S = 120
STOP_S = 60

pytestmark = [pytest.mark.readme, pytest.mark.timeout(START_S + STOP_S + 120)]


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
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
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
        yield environment | {"XYRA": url, "KEY": key, "KAFKA": f"127.0.0.1:{kafka}"}
    finally:
        up.send_signal(signal.SIGINT)
        code = up.wait(STOP_S)
    assert code == 0, log.read_text(errors="replace")


def test_each_block_does_what_it_says(stack: dict[str, str]) -> None:
    """In the order they stand: later ones use what earlier ones made."""
    shown = []
    for language, program in BLOCKS:
        command = ["bash", "-euo", "pipefail", "-c", program] if language == "sh" else [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=ROOT, env=stack, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, program + done.stdout + done.stderr
        shown.append(done.stdout)
    registered, accepted, *_, read = shown
    assert '"endpoint_id":"orders"' in registered.replace(" ", "")
    event_id = re.search(r'"event_id": ?"([^"]+)"', accepted)
    assert event_id
    assert event_id[1] in read
