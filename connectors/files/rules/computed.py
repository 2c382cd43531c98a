"""CEL over rows: columns that are computed, the filter, and checks. Row by row, so only where rules have expressions."""

from typing import Any, Final, NamedTuple

import orjson
import polars as pl

from flows.core.expressions import Expression, FailedError, MissingError, Scope, compile_expression
from flows.core.imports import codes
from flows.core.imports.check import ROW
from flows.core.imports.codes import Code
from flows.core.imports.rules import Expressions

_CELL: Final = 16
"""Bytes that a number is counted as."""


class Complaint(NamedTuple):
    """What an expression has against a row."""

    row: int
    column: str
    code: Code
    rule: str
    detail: str


class Outcome(NamedTuple):
    """What expressions made of the rows of a frame."""

    columns: dict[str, list[str | None]]
    """JSON text a row."""
    dropped: list[int]
    """Rows that the filter left out."""
    complaints: list[Complaint]
    """By row."""


class Computing:
    """A job's expressions, compiled."""

    def __init__(self, given: Expressions) -> None:
        """Compile them; `check_rules` has found them fine."""
        self.columns = {name: compile_expression(source, ROW) for name, source in given.columns.items()}
        self._filter = None if given.filter is None else compile_expression(given.filter, ROW)
        self._checks = {name: compile_expression(source, ROW) for name, source in given.checks.items()}
        self.any = bool(self.columns or self._checks or self._filter)

    def run(self, frame: pl.DataFrame, fragments: frozenset[str]) -> Outcome:
        """Go through the rows of a frame. Never raises."""
        made = Outcome({name: [] for name in self.columns}, [], [])
        for at, (row, size) in enumerate(zip(_rows(frame, fragments), _sizes(frame), strict=True)):
            self._row(at, row, size, made)
        return made

    def _row(self, at: int, row: dict[str, Any], size: int, made: Outcome) -> None:
        found: list[Complaint] = []
        for name, expression in self.columns.items():
            rule = f"expression.columns.{name}: {expression.source}"
            row[name] = value = self._value(expression, row, size, Complaint(at, name, codes.EXPRESSION_FAILED, rule, ""), found)
            made.columns[name].append(None if value is None else orjson.dumps(value).decode())
        if self._filter is not None and not found:
            failed = Complaint(at, "", codes.EXPRESSION_FAILED, f"expression.filter: {self._filter.source}", "")
            if self._value(self._filter, row, size, failed, found) is not True and not found:
                made.dropped.append(at)
                return
        for name, expression in self._checks.items():
            rule, before = f"expression.checks.{name}: {expression.source}", len(found)
            value = self._value(expression, row, size, Complaint(at, "", codes.EXPRESSION_FAILED, rule, ""), found)
            if value is not True and len(found) == before:
                found.append(Complaint(at, "", codes.CHECK_FAILED, rule, ""))
        made.complaints.extend(found)

    @staticmethod
    def _value(expression: Expression, row: dict[str, Any], size: int, failed: Complaint, found: list[Complaint]) -> Any:
        """Return an expression's value; None where a field is missing, and where it has none: then `failed` is among the complaints."""
        try:
            return expression.evaluate(Scope({"row": row}, body_bytes=size))
        except MissingError:
            return None
        except FailedError as error:
            found.append(failed._replace(detail=str(error)))
            return None


def _rows(frame: pl.DataFrame, fragments: frozenset[str]) -> list[dict[str, Any]]:
    rows = frame.select([_as_json(name, dtype) for name, dtype in frame.schema.items()]).to_dicts()
    for name in fragments & set(frame.columns):
        for row in rows:
            row[name] = None if row[name] is None else _loads(row[name])
    return rows


def _loads(fragment: str) -> Any:
    try:
        return orjson.loads(fragment)
    except orjson.JSONDecodeError:  # half of a surrogate pair, which no expression can hold
        return None


def _as_json(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("" if dtype.time_zone is None else "Z"))
    if dtype.is_temporal() or isinstance(dtype, pl.Decimal | pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if dtype.is_float():
        return pl.when(column.is_finite()).then(column)
    return column


def _sizes(frame: pl.DataFrame) -> list[int]:
    """Estimate the bytes of each row as JSON."""
    texts = [pl.col(name).str.len_bytes().fill_null(0) for name, dtype in frame.schema.items() if dtype == pl.String]
    counted = frame.select(pl.sum_horizontal(texts).alias("bytes") + _CELL * frame.width).to_series().to_list() if texts else []
    return counted or [_CELL * frame.width] * frame.height
