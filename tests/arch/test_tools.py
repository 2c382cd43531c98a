"""The tools find nothing: what a contributor would hear in review is heard here first."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.arch.tree import ROOT

BIN = Path(sys.executable).parent
TOOLS = [["ruff", "check", "--no-fix", "."], ["ruff", "format", "--check", "."], ["lint-imports"], ["mypy"]]


@pytest.mark.timeout(600)  # mypy's first run, without a cache, on a busy machine
@pytest.mark.parametrize("command", TOOLS, ids=" ".join)
def test_it_finds_nothing(command: list[str]) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", re.findall(r"python -m (tests\.\S+)", (ROOT / "Makefile").read_text()))
def test_what_make_runs_says_what_it_does(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m {module} ")


def test_make_bench_and_make_chaos_run_something() -> None:
    assert re.findall(r"^(\w+):.*\n.*install\.sh.*\n\t\$\(BIN\)/python -m tests\.\1$", (ROOT / "Makefile").read_text(), re.MULTILINE) == ["bench", "chaos"]
