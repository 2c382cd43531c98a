"""Rows that an earlier run has taken: told by a column whose values rise, and the highest value of the runs before."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

import polars as pl

from flows.core.errors import BadRequest
from flows.core.imports.recall import Level, retyped
from flows.core.imports.rules import CURSORS, TransformationRules

MOST_CHARS: Final = 1000
"""Of a text by which rows are told: it is kept as the watermark."""


class Cursor(NamedTuple):
    """Which column it is, and up to where earlier runs came."""

    column: str
    kind: str
    """Its type, as `data_types` has it."""
    since: Level | None
    """The watermark; None: there was no run before."""

    def absent(self, frame: pl.DataFrame) -> pl.Series:
        """Tell of each row whether nothing can be compared: no value, or a text that is too long."""
        return self._values(frame).is_null()

    def old(self, frame: pl.DataFrame) -> pl.Series:
        """Tell of each row whether it is at or below the watermark."""
        if self.since is None:
            return pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
        if self.kind == "decimal":
            most = Decimal(self.since.value)
            return pl.Series([value is not None and value <= most for value in self._decimals(frame)], dtype=pl.Boolean)
        return (self._values(frame) <= self.since.value).fill_null(value=False)

    def highest(self, frame: pl.DataFrame) -> Level | None:
        """Return the highest value of a frame's rows; None: there is none."""
        if self.kind == "decimal":
            found = [value for value in self._decimals(frame) if value is not None]
            return Level(self.kind, format(max(found), "f")) if found else None
        most = self._values(frame).max()
        return Level(self.kind, most) if isinstance(most, int | float | str) else None

    def _values(self, frame: pl.DataFrame) -> pl.Series:
        if self.column not in frame.columns:
            return pl.Series([None] * frame.height, dtype=pl.Int64)
        values = frame[self.column].to_physical() if self.kind in {"date", "datetime"} else frame[self.column]
        if self.kind == "string":
            return frame.select(pl.when(pl.col(self.column).str.len_chars() <= MOST_CHARS).then(pl.col(self.column))).to_series()
        return values.fill_nan(None) if values.dtype.is_float() else values

    def _decimals(self, frame: pl.DataFrame) -> Iterator[Decimal | None]:
        for text in self._values(frame).cast(pl.String):
            yield Decimal(text) if text is not None else None


def cursor_of(column: str | None, since: Level | None, rules: TransformationRules) -> Cursor | None:
    """Return the cursor of a job; None: it has none. Raises BadRequest where the column's type is not said, or is another than that of the runs before."""
    if column is None:
        return None
    kind = rules.data_types.get(column)
    if kind is None or kind.type not in CURSORS:
        raise BadRequest(f"The rows of earlier runs are told by {column!r}, whose type is not said: give one of {', '.join(CURSORS)} in data_types.")
    if since is not None and since.kind != kind.type:
        raise BadRequest(retyped(column, kind.type, since.kind))
    return Cursor(column, kind.type, since)
