"""What readers of files make, as plain values."""

from collections.abc import Iterable
from typing import Any

import orjson

from connectors.files.reader import Read, Reader
from connectors.files.table import Table
from flows.core.files.pieces import Piece
from flows.core.files.rejects import Reject


def read(reader: Reader, pieces: Iterable[Piece]) -> list[Read]:
    """Read a whole file."""
    return [*reader.read(list(pieces)), *reader.finish()]


def rows(table: Table) -> list[dict[str, Any]]:
    """Give each row with its types: fragments as what they say."""
    return [
        {name: orjson.loads(value) if name in table.fragments else value for name, value in row.items() if value is not None}
        for row in table.frame.iter_rows(named=True)
    ]


def all_rows(reads: Iterable[Read]) -> list[dict[str, Any]]:
    """Give the rows of several reads."""
    return [row for done in reads for row in rows(done.table)]


def all_rejects(reads: Iterable[Read]) -> list[Reject]:
    """Give the rejects of several reads."""
    return [reject for done in reads for reject in done.rejects]
