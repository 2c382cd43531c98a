"""Tests use real parts and a clock they move themselves; none is skipped, none waits for time to pass."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.arch.tree import imports, name, parse, python

MAY_SLEEP = ("tests/process/", "tests/chaos/", "tests/bench/", "tests/kit/")
"""They watch other processes, which tell nobody when they are ready."""
MAY_SKIP = {"tests/process/test_tus.py": {"pytest.mark.skipif"}}
"""It runs a client in JavaScript, and nobody has to have node for anything else here."""
SKIPS = {"pytest.skip", "pytest.xfail", "pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail", "pytest.importorskip"}


def _names(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Attribute):
            yield node.lineno, ast.unparse(node)


def test_nothing_of_ours_is_mocked() -> None:
    for path in python("tests"):
        assert not [line for line, module in imports(path) if module.split(".")[0] in {"mock", "pytest_mock"} or module.startswith("unittest")], name(path)
        assert not [line for line, used in _names(path) if used in {"monkeypatch.setattr", "mocker.patch"}], name(path)


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    for path in python("tests"):
        assert not [(line, used) for line, used in _names(path) if used in SKIPS - MAY_SKIP.get(name(path), set())], name(path)


def test_no_test_sleeps() -> None:
    sleeping = [
        f"{name(path)}:{node.lineno}: {ast.unparse(node)}"
        for path in python("tests")
        if not name(path).startswith(MAY_SLEEP)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"} and ast.unparse(node.args[0]) != "0"
    ]
    assert not sleeping
