"""Rows of Parquet and of workbooks that were turned away, read again from what was kept of them: of the types they had, so that rules see them as they did."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import polars as pl
import pyarrow as pa

from connectors.files.arrow_types import array
from connectors.files.parquet import frame_of
from connectors.files.reader import Read
from connectors.files.table import Place, Table
from flows.core.files.kept import BAD, FRAGMENT, Kept, read, types_of
from flows.core.files.pieces import Piece
from flows.core.files.rejects import VALUE_CHARS, Reject


def reads(rows: Sequence[Piece]) -> Iterator[Read]:
    """Yield rows that follow one another as tables, each of the same columns and types."""
    found = [(row, kept) for row in rows if (kept := read(row.data)) is not None]
    for (names, types), group in groupby(found, key=lambda one: (one[1].names, one[1].types)):
        alike = list(group)
        kinds = types_of(types)
        spoilt = [at for at, kind in enumerate(kinds) if kind == BAD]
        if spoilt:
            yield from (_spoilt(row, kept, names[spoilt[0]], spoilt[0]) for row, kept in alike)
            continue
        columns = [array(kind, [kept.values[at] for _, kept in alike]) for at, kind in enumerate(kinds)]
        frame, nested = frame_of(pa.RecordBatch.from_arrays(columns, names))
        fragments = nested | {name for name, kind in zip(names, kinds, strict=True) if kind == FRAGMENT}
        yield Read(Table(frame, [row.first for row, _ in alike], partial(_place_in, alike), fragments), [], len(alike))


def _spoilt(row: Piece, kept: Kept, column: str, at: int) -> Read:
    """Return a row that says nothing in one of its cells, as the workbook has it: no rule can help."""
    reject = Reject(row.first, row.line, row.start, column, "bad_cell", "", str(kept.values[at])[:VALUE_CHARS], row.data)
    return Read(Table(pl.DataFrame(), [], partial(_place_in, [])), [reject], 1)


def _place_in(rows: Sequence[tuple[Piece, Kept]], at: int) -> Place:
    row, _ = rows[at]
    return Place(row.first, row.line, row.start, row.data)
