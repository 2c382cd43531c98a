"""What is made of the rows that were read: a plan, compiled from a job's rules."""

from typing import NamedTuple, Protocol

import polars as pl

from connectors.files.table import Table
from flows.core.files.rejects import Reject


class Keys(NamedTuple):
    """What is to be remembered of good rows, so that others like them can be told: one digest of 16 bytes a row that has a key."""

    across_runs: bool
    """Whether later runs are to know them too."""
    digests: list[bytes]


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
    keys: tuple[Keys, ...] = ()
    """For each rule `unique`: to be put in state with the rows, in one transaction."""


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
