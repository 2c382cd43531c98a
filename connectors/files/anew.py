"""Rows that were turned away and are read once more: some together, as if they followed one another, since what reads and judges costs more than a row does."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, groupby
from typing import Final

import polars as pl

from connectors.files.reader import Read
from connectors.files.table import Place, Table
from flows.core.files.pieces import Piece
from flows.core.files.rejects import Reject

TOGETHER: Final = 128
"""Rows that are read at once: where one of them does not go with others, so many are read one by one."""


def following(rows: Sequence[Piece]) -> list[Piece]:
    """Return rows, each a piece of its own, as pieces that follow one another; their ordinals are their indices."""
    starts = accumulate((len(row.data) for row in rows[:-1]), initial=rows[0].start)
    return [row._replace(start=start, first=index) for index, (row, start) in enumerate(zip(rows, starts, strict=True))]


def standing(read: Read, rows: Sequence[Piece]) -> Read:
    """Return what was read of such pieces with the places at which the rows stand in their file."""
    table = read.table

    def place(index: int) -> Place:
        found = table.place(index)
        row = rows[found.ordinal]
        return found._replace(ordinal=row.first, line=row.line, offset=row.start)

    def told(reject: Reject) -> Reject:
        row = rows[reject.ordinal]
        return reject._replace(ordinal=row.first, line=row.line, offset=row.start)

    return Read(table._replace(ordinals=[rows[index].first for index in table.ordinals], place=place), [*map(told, read.rejects)], read.rows_read)


def together(reads: Sequence[Read]) -> Iterator[Read]:
    """Yield the same as fewer tables: those of the same columns and types that follow one another are one, and what is no row is told behind them."""
    filled = [read for read in reads if read.table.ordinals]
    for _, alike in groupby(filled, key=lambda read: (read.table.frame.columns, read.table.frame.dtypes, read.table.fragments)):
        yield _one([*alike])
    if nothing := [read for read in reads if not read.table.ordinals]:
        yield Read(nothing[0].table, _rejects(nothing), sum(read.rows_read for read in nothing))


def _one(reads: Sequence[Read]) -> Read:
    tables = [read.table for read in reads]
    if len(tables) == 1:
        return reads[0]
    begins = [0, *accumulate(len(table.ordinals) for table in tables)]

    def place(index: int) -> Place:
        at = bisect_right(begins, index) - 1
        return tables[at].place(index - begins[at])

    ordinals = [*chain.from_iterable(table.ordinals for table in tables)]
    frame = pl.concat([table.frame for table in tables], rechunk=True)
    return Read(Table(frame, ordinals, place, tables[0].fragments), _rejects(reads), sum(read.rows_read for read in reads))


def _rejects(reads: Iterable[Read]) -> list[Reject]:
    return [*chain.from_iterable(read.rejects for read in reads)]
