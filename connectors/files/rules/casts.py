"""Casts: from a text to a column's type, null for what is no value of it; and why it is none, asked of such texts only.

A text is what a person wrote, by the column's words and signs; a plain text is how JSON, Parquet or Excel's own numbers and truths are written.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson
import polars as pl

from connectors.files.rules import times
from connectors.files.rules.ways import Way
from flows.core.imports import codes, literals
from flows.core.imports.codes import Code
from flows.core.imports.rules import DIGITS, DataType

INTEGER: Final = r"\A[+-]?[0-9]+\z"
FLOAT: Final = r"\A[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z"
DECIMAL: Final = r"\A[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\z"
_CANONICAL: Final = r"\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?\z"
FAULTS: Final = {
    "int64": codes.NOT_INT64,
    "float64": codes.NOT_FLOAT64,
    "decimal": codes.NOT_DECIMAL,
    "string": codes.NOT_TEXT,
    "bool": codes.NOT_BOOL,
    "date": codes.NOT_DATE,
    "datetime": codes.NOT_DATETIME,
    "json": codes.NOT_JSON,
}
Finer = tuple[tuple[Code, pl.Expr], ...]


def dtype_of(kind: DataType) -> pl.DataType:
    """Return what a type is in Polars. A decimal without scale is its text."""
    if kind.type == "decimal" and kind.scale is not None:
        return pl.Decimal(DIGITS, kind.scale)
    plain = {"int64": pl.Int64(), "float64": pl.Float64(), "bool": pl.Boolean(), "date": pl.Date(), "datetime": times.INSTANT}
    return plain.get(kind.type, pl.String())


def cast(way: Way, kind: DataType, text: pl.Expr) -> pl.Expr:
    """Return the values of texts, or of plain texts when `way` has no words and signs of its own."""
    if kind.type == "string":
        return text
    readers: dict[str, Callable[[pl.Series], pl.Series]] = {
        "bool": partial(truths, way=way),
        "date": partial(times.dates, kind=kind),
        "datetime": partial(times.instants, kind=kind),
        "json": json,
    }
    if kind.type in readers:
        return text.map_batches(readers[kind.type], return_dtype=dtype_of(kind), is_elementwise=True)
    return _cast_number(way, kind, text)


def _cast_number(way: Way, kind: DataType, text: pl.Expr) -> pl.Expr:
    number = _number(way, text)
    if kind.type == "int64":
        return number.cast(pl.Int64, strict=False)
    if kind.type == "float64":
        found = number.cast(pl.Float64, strict=False)
        return pl.when(found.is_finite()).then(found)
    if kind.scale is None:
        return number.map_batches(decimals, return_dtype=pl.String, is_elementwise=True)
    return pl.when(number.str.contains(_scaled(kind.scale))).then(number).otherwise(None).cast(pl.Decimal(DIGITS, kind.scale), strict=False)


def cast_plain(way: Way, kind: DataType, plain: pl.Expr) -> pl.Expr:
    """Return the values of plain texts."""
    if kind.type == "json":
        return plain
    if kind.type == "string":
        return pl.when(~plain.str.contains(r"\A[\[{]")).then(plain)
    if kind.type == "int64":
        return plain.str.replace(r"\.0+\z", "").cast(pl.Int64, strict=False)
    return cast(way.bare(), kind, plain)


def fixed(kind: DataType, value: Any) -> pl.Expr:
    """Return a value that a rule names, as one of a type."""
    found = literals.literal(kind, value)
    return pl.lit(format(found, "f") if kind.type == "decimal" and kind.scale is None else found).cast(dtype_of(kind))


def why(way: Way, kind: DataType, text: pl.Expr) -> Finer:
    """Return what else may be wrong with a text than that it is none of its type: the first that holds."""
    if kind.type == "datetime":
        return _why_time(kind, text)
    number = _number(way, text)
    if kind.type == "int64":
        return ((codes.OUT_OF_RANGE, number.str.contains(INTEGER)),)
    if kind.type == "float64":
        return ((codes.OUT_OF_RANGE, number.str.contains(FLOAT)),)
    if kind.type != "decimal":
        return ()
    too_long = (codes.OUT_OF_RANGE, number.str.contains(DECIMAL))
    if kind.scale is None:
        return (too_long,)
    return ((codes.TOO_PRECISE, number.str.contains(DECIMAL) & ~number.str.contains(_scaled(kind.scale))), too_long)


def _why_time(kind: DataType, text: pl.Expr) -> Finer:
    if kind.timezone in {None, "UTC"}:  # its clocks are never put forward or back
        return ()
    shown = text.map_batches(partial(times.clock, kind=kind), return_dtype=pl.Datetime("us"), is_elementwise=True)
    earliest = kind.model_copy(update={"ambiguous_time": "earliest"})
    once = text.map_batches(partial(times.instants, kind=earliest), return_dtype=times.INSTANT, is_elementwise=True)
    return ((codes.AMBIGUOUS_TIME, shown.is_not_null() & once.is_not_null()), (codes.NONEXISTENT_TIME, shown.is_between(*times.CLOCKS)))


def _scaled(scale: int) -> str:
    """Return the pattern of decimals with so many digits behind the point; zeros after them say nothing."""
    some = rf"|\.[0-9]{{1,{scale}}}0*" if scale else r"|\.0+"
    return rf"\A[+-]?(?:[0-9]+(?:\.[0-9]{{0,{scale}}}0*)?{some})\z"


def _number(way: Way, text: pl.Expr) -> pl.Expr:
    """Write numbers with a point and without separators; null for what has these signs elsewhere."""
    if not way.comma and way.separator is None:
        return text
    point = re.escape("," if way.comma else ".")
    whole = "[0-9]+" if way.separator is None else rf"(?:[0-9]+|[0-9]{{1,3}}(?:{re.escape(way.separator)}[0-9]{{3}})+)"
    fits = text.str.contains(rf"\A[+-]?(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?\z")
    bare = text if way.separator is None else text.str.replace_all(way.separator, "", literal=True)
    return pl.when(fits).then(bare.str.replace(",", ".", literal=True) if way.comma else bare)


def truths(texts: pl.Series, way: Way) -> pl.Series:
    """Return true and false for words of theirs, in whatever case; null for others."""
    is_yes, is_no = (pl.col("text").is_in(words) for words in (way.yes, way.no))
    frame = texts.to_frame("text").select(is_yes.alias("yes"), (is_yes | is_no).alias("known"))
    if frame["known"].all():  # most files write them small
        return frame["yes"].alias(texts.name)
    small = texts.str.to_lowercase()
    yes = small.is_in(way.yes)
    return yes.set(~(yes | small.is_in(way.no)), None)


def decimals(texts: pl.Series) -> pl.Series:
    """Return decimal numbers as they are written, without what says nothing: a plus, leading zeros, a point at the end. Null for others."""
    fits = texts.str.contains(DECIMAL)
    odd = (fits & ~(texts.str.contains(_CANONICAL) & (texts.str.len_bytes() <= DIGITS))).arg_true()
    found = texts.set(~fits, None)
    if not odd.len():
        return found
    return found.scatter(odd, pl.Series([_decimal(text) for text in texts.gather(odd)], dtype=pl.String))


def _decimal(text: str) -> str | None:
    before, _, behind = text.lstrip("+-").partition(".")
    before = before.lstrip("0") or "0"
    if len(before.removeprefix("0") if before == "0" else before) + len(behind) > DIGITS:
        return None
    return ("-" if text[0] == "-" else "") + before + ("." + behind if behind else "")


def json(texts: pl.Series) -> pl.Series:
    """Return JSON texts on one line; null for what is none."""
    return pl.Series(texts.name, [None if text is None else _json(text) for text in texts], dtype=pl.String)


def _json(text: str) -> str | None:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    # Inside of JSON's texts there are no line ends, so these stand between values.
    return text.replace("\n", " ").replace("\r", " ")
