"""Makes typed columns of a sheet's cells: as a whole where all are alike, value by value where they are not."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import Any, Final, NamedTuple

import orjson
import polars as pl

from connectors.files.xlsx_book import Book, Kind
from connectors.files.xlsx_cells import Column
from connectors.files.xlsx_strings import Strings, as_it_stands, text_of, texts_of

_ATTRIBUTE: Final = re.compile(rb"\b([st])\s*=\s*[\"']([^\"']*)[\"']")
_DAY_MS: Final = 86_400_000
_LAST_DAY: Final = 2_958_465
"""31 December 9999."""
_LEAP: Final = 60
"""29 February 1900, which a workbook of the older calendar has and the year had not."""
_NUMBERS: Final = frozenset(Kind)
_TEXTS: Final = frozenset({"str", "inlineStr", "e", "d"})


class Typed(NamedTuple):
    """A column of values."""

    series: pl.Series
    fragments: bool
    """Its strings are JSON texts, each of a type of its own."""
    bad: dict[int, tuple[str, str]]
    """Cells that say nothing: by row the code and what stands there."""


class Typist:
    """Gives columns their types."""

    def __init__(self, book: Book, strings: Strings) -> None:
        """Take what cells refer to."""
        self._book = book
        self._strings = strings
        self._codes: dict[bytes, str] = {b"": Kind.NUMBER}

    def column(self, name: str, column: Column) -> Typed:
        """Return the values of a column."""
        kinds = set(column.attributes)
        if len(kinds) > 1:
            kinds = {attributes for attributes, value in zip(column.attributes, column.values, strict=True) if value} or {b""}
        codes = {self._code(attributes) for attributes in kinds}
        if len(codes) == 1:
            alike = self._alike(codes.pop(), column.values)
            if alike is not None:
                return Typed(alike.rename(name), fragments=False, bad={})
        return self._one_by_one(name, column)

    def text(self, attributes: bytes, value: bytes) -> str:
        """Return a cell as the name of a column; as it stands where it says nothing."""
        try:
            found = self._value(self._code(attributes), value)
        except (ValueError, IndexError, OverflowError):
            return text_of(value)
        return found if isinstance(found, str) else "" if found is None else orjson.dumps(found).decode().strip('"')

    def _code(self, attributes: bytes) -> str:
        known = self._codes.get(attributes)
        if known is None:
            said = dict(_ATTRIBUTE.findall(attributes))
            known = said.get(b"t", b"n").decode("ascii", "replace")
            if known == "n":
                style = int(said.get(b"s", b"0")) if said.get(b"s", b"0").isdigit() else 0
                known = self._book.kinds[style] if style < len(self._book.kinds) else Kind.NUMBER
            if len(self._codes) < len(self._book.kinds) * 8 + 64:
                self._codes[attributes] = known
        return known

    def _alike(self, code: str, values: Sequence[bytes]) -> pl.Series | None:
        """Return values that are all of one kind; None if one of them is none of that kind."""
        if code == "s":
            texts = texts_of(values)
            numbers = texts.cast(pl.UInt32, strict=False)
            try:
                return self._strings.take(numbers) if numbers.null_count() == (texts == "").sum() else None
            except IndexError:
                return None
        if code in _TEXTS:
            plain = as_it_stands(b"\0".join(values))
            return _nothing_is_null(texts_of(values) if plain else pl.Series(list(map(text_of, values)), dtype=pl.String))
        if code == "b":
            return _flags(values)
        return None if code not in _NUMBERS else self._numbers(code, texts_of(values))

    def _numbers(self, code: str, texts: pl.Series) -> pl.Series | None:
        empty = int((texts == "").sum())
        if code == Kind.NUMBER:
            numbers = texts.cast(pl.Int64, strict=False)
            if numbers.null_count() == empty:
                return numbers
        floats = texts.cast(pl.Float64, strict=False)
        if floats.null_count() != empty or not _finite(floats):
            return None
        return floats if code == Kind.NUMBER else self._moments(code, floats)

    def _moments(self, code: str, floats: pl.Series) -> pl.Series | None:
        least = 0 if code == Kind.TIME else 1
        if not floats.drop_nulls().is_between(least, 1 - 1e-9 if code == Kind.TIME else _LAST_DAY + 1).all():
            return None
        if code == Kind.TIME:
            return ((floats * _DAY_MS).round().cast(pl.Int64) * 1_000_000).cast(pl.Time)
        if self._book.epoch.year < 1900:  # noqa: PLR2004  the older calendar
            floats = pl.select(pl.when(floats < _LEAP).then(floats + 1).otherwise(floats)).to_series()
        first = (self._book.epoch - date(1970, 1, 1)).days
        ms = (floats * _DAY_MS).round().cast(pl.Int64) + first * _DAY_MS
        if code == Kind.DATE and (ms % _DAY_MS == 0).all():
            return ms.cast(pl.Datetime("ms")).cast(pl.Date)
        return ms.cast(pl.Datetime("ms"))

    def _one_by_one(self, name: str, column: Column) -> Typed:
        texts: list[str | None] = []
        bad: dict[int, tuple[str, str]] = {}
        for row, (attributes, raw) in enumerate(zip(column.attributes, column.values, strict=True)):
            code = self._code(attributes)
            try:
                value = self._value(code, raw)
                texts.append(None if value is None else orjson.dumps(value).decode())
            except (ValueError, IndexError, OverflowError):
                texts.append(None)
                bad[row] = ("bad_cell", text_of(raw))
        return Typed(pl.Series(name, texts, dtype=pl.String), fragments=True, bad=bad)

    def _value(self, code: str, raw: bytes) -> Any:
        if code in _TEXTS:
            return text_of(raw) or None
        if not raw:
            return None
        if code == "s":
            return self._strings.one(int(raw))
        if code == "b":
            return {b"1": True, b"0": False, b"true": True, b"false": False}.get(raw, text_of(raw))
        if code == Kind.NUMBER:
            return number(raw)
        if code in {Kind.DATE, Kind.TIME, Kind.MOMENT}:
            return self._moment(code, number(raw))
        raise ValueError(code)

    def _moment(self, code: str, serial: float) -> Any:
        if code == Kind.TIME and 0 <= serial < 1:
            return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(serial * _DAY_MS))).time()
        if not 1 <= serial <= _LAST_DAY + 1:
            return serial
        days = serial + 1 if serial < _LEAP and self._book.epoch.year < 1900 else serial  # noqa: PLR2004  the older calendar
        moment = datetime.combine(self._book.epoch, datetime.min.time()) + timedelta(milliseconds=round(days * _DAY_MS))
        return moment.date() if code == Kind.DATE and moment.time() == datetime.min.time() else moment


def _nothing_is_null(texts: pl.Series) -> pl.Series:
    # not `pl.when`: a query for each column of each table costs more than what it does
    return texts.zip_with(texts != "", pl.Series([None], dtype=pl.String))


def _flags(values: Sequence[bytes]) -> pl.Series | None:
    known = {b"1": True, b"0": False, b"true": True, b"false": False, b"": None}
    return pl.Series(list(map(known.__getitem__, values)), dtype=pl.Boolean) if known.keys() >= set(values) else None


def _finite(floats: pl.Series) -> bool:
    # a sum that is finite is one of finite numbers; one that is not may be too large
    return isfinite(floats.sum() or 0) or bool(floats.drop_nulls().is_finite().all())


def number(raw: bytes) -> int | float:
    """Return a number as a cell holds it. Raises ValueError."""
    if re.fullmatch(rb"-?\d{1,18}", raw):
        return int(raw)
    made = float(raw)
    if made != made or made in {float("inf"), float("-inf")}:  # noqa: PLR0124  only NaN differs from itself
        raise ValueError(raw[:20])
    return made
