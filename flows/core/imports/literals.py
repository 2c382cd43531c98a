"""Values that rules name (defaults, constants, bounds), as values of a column's type."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from flows.core.imports.rules import DIGITS, DataType

INT64: Final = (-(2**63), 2**63 - 1)
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def literal(kind: DataType, value: Any) -> Any:
    """Return a value that a rule names as one of a type: int, float, Decimal, str, bool, date, datetime (UTC), or JSON text.

    Raises:
        ValueError: it is none of this type; the text says what is.

    """
    return _READERS[kind.type](kind, value)


def text(kind: DataType | None, value: Any) -> Any:
    """Return a default as one of a column's type; without a type it has to be a text.

    Raises:
        ValueError: it is none.

    """
    if kind is not None:
        return literal(kind, value)
    if not isinstance(value, str):
        raise ValueError("give text, or the column's type in data_types")  # noqa: TRY004  the caller answers with a field error
    return value


def _int64(_: DataType, value: Any) -> int:
    if type(value) is not int or not INT64[0] <= value <= INT64[1]:
        raise ValueError("give a whole number of 64 bits")
    return value


def _float64(_: DataType, value: Any) -> float:
    if type(value) not in (int, float) or abs(value) > 1.7976931348623157e308:  # noqa: PLR2004  the largest there is
        raise ValueError("give a number")
    return float(value)


def decimal_text(value: Any) -> str | None:
    """Return a number or a text as digits with a sign and a point; None where it is no decimal number."""
    written = format(Decimal(repr(value)), "f") if type(value) in (int, float) else value
    return written if isinstance(written, str) and _DECIMAL.fullmatch(written) else None


def _decimal(kind: DataType, value: Any) -> Decimal:
    written = decimal_text(value)
    if written is None or sum(map(str.isdigit, written)) > DIGITS:
        raise ValueError(f'give a number, or one as text ("12.50"), of {DIGITS} digits at most')
    behind = len(written.partition(".")[2].rstrip("0"))
    if kind.scale is not None:
        before = len(written.lstrip("-").partition(".")[0].lstrip("0"))
        if behind > kind.scale or before > DIGITS - kind.scale:
            raise ValueError(f"has more digits than a decimal of scale {kind.scale} takes")
    return Decimal(written)


def _string(_: DataType, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("give text")  # noqa: TRY004  the caller answers with a field error
    return value


def _bool(_: DataType, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("give true or false")  # noqa: TRY004  the caller answers with a field error
    return value


def _date(_: DataType, value: Any) -> date:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("give a date as YYYY-MM-DD")
    return date.fromisoformat(value)


def _datetime(_: DataType, value: Any) -> datetime:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("give a time as YYYY-MM-DDTHH:MM:SSZ, or with an offset in place of the Z")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is beyond the years 1 to 9999") from error


def _json(_: DataType, value: Any) -> str:
    return orjson.dumps(value).decode()


_READERS: Final = {
    "int64": _int64,
    "float64": _float64,
    "decimal": _decimal,
    "string": _string,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "json": _json,
}
