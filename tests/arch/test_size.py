"""A file can be read at one sitting, a function at one glance."""

import ast

from tests.arch.tree import ROOMS, name, parse, python

FILE_LINES = 300
FUNCTION_LINES = 40


def test_files_stay_short() -> None:
    long = {name(path): lines for path in python(*ROOMS) if (lines := len(path.read_text(encoding="utf-8").splitlines())) >= FILE_LINES}
    assert not long


def test_functions_stay_short() -> None:
    long = {
        f"{name(path)}: {node.name}": lines
        for path in python(*ROOMS)
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert not long
