"""What `xyra up` sees before anything is fetched or started."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local import broker
from flows.core.errors import WrongSetting


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test as soon as something would be fetched or started."""
    monkeypatch.setattr(broker, "runtime", lambda *_: pytest.fail("Kafka was fetched"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))


def refusal(data: Path, *options: str, **environ: str) -> str:
    """Return what `xyra up` says to a setting, and see that it leaves with the code for one."""
    done = CliRunner(env=environ).invoke(app, ["up", *options, "--data-dir", str(data)])
    assert isinstance(done.exception, WrongSetting), done.output
    assert done.exception.exit_code == 2
    return done.exception.detail


@pytest.mark.parametrize("options", [(), ("--detach",)])
@pytest.mark.parametrize(("name", "value"), [("SECRET_KEY", "c2hvcnQ="), ("SECRET_KEY", "not base64"), ("ADMIN_KEY", "key\n")])
def test_a_key_that_cannot_be_used_is_found_before_anything_starts(tmp_path: Path, name: str, value: str, options: tuple[str, ...]) -> None:
    said = refusal(tmp_path / "data", *options, **{f"INTEGRATION_{name}": value})
    assert said.startswith(f"INTEGRATION_{name} ")
    assert value not in said


@pytest.mark.parametrize("name", ["secret.key", "admin.key"])
def test_a_key_file_that_cannot_be_used_is_found_before_anything_starts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    assert f"{tmp_path / name} is empty" in refusal(tmp_path)
