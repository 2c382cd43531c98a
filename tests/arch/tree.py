"""The checkout as data: what is tracked, and its Python as syntax trees."""

import ast
import functools
import io
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("flows", "ingress", "connectors", "deploy")
NOT_TRACKED = {".venv", ".git", ".xyra", ".bench", "__pycache__", "dist", "build"}


@functools.cache
def tracked() -> tuple[Path, ...]:
    """Return the files that git tracks, or, where there is no git (an unpacked archive), all that look like ours."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not NOT_TRACKED & set(path.relative_to(ROOT).parts)]
    return tuple(sorted(path for path in paths if path.is_file()))


def name(path: Path) -> str:
    """Return a path as a person sees it: from the root of the checkout."""
    return path.relative_to(ROOT).as_posix()


def python(*tops: str) -> list[Path]:
    """Return the tracked Python files under these folders."""
    return [path for path in tracked() if path.suffix == ".py" and name(path).split("/")[0] in tops]


@functools.cache
def parse(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=name(path))


@functools.cache
def from_imports(path: Path) -> tuple[ast.ImportFrom, ...]:
    """Return every `from X import Y` of a file, anywhere in it."""
    return tuple(node for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom))


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each comment with its line number; text inside strings is none."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every module a file imports, anywhere in it, by its absolute name."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
