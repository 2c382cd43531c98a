"""A file can be read at one sitting, a function at one glance."""

import ast
from pathlib import Path

import pytest

from tests.arch.tree import ROOMS, name, parse, python

FILE_LINES = 300
FUNCTION_LINES = 40


@pytest.mark.parametrize("path", python(*ROOMS), ids=name)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < FILE_LINES


@pytest.mark.parametrize("path", python(*ROOMS), ids=name)
def test_functions_stay_short(path: Path) -> None:
    long = {
        node.name: lines
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert not long
