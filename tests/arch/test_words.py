"""What stands in tracked files: reasons beside exceptions, nothing unfinished, nothing of the machine it was written on."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.arch.tree import ROOMS, ROOT, comments, from_imports, name, parse, python, tracked

ALL_PYTHON = python(*ROOMS, "tests")

REASON = {
    "noqa": re.compile(r"# noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*(?:  +| - |:? # ?)\S"),
    "type: ignore": re.compile(r"# type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\]  # \S"),
}

# Put together from parts, so that this file does not name them either.
HOSTS = re.compile("|".join(re.escape(".".join(parts)) for parts in [
    ("pypi", "org"), ("files", "pythonhosted"), ("registry", "npmjs"), ("repo1", "maven"), ("repo", "maven", "apache"),
    ("proxy", "golang"), ("static", "crates"), ("index", "crates"), ("deb", "debian"),
]))  # fmt: skip
MACHINE_PATHS = re.compile(r"(?<![\w.$~}/-])/(?:work|root|home|tmp|Users)/[\w.-]+")
THE_CONTRACTS_DEFAULT = "/tmp/xyra_imports"  # noqa: S108  INTEGRATION_BATCH_IMPORT_UPLOAD_DIR
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|NotImplemented" + "Error")


def _texts() -> list[Path]:
    return [path for path in tracked() if b"\0" not in path.read_bytes()[:4096]]


def test_a_silenced_tool_has_its_reason_beside_it() -> None:
    silent = [
        f"{name(path)}:{line}: {comment}"
        for path in ALL_PYTHON
        for line, comment in comments(path)
        for mark, reason in REASON.items()
        if comment.find(mark) >= 0 and mark in comment.split("#", 2)[1] and not reason.search(comment)
    ]
    assert not silent


def test_a_broad_except_passes_the_error_on_or_has_its_reason_beside_it() -> None:
    silent = [
        f"{name(path)}:{node.lineno}"
        for path in python(*ROOMS)
        for reasoned in [{line for line, _ in comments(path)}]
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and node.lineno not in reasoned
        and not any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
    ]
    assert not silent


def test_nothing_of_this_machine_and_no_registry() -> None:
    assert not [(name(path), found) for path in _texts() for found in _strange(path.read_text(encoding="utf-8").replace(THE_CONTRACTS_DEFAULT, ""))]


def _strange(text: str) -> list[str]:
    return [*HOSTS.findall(text), *MACHINE_PATHS.findall(text)]


def test_nothing_is_left_unfinished() -> None:
    assert not [(name(path), found) for path in _texts() for found in UNFINISHED.findall(path.read_text(encoding="utf-8"))]


LISTING = [path for path in python(*ROOMS) if "__all__" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", LISTING, ids=name)
def test_the_public_list_equals_reality(path: Path) -> None:
    """Others take from a package what its `__all__` lists and nothing else; what it takes from its own modules to hand on is listed."""
    package = name(path.parent).replace("/", ".")
    (listed,) = (ast.literal_eval(node.value) for node in parse(path).body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
    taken = {alias for other in python(*ROOMS, "tests") if other.parent != path.parent for alias in _taken(other, package)}
    submodules = {module.stem for module in path.parent.iterdir()}
    assert taken - submodules <= set(listed)
    defines = any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in parse(path).body)
    handed_on = {alias.asname or alias.name for node in parse(path).body if _from(node, package) for alias in node.names}
    assert defines or handed_on == set(listed)


def _from(node: ast.AST, package: str) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package)


def _taken(path: Path, package: str) -> Iterator[str]:
    yield from (alias.name for node in from_imports(path) if node.module == package for alias in node.names)


def test_what_is_private_stays_in_its_module() -> None:
    taken = [
        f"{name(path)}:{node.lineno}: {alias.name} of {node.module}"
        for path in python(*ROOMS)
        for node in from_imports(path)
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert not taken


def test_the_license_is_the_one_the_package_names() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
