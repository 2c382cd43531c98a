"""The real tus-js-client sends a file, breaks off, and goes on."""

import hashlib
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.door import KEY, running_door
from tests.kit.settings import settings_for

HERE = Path(__file__).parent / "tus"


@pytest.mark.skipif(shutil.which("npm") is None, reason="node and npm are needed to run tus-js-client")
def test_tus_js_client_goes_on_after_an_interruption(kafka: str, tmp_path: Path) -> None:
    data = b"id,text\n" + b"".join(b"%d,%d\n" % (n, random.Random(n).getrandbits(200)) for n in range(450_000))  # noqa: S311  no secret
    (tmp_path / "tus.csv").write_bytes(data)
    assert len(data) > 30_000_000
    shutil.copytree(HERE, tmp_path / "client", ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=tmp_path / "client", check=True, capture_output=True, timeout=100)
    with running_door(settings_for(kafka, tmp_path), tmp_path / "log") as door:
        command = ["node", "upload.js", f"{door.url}/integration/import/tus", KEY, str(tmp_path / "tus.csv")]
        done = subprocess.run(command, cwd=tmp_path / "client", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "log").read_text()
        assert "went on" in done.stderr
        found = door.http.get("/integration/import/uploads/" + done.stdout.strip().rpartition("/")[2]).json()
        assert (found["sha256"], found["size_bytes"], found["name"]) == (hashlib.sha256(data).hexdigest(), len(data), "tus.csv")
