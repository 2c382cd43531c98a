"""Dates and times out of texts: the first form that a text is of counts."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import polars as pl

from flows.core.imports import formats
from flows.core.imports.formats import Form
from flows.core.imports.rules import DataType

INSTANT: Final = pl.Datetime("us", "UTC")
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_FIRST_US, _LAST_US = ((edge - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for edge in (_FIRST, _LAST))
"""The same in microseconds since 1970."""
CLOCKS: Final = (datetime(1, 1, 2), datetime(9999, 12, 30, 23, 59, 59))  # noqa: DTZ001  what clocks show is in no zone
"""What clocks show at times that are within the years 1 to 9999 in whatever zone."""
_FEW: Final = 2000
"""So many texts are asked of all forms at once, and read with those only that fit some of them: each call into Polars takes as long as some thousand texts."""
Ambiguous = Literal["earliest", "latest", "null"]


def forms_of(kind: DataType) -> Sequence[Form]:
    """Return the forms of a date or datetime."""
    times = kind.type == "datetime"
    if not kind.formats:
        return formats.ISO_DATETIME if times else formats.ISO_DATE
    return tuple(formats.read(written, times=times) for written in kind.formats)


def ambiguous(kind: DataType) -> Ambiguous:
    """Return what a time is that came twice, in the words of Polars."""
    return "null" if kind.ambiguous_time == "reject" else kind.ambiguous_time


def dates(texts: pl.Series, kind: DataType) -> pl.Series:
    """Read dates; null for what is none."""
    return _first(texts, forms_of(kind), pl.Date, lambda part, form: _in_years(part.str.to_date(form.spelling, strict=False, cache=False), date.min, date.max))


def instants(texts: pl.Series, kind: DataType) -> pl.Series:
    """Read datetimes, as UTC; null for what is none, and for times that the zone's clocks leave in doubt."""
    twice = ambiguous(kind)

    def read(part: pl.Series, form: Form) -> pl.Series:
        found = _read(part, form)
        return within(found if found.dtype == INSTANT else localised(found, "UTC" if form.zoned else kind.timezone, twice))

    forms = forms_of(kind)
    if (sample := texts.drop_nulls().head(1)).len():
        if not kind.formats:  # what is of two of these means the same, so their order is free
            forms = sorted(forms, key=lambda form: not form.takes(sample[0]))
        found = _alike(texts, forms[0], "UTC" if forms[0].zoned else kind.timezone)
        if found is not None:
            return found
    return _first(texts, forms, INSTANT, read)


def _alike(texts: pl.Series, form: Form, zone: str | None) -> pl.Series | None:
    """Read texts all of which are of one form, by one call into Polars; None where one is not, or where clocks may have been put forward or back."""
    if zone not in {None, "UTC"}:
        return None
    text = pl.col("text")
    moments = text.str.to_datetime(form.spelling, strict=False, time_unit="us", cache=False).alias("moments")
    fits, read = texts.to_frame("text").select(text.str.contains(form.pattern).alias("fits"), moments).get_columns()
    if read.null_count() != texts.null_count() or not fits.all() or not read.to_physical().is_between(_FIRST_US, _LAST_US).all():
        return None
    found = read.alias(texts.name)
    return found if "%#z" in form.spelling else found.dt.replace_time_zone("UTC")


def clock(texts: pl.Series, kind: DataType) -> pl.Series:
    """Read datetimes that give no offset as their zone's clocks show them; null for others."""
    forms = [form for form in forms_of(kind) if not form.zoned]
    return _first(texts, forms, pl.Datetime("us"), _read)


def _read(texts: pl.Series, form: Form) -> pl.Series:
    return texts.str.to_datetime(form.spelling, strict=False, time_unit="us", cache=False)


def localised(found: pl.Series, zone: str | None, twice: Ambiguous) -> pl.Series:
    """Turn what clocks of a zone show into instants; null where they were put forward, and where `twice` says so of the hour that came twice."""
    if zone is None or zone == "UTC":
        return found.dt.replace_time_zone("UTC")
    return found.dt.replace_time_zone(zone, ambiguous=twice, non_existent="null").dt.convert_time_zone("UTC")


def within(found: pl.Series) -> pl.Series:
    """Take out what is beyond the years 1 to 9999."""
    return _in_years(found, _FIRST, _LAST)


def _in_years(found: pl.Series, first: date, last: date) -> pl.Series:
    fine = found.is_between(first, last)
    return found if fine.all() else found.set(~fine, None)


def _fitting(texts: pl.Series, forms: Sequence[Form]) -> list[bool]:
    """Tell of each form whether some text is of it."""
    asked = [pl.col("text").str.contains(form.pattern).any().alias(str(at)) for at, form in enumerate(forms)]
    return [bool(some) for some in texts.to_frame("text").select(asked).row(0)]


def _first(texts: pl.Series, forms: Sequence[Form], dtype: pl.DataType | type[pl.DataType], read: Callable[[pl.Series, Form], pl.Series]) -> pl.Series:
    """Read with one form after the other what those before it did not."""
    found = pl.Series(texts.name, [], dtype=dtype).extend_constant(None, texts.len())
    left = texts.is_not_null().arg_true() if texts.null_count() else pl.int_range(texts.len(), dtype=pl.UInt32, eager=True)
    wanted: list[bool] | None = None
    for at, form in enumerate(forms):
        if not left.len():
            break
        part = texts if left.len() == texts.len() else texts.gather(left)
        if wanted is None and at and left.len() <= _FEW:
            if set(forms) <= set(formats.ISO_DATETIME) and not part.str.contains(formats.ISO_HULL).any():
                break
            wanted = _fitting(part, forms)
        if wanted is not None and not wanted[at]:
            continue
        got = read(part, form).cast(dtype)
        fits = part.str.contains(form.pattern)
        got = got if fits.all() else got.set(~fits, None)
        found = got.alias(texts.name) if part is texts else found.scatter(left, got)
        left = left.filter(got.is_null())
    return found
