"""What is shipped: the wheel is built from what is tracked, installed where no checkout is, and used from there."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from flows.core import settings
from tests.arch.tree import ROOMS, ROOT, name, tracked

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in tracked():
        copy = source / name(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", made, source], check=True, capture_output=True)
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment of its own; what it depends on is lent by the running one, so that no network is needed."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    # A path named in a .pth has its own .pth files left alone: the checkout's editable install is not lent.
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home


def _run(installed: Path, *command: str) -> str:
    """Run a command of the installed wheel with an empty environment, far from the checkout."""
    done = subprocess.run(
        [installed / "bin" / command[0], *command[1:]], cwd=installed, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_holds_every_tracked_file_of_the_rooms_and_nothing_else(wheel: Path) -> None:
    held = {file for file in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in file}
    assert held == {name(path) for path in tracked() if name(path).split("/")[0] in ROOMS}


def test_it_carries_the_license_and_the_readme(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel)
    (license_file,) = [file for file in files.namelist() if file.endswith("licenses/LICENSE")]
    (metadata,) = [file for file in files.namelist() if file.endswith(".dist-info/METADATA")]
    assert files.read(license_file) == (ROOT / "LICENSE").read_bytes()
    assert "# Xyra Integration" in files.read(metadata).decode()


def test_its_rooms_are_imported_from_where_it_was_installed(installed: Path) -> None:
    places = _run(installed, "python", "-c", f"import {', '.join(ROOMS)}; print(*({', '.join(f'{room}.__file__' for room in ROOMS)}), sep='\\n')")
    assert all(Path(place).is_relative_to(installed) for place in places.split())


def test_xyra_helps(installed: Path) -> None:
    shown = _run(installed, "xyra", "--help")
    assert all(command in shown for command in ("up", "down", "status", "worker", "topics", "ledger", "settings"))


def test_xyra_prints_its_settings(installed: Path) -> None:
    shown = json.loads(_run(installed, "xyra", "settings", "--json"))
    assert settings.PREFIX + "HTTP_PORT" in json.dumps(shown)
