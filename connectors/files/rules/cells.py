"""A column of a table before its cast: the texts that people wrote, and the plain texts of what had a type in the file."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
import polars as pl

from connectors.files.rules import times
from connectors.files.rules.ways import Way
from flows.core.imports.rules import DataType

_TEXTS: Final = (pl.String, pl.Categorical, pl.Enum)


class Cells(NamedTuple):
    """The values of one column, in up to three ways; a row has one of them at most."""

    value: pl.Expr
    """What goes out where no type is wanted."""
    given: pl.Expr
    """Whether there is a value."""
    text: pl.Expr | None
    """What a person wrote, after trim, null values and case."""
    plain: pl.Expr | None = None
    """What had another type than text in the file, as text."""
    direct: pl.Expr | None = None
    """Values that are of the type already."""
    fragment: bool = False
    """Whether `value` is JSON text."""


def cells_of(way: Way, source: pl.Expr, dtype: pl.DataType, *, fragment: bool) -> Cells:
    """Return the values of a column of a table."""
    if fragment:
        return _fragments(way, source)
    if isinstance(dtype, _TEXTS):
        text = written(way, source if dtype == pl.String else source.cast(pl.String))
        return Cells(text, text.is_not_null(), text)
    if dtype == pl.Null:
        text = source.cast(pl.String)
        return Cells(source, pl.lit(False), text)
    if way.kind is None:
        return Cells(source, source.is_not_null(), pl.lit(None, pl.String))
    direct = _direct(way.kind, source, dtype)
    return Cells(source, source.is_not_null(), None, None if direct is not None else _plain(way.kind, source, dtype), direct)


def written(way: Way, text: pl.Expr) -> pl.Expr:
    """Trim texts, take out those that stand for no value, and turn their case."""
    if way.trim:
        text = text.str.strip_chars()
    if way.nulls:
        text = pl.when(text != way.nulls[0] if len(way.nulls) == 1 else ~text.is_in(way.nulls)).then(text)
    if way.case is not None:
        text = text.str.to_lowercase() if way.case == "lower" else text.str.to_uppercase()
    return text


def _fragments(way: Way, source: pl.Expr) -> Cells:
    raw = source.map_batches(unquoted, return_dtype=pl.String, is_elementwise=True)
    text = written(way, raw)
    lost = raw.is_not_null() & text.is_null()  # a text that stands for no value
    given = source.is_not_null() & (source != "null") & ~lost
    value = source
    if way.rewrites:
        value = pl.when(text.is_not_null()).then(text.map_batches(quoted, return_dtype=pl.String, is_elementwise=True)).when(~lost).then(source)
    plain = pl.when(~source.str.starts_with('"') & (source != "null")).then(source)
    return Cells(value, given, text, plain, fragment=True)


def unquoted(fragments: pl.Series) -> pl.Series:
    """Return the texts that JSON texts stand for; null for other values."""
    found = fragments.set(~fragments.str.starts_with('"'), None).str.strip_prefix('"').str.strip_suffix('"')
    escaped = found.str.contains("\\", literal=True).arg_true()
    if not escaped.len():
        return found
    return found.scatter(escaped, pl.Series([_load(text) for text in fragments.gather(escaped)], dtype=pl.String))


def quoted(texts: pl.Series) -> pl.Series:
    """Return texts as JSON."""
    return pl.Series(texts.name, [None if text is None else orjson.dumps(text).decode() for text in texts], dtype=pl.String)


def _load(fragment: str) -> str | None:
    try:
        text: str = orjson.loads(fragment)
    except orjson.JSONDecodeError:  # half of a surrogate pair is no text
        return None
    return text


def _direct(kind: DataType, source: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """Return values that need no detour over text; None where they do."""
    if kind.type == "int64" and dtype.is_integer():
        return source.cast(pl.Int64, strict=False)
    if kind.type == "int64" and dtype.is_float():
        wide = source.cast(pl.Float64)
        return pl.when((wide == wide.floor()) & (wide >= -(2.0**63)) & (wide < 2.0**63)).then(wide).cast(pl.Int64, strict=False)
    if kind.type == "float64" and dtype.is_numeric():
        wide = source.cast(pl.Float64, strict=False)
        return pl.when(wide.is_finite()).then(wide)
    if kind.type == "bool" and dtype == pl.Boolean:
        return source
    if kind.type in {"date", "datetime"} and isinstance(dtype, pl.Date | pl.Datetime):
        return _moment(kind, source, dtype)
    return None


def _moment(kind: DataType, source: pl.Expr, dtype: pl.Date | pl.Datetime) -> pl.Expr:
    if kind.type == "date":
        day = source.cast(pl.Date)
        whole = day if isinstance(dtype, pl.Date) else pl.when(source.dt.time() == pl.time(0)).then(day)
        return pl.when(whole.is_between(pl.date(1, 1, 1), pl.date(9999, 12, 31))).then(whole)
    moments = source.cast(pl.Datetime("us", getattr(dtype, "time_zone", None)))
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        read: Callable[[pl.Series], pl.Series] = _utc
    else:
        read = partial(_local, kind=kind)
    return moments.map_batches(read, return_dtype=times.INSTANT, is_elementwise=True)


def _utc(found: pl.Series) -> pl.Series:
    return times.within(found.dt.convert_time_zone("UTC"))


def _local(found: pl.Series, kind: DataType) -> pl.Series:
    return times.within(times.localised(found, kind.timezone, times.ambiguous(kind)))


def _plain(kind: DataType, source: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Write typed values as text; null for kinds that no text is made of."""
    if isinstance(dtype, pl.List | pl.Array | pl.Struct):
        if kind.type != "json":
            return pl.lit(None, pl.String)
        return pl.when(source.is_not_null()).then(pl.struct(source.alias("v")).struct.json_encode().str.slice(5).str.strip_suffix("}"))
    if isinstance(dtype, pl.Datetime):
        zoned = source if dtype.time_zone is None else source.dt.convert_time_zone("UTC")
        text = zoned.dt.strftime("%Y-%m-%dT%H:%M:%S%.f" + ("" if dtype.time_zone is None else "Z"))
    else:
        text = source.cast(pl.String, strict=False)
    bare = dtype.is_numeric() or dtype == pl.Boolean
    return text.map_batches(quoted, return_dtype=pl.String, is_elementwise=True) if kind.type == "json" and not bare else text


def plain_json(value: Any) -> str:
    """Return a value that JSON has as JSON text."""
    return orjson.dumps(value).decode()
