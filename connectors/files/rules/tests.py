"""What is asked of a column's values: one expression a question, true where a row is to be turned away."""

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any, Final, NamedTuple

import orjson
import polars as pl

from connectors.files.rules.casts import Finer
from flows.core.imports import check, codes
from flows.core.imports.codes import Code
from flows.core.imports.literals import INT64
from flows.core.imports.rules import DIGITS, DataType, TransformationRules

_EXACT: Final = Context(prec=DIGITS * 4)


class Test(NamedTuple):
    """One question about one column."""

    column: str
    """After mapping."""
    code: Code
    rule: str
    """As it was written."""
    bad: pl.Expr
    """Null is no."""
    hard: bool = False
    """Whether the value is of a wrong type, so that no expression may see the row."""
    finer: Finer = ()
    """What the code is instead, where one of these holds; asked of bad rows only."""


def spelt(name: str, value: Any) -> str:
    """Write a rule as it was written."""
    return f"{name}: {orjson.dumps(value, default=str).decode()}"


def tests_of(rules: TransformationRules, column: str, value: pl.Expr, text: pl.Expr, fault: pl.Expr) -> Iterator[Test]:
    """Return the questions about a column's values.

    Args:
        rules: all there are.
        column: its name.
        value: its values, null where the type is wrong.
        text: its values as text, for the rules about texts; `value` where they are.
        fault: true where the type is wrong: then nothing else is asked.

    """
    if column in rules.required:
        yield Test(column, codes.MISSING, "required", value.is_null() & ~fault)
    if column in rules.regex:
        pattern = rules.regex[column]
        yield Test(column, codes.NO_MATCH, spelt("regex", pattern), ~text.str.contains(check.whole(pattern)))
    kind = rules.data_types.get(column)
    for name, code in (("min", codes.TOO_SMALL), ("max", codes.TOO_LARGE)):
        limit = getattr(rules, name).get(column)
        if limit is not None and kind is not None:
            yield Test(column, code, spelt(name, limit), _beyond(name, kind, check.bound(kind, limit), value))
    if (length := rules.length.get(column)) is not None:
        size = text.str.len_chars()
        if length.min is not None:
            yield Test(column, codes.TOO_SHORT, spelt("length", length.model_dump(exclude_none=True)), size < length.min)
        if length.max is not None:
            yield Test(column, codes.TOO_LONG, spelt("length", length.model_dump(exclude_none=True)), size > length.max)
    if (choices := rules.enum.get(column)) is not None:
        whole = kind is not None and kind.type == "int64"
        allowed = pl.Series(list(choices), dtype=pl.Int64 if whole else pl.String).implode()
        yield Test(column, codes.NOT_ONE_OF, spelt("enum", choices), ~(value if whole else text).is_in(pl.lit(allowed)))


def _beyond(name: str, kind: DataType, limit: Any, value: pl.Expr) -> pl.Expr:
    if kind.type == "int64":
        whole = math.ceil(limit) if name == "min" else math.floor(limit)
        if not INT64[0] <= whole <= INT64[1]:
            return value.is_not_null() & pl.lit((whole > INT64[1]) == (name == "min"))
        return _outside(name, value, pl.lit(whole))
    if kind.type == "decimal":
        return _decimal(name, kind, limit, value)
    return _outside(name, value, pl.lit(limit))


def _decimal(name: str, kind: DataType, limit: Decimal, value: pl.Expr) -> pl.Expr:
    if kind.scale is None:  # texts of any scale: compared one by one

        def beyond(texts: pl.Series) -> pl.Series:
            found = [None if text is None else (Decimal(text) < limit if name == "min" else Decimal(text) > limit) for text in texts]
            return pl.Series(texts.name, found, dtype=pl.Boolean)

        return value.map_batches(beyond, return_dtype=pl.Boolean, is_elementwise=True)
    near = limit.quantize(Decimal(1).scaleb(-kind.scale), ROUND_CEILING if name == "min" else ROUND_FLOOR, _EXACT)
    if abs(near) >= Decimal(10) ** (DIGITS - kind.scale):  # no value of this scale reaches it
        return value.is_not_null() & pl.lit((near > 0) == (name == "min"))
    edge = pl.lit(near, dtype=pl.Decimal(DIGITS, kind.scale))
    return _outside(name, value, edge)


def _outside(name: str, value: pl.Expr, limit: pl.Expr) -> pl.Expr:
    return value.lt(limit) if name == "min" else value.gt(limit)
