"""What `xyra up` sees before anything is fetched or started."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local import record
from flows.core.errors import WrongSetting


def refusal(data: Path, *options: str, **environ: str) -> str:
    """Return what `xyra up` says to a setting, and see that it leaves with the code for one and has fetched and started nothing."""
    cache = data.with_name("cache")  # where Kafka is fetched to
    done = CliRunner(env={"XDG_CACHE_HOME": str(cache)} | environ).invoke(app, ["up", *options, "--data-dir", str(data)])
    assert isinstance(done.exception, WrongSetting), done.output
    assert done.exception.exit_code == 2
    assert not cache.exists()
    assert not list((data / "logs").glob("*"))
    assert record.read(data) is None
    return done.exception.detail


@pytest.mark.parametrize("options", [(), ("--detach",)])
@pytest.mark.parametrize(("name", "value"), [("SECRET_KEY", "c2hvcnQ="), ("SECRET_KEY", "not base64"), ("ADMIN_KEY", "key\n")])
def test_a_key_that_cannot_be_used_is_found_before_anything_starts(tmp_path: Path, name: str, value: str, options: tuple[str, ...]) -> None:
    said = refusal(tmp_path / "data", *options, **{f"INTEGRATION_{name}": value})
    assert said.startswith(f"INTEGRATION_{name} ")
    assert value not in said


@pytest.mark.parametrize("options", [(), ("--detach",)])
def test_a_host_of_another_machine_is_found_before_anything_starts(tmp_path: Path, options: tuple[str, ...]) -> None:
    said = refusal(tmp_path / "data", *options, INTEGRATION_HTTP_HOST="203.0.113.7")
    assert said.startswith("INTEGRATION_HTTP_HOST is '203.0.113.7', which is not an address of this machine")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["secret.key", "admin.key"])
def test_a_key_file_that_cannot_be_used_is_found_before_anything_starts(tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_text("")
    assert f"{data / name} is empty" in refusal(data)
