"""Rows of CSV text by Polars, where it gives exactly what `flows.core.files.csv_rows` gives; where that is in doubt, nothing.

What Polars does otherwise was found by comparing the two on random bytes: it fills rows that are too short, makes rows of empty
lines, takes a lone CR for text, drops a byte order mark wherever its bytes begin, knows no escapes, takes a doubled quote at
the very end of its bytes for one that closes, and drops single quotes inside quotes.
"""

import codecs
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import polars as pl

from flows.core.files.csv_rows import LINE_END, Dialect, Grammar, Mode, Row, read, rows
from flows.core.files.pieces import PIECE_BYTES
from flows.core.files.units import shadow, width


class Damage(NamedTuple):
    """A row that is none, in the bytes it was found in."""

    row: int
    """How many rows are before it."""
    start: int
    end: int
    lines: int
    """How many lines end before it."""
    code: str


class Odd(NamedTuple):
    """Some bytes that are not plainly a sound row: a row, or an empty line or a comment."""

    row: int
    """How many rows are before it."""
    start: int
    end: int
    lines: int
    """How many lines end before it."""
    is_row: bool


class Mended(NamedTuple):
    """Rows of which some are damaged."""

    frame: pl.DataFrame
    damages: list[Damage]


def able(dialect: Dialect) -> bool:
    """Tell whether Polars knows the signs of a dialect; escapes only where rows that have one are written anew."""
    grammar = dialect.grammar
    known = len(grammar.delimiter) == 1 and (grammar.delimiter + grammar.quote).isascii() and grammar.delimiter != b"\0"
    return known and (not grammar.escape or bool(grammar.quote)) and dialect.quote not in dialect.comment[:-1]


def utf8(data: bytes, encoding: str) -> bytes | None:
    """Return text as UTF-8; None: some of it is not valid."""
    if encoding == "utf-8":
        return data
    try:
        return data.decode(encoding).encode()
    except UnicodeError:
        return None


def parse(data: bytes, names: list[str], dialect: Dialect, *, fill: bool) -> pl.DataFrame | None:
    """Return the rows of whole rows of UTF-8, all of them sound; None: look closer."""
    if not data:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    data = data if data.endswith(b"\n") else data + b"\n"
    outside = None if _strange(data, dialect) else outside_quotes(data, dialect.delimiter.encode(), dialect.quote.encode())
    if outside is None or _lines_strange(outside, dialect, empty=fill or len(names) == 1):
        return None
    try:
        frame = pl.read_csv(
            data,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            separator=dialect.delimiter,
            quote_char=dialect.quote or None,
            infer_schema=False,
            raise_if_empty=False,
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    whole = fill or not frame.to_series(frame.width - 1).null_count()
    even = whole or sum(part.count(dialect.delimiter.encode()) for part in outside) == frame.height * (frame.width - 1)
    return frame if even and _short(frame, dialect) else None


def _strange(data: bytes, dialect: Dialect) -> bool:
    """Tell whether there is a byte that Polars and the tokenizer do not see alike."""
    return b"\0" in data or data.startswith(codecs.BOM_UTF8) or bool(dialect.escape and dialect.escape.encode() in data)


def _lines_strange(outside: list[bytes], dialect: Dialect, *, empty: bool) -> bool:
    """Tell whether a line is a comment or ends in a lone CR; and with `empty`, whether one is empty: else that shows in the number of fields."""
    comment = b"\n" + dialect.comment.encode() if dialect.comment else b""
    for part in outside:
        if b"\r" in part and part.count(b"\r") != part.count(b"\r\n"):
            return True
        if comment and comment in part:
            return True
        if empty and (b"\n\n" in part or b"\n\r" in part):
            return True
    return False


def outside_quotes(data: bytes, delimiter: bytes, quote: bytes) -> list[bytes] | None:
    """Return what is outside quotes, behind a line end; None: a quote does not open a field, close one or stand doubled inside. The last line has an end."""
    if not quote or quote not in data:
        return [b"\n" + data]
    parts = data.split(quote)
    if len(parts) % 2 == 0 or len(delimiter) > 1:
        return None
    parts[0] = b"\n" + parts[0]
    outside = list(filter(None, parts[::2]))
    begin, end = {part[0] for part in outside[1:]}, {part[-1] for part in outside[:-1]}
    return outside if begin <= {delimiter[0], 10, 13} and end <= {delimiter[-1], 10} else None


def _short(frame: pl.DataFrame, dialect: Dialect) -> bool:
    """Tell whether all fields and rows are surely short enough: a byte of UTF-8 was two at most, and doubled in quotes."""
    if min(dialect.longest_field, dialect.longest_row) >= PIECE_BYTES:
        return True
    row = frame.select(pl.sum_horizontal(pl.all().str.len_bytes().fill_null(0)).max()).item() or 0
    return bool(2 * row < dialect.longest_field and 4 * row + 6 * (frame.width + 1) < dialect.longest_row)


def mend(data: bytes, names: list[str], dialect: Dialect, *, fill: bool) -> Mended | None:
    """Return the rows of bytes in the dialect's encoding, the sound and the damaged: the tokenizer reads only lines that look odd. None: it has to read all."""
    encoding = dialect.grammar.encoding
    size = width(encoding)
    if len(data) % size:
        return None
    damages: list[Damage] = []
    kept: list[bytes] = []
    total = at = 0
    for odd in odd_places(data, len(names), dialect):
        kept.append(data[at : odd.start])
        total, at = odd.row, odd.end
        if not odd.is_row:
            continue
        found = next(rows(data[odd.start : odd.end], dialect, 1))
        if code := fault(found, len(names), fill=fill):
            damages.append(Damage(odd.row, odd.start, min(odd.end, len(data)), odd.lines, code))
        else:
            kept.append(_written(found, dialect))
    text = utf8(b"".join(kept), encoding)
    frame = None if text is None else parse(text, names, replace(dialect, escape="", comment=""), fill=fill)
    return Mended(frame, damages) if frame is not None and frame.height == total - len(damages) else None


def odd_places(data: bytes, columns: int, dialect: Dialect) -> Iterator[Odd]:
    """Yield whatever is not plainly a sound row, and at last an empty place behind everything, with the number of rows."""
    grammar = dialect.grammar
    comment, size = grammar.comment, width(grammar.encoding)
    most = min(dialect.longest_row // size - 4, dialect.longest_field)
    units = shadow(data, grammar.encoding)
    row = at = over = lines = 0
    for text in units.split(b"\n"):
        start, at = at, at + len(text) + 1
        if start >= len(units):
            break
        line = text.removesuffix(b"\r")
        if start >= over and line and len(line) < most and not (comment and line.startswith(comment)):
            plain = b"\r" not in line and b"\0" not in line and _plainly(line, columns, grammar)
            if plain and (line.isascii() or _valid(data[start * size : at * size], grammar.encoding)):
                row, lines, over = row + 1, lines + 1, at
                continue
        start = max(start, over)
        while start < min(at, len(units)):
            step = read(units, start, Mode.ROW, grammar, final=True)
            yield Odd(row, start * size, step.at * size, lines, step.row)
            row, lines = row + step.row, lines + len(LINE_END.findall(units, start, step.at))
            start = over = step.at
    yield Odd(row, len(data), len(data), lines, is_row=False)


def _written(row: Row, dialect: Dialect) -> bytes:
    """Return a sound row as Polars reads it."""
    quote = dialect.quote
    doubled = (
        f"{quote}{text.replace(quote, quote * 2)}{quote}" if quote and (text or quoted) else text for text, quoted in zip(row.fields, row.quoted, strict=True)
    )
    return f"{dialect.delimiter.join(doubled)}\n".encode(dialect.grammar.encoding)


def _plainly(line: bytes, columns: int, grammar: Grammar) -> bool:
    """Tell whether a line is surely a row of so many fields."""
    quote = grammar.quote
    if grammar.escape and grammar.escape in line:
        return False
    if not quote or quote not in line:
        return line.count(grammar.delimiter) == columns - 1
    outside = outside_quotes(line + b"\n", grammar.delimiter, quote)
    return outside is not None and sum(part.count(grammar.delimiter) for part in outside) == columns - 1


def _valid(data: bytes, encoding: str) -> bool:
    """Tell whether a line's bytes are text."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def fault(row: Row, columns: int, *, fill: bool) -> str:
    """Return what is wrong with a row; empty: nothing."""
    if row.code:
        return row.code
    if any("\0" in text for text in row.fields):
        return "nul_byte"
    if len(row.fields) > columns:
        return "too_many_columns"
    return "too_few_columns" if len(row.fields) < columns and not fill else ""
