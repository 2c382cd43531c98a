"""What is made of the rows that were read: a plan, compiled from a job's rules."""

from typing import NamedTuple, Protocol

import polars as pl

from connectors.files.table import Table
from flows.core.files.rejects import Reject


class Sifted(NamedTuple):
    """What a plan made of a table."""

    frame: pl.DataFrame
    """Good rows, in the file's order, by the names and types that they go out with."""
    rows: pl.Series | None
    """The index in the table of each of them; None: all of them are good."""
    fragments: frozenset[str]
    """Columns of `frame` whose strings are JSON text and go out as they are."""
    rejects: list[Reject]
    """By row, and for each row every reason."""
    skipped: int = 0
    """Rows that are neither: at or below the watermark, unchanged, or left out by a filter."""
    full: pl.DataFrame | None = None
    """The same rows with the columns that do not go out; None: there are none such."""

    @property
    def whole(self) -> pl.DataFrame:
        """The good rows with all columns that rules see."""
        return self.frame if self.full is None else self.full

    def only(self, kept: pl.Series) -> "Sifted":
        """Return it with those of its rows for which `kept` is true."""
        rows = pl.Series(range(self.frame.height), dtype=pl.UInt32) if self.rows is None else self.rows
        full = self.full.filter(kept) if self.full is not None else None
        return self._replace(frame=self.frame.filter(kept), rows=rows.filter(kept), full=full)


class Plan(Protocol):
    """Rules, compiled once. No row makes it raise."""

    def apply(self, table: Table) -> Sifted:
        """Sort the rows of a table into good ones and rejects."""
        ...


class AsRead:
    """The plan without rules: every row is good, as it was read."""

    def apply(self, table: Table) -> Sifted:
        """Return all of them."""
        return Sifted(table.frame, None, table.fragments, [])
