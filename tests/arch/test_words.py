"""What stands in tracked files: reasons beside exceptions, nothing unfinished, nothing of the machine it was written on."""

import ast
import re
from pathlib import Path

import pytest

from tests.arch.tree import ROOMS, ROOT, comments, name, parse, python, tracked

ALL_PYTHON = python(*ROOMS, "tests")

REASON = {
    "noqa": re.compile(r"# noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*(?:  +| - |:? # ?)\S{2,}"),
    "type: ignore": re.compile(r"# type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\]  # \S{2,}"),
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


@pytest.mark.parametrize("path", ALL_PYTHON, ids=name)
def test_a_silenced_tool_has_its_reason_beside_it(path: Path) -> None:
    silent = [
        f"{name(path)}:{line}: {comment}"
        for line, comment in comments(path)
        for mark, reason in REASON.items()
        if comment.find(mark) >= 0 and mark in comment.split("#", 2)[1] and not reason.search(comment)
    ]
    assert not silent


@pytest.mark.parametrize("path", python(*ROOMS), ids=name)
def test_a_broad_except_has_its_reason_beside_it(path: Path) -> None:
    reasoned = {line for line, _ in comments(path)}
    silent = [
        f"{name(path)}:{node.lineno}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
        and node.lineno not in reasoned
    ]
    assert not silent


@pytest.mark.parametrize("path", _texts(), ids=name)
def test_nothing_of_this_machine_and_no_registry(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(THE_CONTRACTS_DEFAULT, "")
    assert not HOSTS.findall(text)
    assert not MACHINE_PATHS.findall(text)


@pytest.mark.parametrize("path", _texts(), ids=name)
def test_nothing_is_left_unfinished(path: Path) -> None:
    assert not UNFINISHED.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [path for path in python(*ROOMS) if "__all__" in path.read_text(encoding="utf-8")], ids=name)
def test_the_public_list_equals_reality(path: Path) -> None:
    """`__all__` is what the module defines or takes from its own package, without a leading underscore: no more, no less."""
    package = name(path.parent).replace("/", ".")
    names: set[str] = set()
    listed: list[str] = []
    for node in parse(path).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                listed = ast.literal_eval(node.value)
            case ast.ImportFrom(module=str(module)) if module.startswith(package):
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Assign(targets=[ast.Name(id=target)]) | ast.AnnAssign(target=ast.Name(id=target)):
                names.add(target)
    assert sorted(listed) == sorted(public for public in names if not public.startswith("_"))


@pytest.mark.parametrize("path", python(*ROOMS), ids=name)
def test_what_is_private_stays_in_its_module(path: Path) -> None:
    taken = [
        f"{name(path)}:{node.lineno}: {alias.name} of {node.module}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert not taken


def test_the_license_is_the_one_the_package_names() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
