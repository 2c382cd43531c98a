"""Rows of CSV text by Polars, where it gives exactly what `flows.core.files.csv_rows` gives; where that is in doubt, nothing.

What Polars does otherwise was found by comparing the two on random bytes: it fills rows that are too short, makes rows of empty
lines, takes a lone CR for text, drops a byte order mark wherever its bytes begin, knows no escapes, takes a doubled quote at
the very end of its bytes for one that closes, and drops single quotes inside quotes. So it is given sound rows only: those lines
that `csv_lines` found to be plain, and the others that are sound written anew.
"""

import codecs
from typing import NamedTuple

import polars as pl

from connectors.files.csv_lines import Layout, layout, outside
from flows.core.files.csv_dialect import Dialect
from flows.core.files.csv_rows import Row
from flows.core.files.units import width


class Damage(NamedTuple):
    """A row that is none, in the bytes it was found in."""

    row: int
    """How many rows are before it."""
    start: int
    end: int
    lines: int
    """How many lines end before it."""
    code: str
    fields: int
    """How many it has, where they are what is wrong with it."""


class Parsed(NamedTuple):
    """Rows of which some may be damaged."""

    frame: pl.DataFrame
    damages: list[Damage]


def sound(data: bytes, names: list[str], dialect: Dialect, *, fill: bool) -> Parsed | None:
    """Return whole rows of text, all of them sound; None: look closer. What there is to find may be found when all has been read."""
    text = ended(data, dialect.grammar.encoding)
    seen = outside(text, len(names), dialect, fill=fill)
    frame = None if seen is None else _frame(text, names, dialect)
    if seen is None or frame is None:
        return None
    whole = not frame.to_series(frame.width - 1).null_count()
    even = whole or seen.count(dialect.delimiter.encode()) == frame.height * (frame.width - 1)
    return Parsed(frame, []) if even else None


def parse(data: bytes, names: list[str], dialect: Dialect, *, fill: bool, ends: tuple[int, ...] = ()) -> Parsed | None:
    """Return whole rows of text, at each of `ends` one is to be over; None: the tokenizer has to read them."""
    encoding, size = dialect.grammar.encoding, width(dialect.grammar.encoding)
    text = ended(data, encoding)
    found = layout(text, len(names), dialect, fill=fill)
    if found is None or any(end % size or found.seen[end // size - 1 : end // size] != b"\n" for end in ends):
        return None
    damages = [Damage(odd.row, odd.start * size, min(odd.end * size, len(data)), odd.lines, odd.code, odd.fields) for odd in found.odd if odd.code]
    frame = _frame(_plain(text, found, dialect), names, dialect)
    return Parsed(frame, damages) if frame is not None and frame.height == found.rows - len(damages) else None


def ended(data: bytes, encoding: str) -> bytes:
    """Return text with a line end behind it."""
    line_end = "\n".encode(encoding)
    return data if not data or data.endswith(line_end) else data + line_end


def _plain(data: bytes, found: Layout, dialect: Dialect) -> bytes:
    """Return the sound rows as Polars reads them."""
    if not found.odd:
        return data
    size = width(dialect.grammar.encoding)
    kept: list[bytes] = []
    at = 0
    for odd in found.odd:
        kept.append(data[at : odd.start * size])
        at = odd.end * size
        if odd.sound:
            kept.append(_written(odd.sound, dialect))
    return b"".join([*kept, data[at:]])


def _written(row: Row, dialect: Dialect) -> bytes:
    """Return a sound row as Polars reads it."""
    quote = dialect.quote
    doubled = (
        f"{quote}{text.replace(quote, quote * 2)}{quote}" if quote and (text or quoted) else text for text, quoted in zip(row.fields, row.quoted, strict=True)
    )
    return f"{dialect.delimiter.join(doubled)}\n".encode(dialect.grammar.encoding)


def _frame(data: bytes, names: list[str], dialect: Dialect) -> pl.DataFrame | None:
    """Return sound rows; None: Polars would have none of it."""
    schema = dict.fromkeys(names, pl.String)
    if not data:
        return pl.DataFrame(schema=schema)
    try:
        text = data if dialect.grammar.encoding == "utf-8" else data.decode(dialect.grammar.encoding).encode()
        if text.startswith(codecs.BOM_UTF8):
            return None
        read = pl.read_csv(
            text,
            has_header=False,
            schema=schema,
            separator=dialect.delimiter,
            quote_char=dialect.quote or None,
            infer_schema=False,
            raise_if_empty=False,
        )
    except (UnicodeError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    return read.rechunk()  # each thread made a part of its own, and whatever is asked of a frame in parts takes half as long again
