"""Rows that were read, and where in the file each of them stands."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import polars as pl


class Place(NamedTuple):
    """Where in the file a row stands, and how it stands there."""

    ordinal: int
    line: int
    """From 1; 0 where lines mean nothing."""
    offset: int
    """-1 where that means nothing."""
    raw: bytes
    """`RAW_BYTES` at most."""


class Table(NamedTuple):
    """Rows of one read, in the file's order."""

    frame: pl.DataFrame
    """Columns by their names in the file, in its order. CSV and XML: strings, null for what the dialect says is none."""
    ordinals: Sequence[int]
    """Of each row, rising: a `range` where nothing was turned away between them."""
    place: Callable[[int], Place]
    """Where the row of this index in `frame` stands. It may parse for its answer, so only rejects ask."""
    fragments: frozenset[str] = frozenset()
    """Columns of strings whose values are JSON text as it stood in the file, each of a type of its own; null is a value that was not there."""
