"""How rows are kept that do not stand in their file as bytes: those of Parquet and Excel.

One is a line of JSON, as a person reads it, and behind it a line with the types of its values, by which the same row can be made once more:
`[["int64", 2], ["date32[day]", 1]]`, each type with how many columns in a row have it.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import orjson

from flows.core.files.rejects import RAW_BYTES

TYPED: Final = frozenset({"parquet", "excel"})
"""Formats whose rows are kept so."""
FRAGMENT: Final = "json"
"""The type of a value that is JSON of any type: of a column of a sheet whose cells are not alike."""
BAD: Final = "bad"
"""The type of a cell that says nothing: its text as it stood."""
ERROR: Final = "_error"
"""The column that says in a file of rejected rows what is wrong with each."""
ROW: Final = "_row"
"""Such a row itself as a text, where its columns cannot be told, or it is damaged."""
WRITTEN: Final = "written"
"""A file of such rows, in the directory of the process that makes it."""
Type = str | list[Any]
"""By the name that Arrow gives it; of what is nested a list: `["list", T]`, `["struct", [[name, T]]]`, `["map", K, V]`."""


class Kept(NamedTuple):
    """A row that can be made once more."""

    names: tuple[str, ...]
    values: list[Any]
    types: bytes
    """As they were written."""


def runs(types: Sequence[Type]) -> bytes:
    """Write the types of a row's columns, in their order."""
    return orjson.dumps([[kind, len(list(alike))] for kind, alike in groupby(types)])


def types_of(written: bytes) -> list[Type]:
    """Read what `runs` wrote."""
    return [kind for kind, number in orjson.loads(written) for _ in range(number)]


def keep(row: bytes, types: bytes) -> bytes:
    """Return what is kept of a row, which is not the whole of one that is too long."""
    return (row + b"\n" + types)[:RAW_BYTES]


def read(raw: bytes) -> Kept | None:
    """Return a row as it was kept; None where that is not the whole of it."""
    row, _, types = raw.partition(b"\n")
    if not types or len(raw) >= RAW_BYTES:
        return None
    found: dict[str, Any] = orjson.loads(row)
    return Kept(tuple(found), list(found.values()), types)


def can_run(form: str, raw: bytes) -> bool:
    """Tell whether a row of a job's format can be read again from what is kept of it: one of `RAW_BYTES` may have been longer in its file."""
    return len(raw) < RAW_BYTES and (form not in TYPED or b"\n" in raw)


def shown(form: str, raw: bytes) -> bytes:
    """Return a row as it is shown to a person: without its types."""
    return raw.partition(b"\n")[0] if form in TYPED else raw
