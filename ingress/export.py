"""Dead letters, and whatever else has columns, as CSV and as NDJSON, for spreadsheets and for programs."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
COLUMNS: Final = (
    *("id", "event_id", "resource", "flow", "step", "class", "fingerprint", "code", "reasons", "topic", "partition", "offset", "attempt", "version"),
    *("buried_at", "bytes", "status", "order", "decided_at", "by", "note", "failure", "replayed_letter"),
)
FORMULA: Final = frozenset("=+-@\t\r\n\0|%＝＋－＠")  # noqa: RUF001  the wide forms, which spreadsheets take as well
SKIPPED: Final = " \t\r\n\v\f\u00a0\u3000\ufeff'\"`"
"""What a spreadsheet may pass over on its way to a formula."""
GUARD: Final = "'"


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: one that may be, behind whatever quotes and blanks, gets an apostrophe before it."""
    bare = cell.lstrip(SKIPPED)
    risky = cell[:1] in FORMULA or bare[:1] in FORMULA or cell[:1] == GUARD
    return GUARD + cell if cell and risky else cell


def unguarded(cell: str) -> str:
    """Return what `guarded` was given: one apostrophe at the beginning is taken off."""
    return cell.removeprefix(GUARD)


def csv_head(columns: Iterable[str] = COLUMNS) -> str:
    """Return the line that names the columns."""
    return _line(columns)


def csv_line(item: Mapping[str, Any], columns: Iterable[str] = COLUMNS) -> str:
    """Return one letter, or whatever else has these columns, as a line; lists are JSON inside their cell, and what is absent is empty."""
    return _line([guarded(_cell(item.get(name))) for name in columns])


def ndjson_line(item: Mapping[str, Any]) -> bytes:
    """Return one of them as a line of JSON."""
    return orjson.dumps(dict(item)) + b"\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return out.getvalue()
