"""Hostile and odd files, made by code: each says what has to become of it. Nothing of them lies on a disk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from connectors.files.bounds import Limits
from connectors.files.reader import Unreadable

LIMITS: Final = replace(Limits(), ratio_from=1 << 20, members=100, columns=1_000, rows=1_500_000, row_bytes=512 << 10)
"""Narrower than a user's where a small file shows the same as a large one."""


class Rows(NamedTuple):
    """The file is read: so many good rows, and so many that are turned away."""

    rows: int
    rejects: int = 0


class Refused(NamedTuple):
    """The file is refused, with this code."""

    code: str


class Entry(NamedTuple):
    """One file."""

    name: str
    format: str
    make: Callable[[], bytes]
    expect: Rows | Refused
    compression: str = "none"
    options: tuple[tuple[str, str | int], ...] = ()


class Open(Protocol):
    """Reads a file of one format in a scratch directory, and counts. Raises `Unreadable`."""

    def __call__(self, entry: Entry, path: Path) -> Rows:
        """Return how many rows were good and how many were not."""
        ...


def run(entry: Entry, scratch: Path, formats: dict[str, Open]) -> Rows | Refused:
    """Return what becomes of an entry in the hands of the reader of its format."""
    path = scratch / "file"
    path.write_bytes(entry.make())
    try:
        return formats[entry.format](entry, path)
    except Unreadable as refused:
        sentence = str(refused)
        assert sentence.endswith(".") and "{" not in sentence, sentence  # noqa: PT018  a person reads it
        return Refused(refused.code)
