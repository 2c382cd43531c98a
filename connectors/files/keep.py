"""Keeps rows of Parquet and of workbooks that are turned away: as JSON, with the types of their values (`flows.core.files.kept`)."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from math import isfinite
from typing import Any, Final

import orjson
import polars as pl

from flows.core.files.kept import BAD, FRAGMENT, Type, keep, runs

PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  of local times, and those of a zone are told apart by their type
DAY_S: Final = 86_400
FIRST_S: Final = -62_135_596_800
"""The beginning of the year 1."""
END_S: Final = 253_402_300_800
"""The end of the year 9999."""
ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d)?T?(\d\d:\d\d:\d\d)?(?:\.(\d+))?([+-]\d\d:\d\d|Z)?")
NAMES: Final[Mapping[pl.DataType, str]] = {
    pl.Int64(): "int64",
    pl.Float64(): "double",
    pl.String(): "string",
    pl.Boolean(): "bool",
    pl.Date(): "date32[day]",
    pl.Datetime("ms"): "timestamp[ms]",
    pl.Time(): "time64[ns]",
}
"""The types that a column of a sheet has, as Arrow calls them."""


class Keeper:
    """Keeps rows of one table. Nothing is done before one is asked for."""

    def __init__(self, frame: pl.DataFrame, fragments: frozenset[str], types: Callable[[], Sequence[Type]] | None = None) -> None:
        """Take the table, which of its columns are JSON, and what tells the types of its columns; None: they are those of a sheet."""
        self._frame, self._fragments, self._told = frame, fragments, types

    def raw(self, row: int, bad: Mapping[str, str] | None = None) -> bytes:
        """Return what is kept of a row; of cells that say nothing (`bad`) the text."""
        names, spoil = self._frame.columns, bad or {}
        values = zip(names, self._plain.row(row), self._spell, strict=True)
        told = {name: spoil[name] if name in spoil else None if value is None else spell(value) if spell else value for name, value, spell in values}
        types = runs([BAD if name in spoil else kind for name, kind in zip(names, self._types, strict=True)]) if spoil else self._runs
        return keep(orjson.dumps(told, default=plain), types)

    @cached_property
    def _plain(self) -> pl.DataFrame:
        """The table with times as numbers, of which Python's have not all."""
        return self._frame.with_columns(pl.col(name).to_physical() for name, dtype in self._frame.schema.items() if dtype.is_temporal())

    @cached_property
    def _spell(self) -> list[Callable[[Any], Any] | None]:
        return [orjson.Fragment if name in self._fragments else _speller(dtype) for name, dtype in self._frame.schema.items()]

    @cached_property
    def _types(self) -> Sequence[Type]:
        if self._told is not None:
            return self._told()
        return [FRAGMENT if name in self._fragments else NAMES.get(dtype, "string") for name, dtype in self._frame.schema.items()]

    @cached_property
    def _runs(self) -> bytes:
        return runs(self._types)


def _speller(dtype: pl.DataType) -> Callable[[Any], Any] | None:
    """Return what writes values of a type where JSON has no word for them."""
    match dtype:
        case pl.Float32() | pl.Float64():
            return lambda value: value if isfinite(value) else repr(value)
        case pl.Date():
            return lambda value: _moment(value * DAY_S, "s")[:10] if _within(value * DAY_S) else f"{value} d"
        case pl.Time():
            return lambda value: _moment(value, "ns")[11:]
        case pl.Datetime(time_unit=unit, time_zone=zone):
            return lambda value: _moment(value, unit) + ("+00:00" if zone and _within(value // PER_SECOND[unit]) else "")
        case pl.Duration(time_unit=unit):
            return lambda value: f"{value} {unit}"
        case _:
            return None


def _within(seconds: int) -> bool:
    """Tell whether a time is one of the years 1 to 9999."""
    return FIRST_S <= seconds < END_S


def _moment(value: int, unit: str) -> str:
    """Return a time since 1970 as ISO 8601 has it; where that has no word for it, the number with its unit."""
    seconds, rest = divmod(value, PER_SECOND[unit])
    if not _within(seconds):
        return f"{value} {unit}"
    digits = f"{rest * (PER_SECOND['ns'] // PER_SECOND[unit]):09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return (EPOCH + timedelta(seconds=seconds)).isoformat() + (f".{digits}" if digits else "")


def ticks(told: str | float, unit: str) -> int:
    """Read a time, a date or a duration as it was kept: so many of a unit, of dates since 1970. A number is seconds, in which nested durations are told."""
    if not isinstance(told, str):
        return round(Decimal(str(told)) * PER_SECOND[unit])
    number, _, own = told.partition(" ")
    nanoseconds = int(number) * _of(own) if own else _since(told)
    return nanoseconds // _of(unit)


def _of(unit: str) -> int:
    """Return how many nanoseconds there are to a unit."""
    return DAY_S * PER_SECOND["ns"] if unit == "d" else PER_SECOND["ns"] // PER_SECOND[unit]


def _since(told: str) -> int:
    """Return the nanoseconds since 1970, or since midnight, of a date, a time or both."""
    found = ISO.fullmatch(told)
    if found is None:
        raise ValueError(told)
    day, hour, digits, zone = found.groups(default="")
    since = datetime.fromisoformat(f"{day or '1970-01-01'}T{hour or '00:00:00'}{zone or '+00:00'}") - EPOCH.replace(tzinfo=UTC)
    return (since.days * DAY_S + since.seconds) * PER_SECOND["ns"] + int(digits.ljust(9, "0"))


def plain(value: Any) -> str | float:
    """Return what JSON has no word for: binary as base64, a decimal as its digits, a duration in seconds."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(type(value).__name__)
