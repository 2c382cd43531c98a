"""What a row of a CSV file is: slow, obvious, and the definition for whatever is faster.

A row ends at CR, LF or CRLF, or with the file. An empty line and a comment are no rows. A field that begins with a quote has to be closed by one that a
delimiter, a line end or the end of the file follows; inside it a doubled quote is a quote, and an escape takes its meaning from what follows it. Where it
is not closed so, the row is damaged: it ends with the line on which that quote was opened, and the next line is read as if nothing had been. A quote inside
a field that did not begin with one is data. Outside quotes an escape takes the meaning of a delimiter, quote or escape, never that of a line end: a path
that ends in a backslash would swallow the next row.

Whether a quote is closed is looked for as far as `Dialect.look_ahead`. Where nothing is found there, the line on which it was opened goes on, and the lines
behind that decide: if half of them have as many fields as the file's first rows, or they are too long to tell, they are rows, and the quote is not closed.
Else they belong to the field, and the same is asked before the last of them. So a row of several lines that is not closed is larger than a piece.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from typing import Final, NamedTuple

from flows.core.files.csv_dialect import Dialect, Grammar
from flows.core.files.units import bom, shadow, width

LINE_END: Final = re.compile(rb"\r\n?|\n")
_UNCLOSED: Final = -1
_MORE: Final = -2
_FAR: Final = -3


class Mode(StrEnum):
    """Where in a row one stands."""

    ROW = "row"
    """Before one."""
    FIELD = "field"
    """Before a field that is not the first."""
    INSIDE = "inside"
    """In a field without quotes, or behind one with."""
    OPENED = "opened"
    """In quotes, on the line on which they were opened."""
    LINES = "lines"
    """In quotes, before a line that may be a row."""
    REST = "rest"
    """In a line of which nothing matters but its end."""


class Field(NamedTuple):
    """Where a field's text stands."""

    start: int
    end: int
    quoted: bool


class Step(NamedTuple):
    """How far a row surely goes."""

    at: int
    """Behind its line end where `mode` is ROW."""
    mode: Mode
    code: str = ""
    """What is wrong with it; empty: nothing."""
    fields: tuple[Field, ...] = ()
    """Of a whole row that was read in one step and is not damaged."""
    row: bool = True
    """Not so: a comment or an empty line."""


class Row(NamedTuple):
    """One row of a file; damaged ones have a code and no fields."""

    start: int
    """Where in the file it begins."""
    end: int
    """Behind its line end."""
    line: int
    """From 1; lines inside quotes count."""
    fields: tuple[str, ...]
    quoted: tuple[bool, ...]
    """Of each field: an empty one in quotes is text, one without is no value."""
    code: str
    """`unterminated_quote`, `junk_after_quote`, `record_too_long`, `invalid_encoding`; empty: sound."""


def rows(data: bytes, dialect: Dialect, start: int = 0, line: int = 1) -> Iterator[Row]:
    """Yield each row, a header too, of a file, or of whole rows of one that begin at `start` and `line`; raise `BadRequest` for the dialect only."""
    grammar = dialect.grammar
    size = width(grammar.encoding)
    mark = bom(grammar.encoding)
    units, at = shadow(data, grammar.encoding), 0
    if start == 0 and mark and data.startswith(mark):
        at = len(mark) // size
    while at < len(units):
        step = read(units, at, Mode.ROW, grammar, final=True)
        if step.row:
            here, end = at * size, min(step.at * size, len(data))
            yield filled(data, Row(start + here, start + end, line, (), (), step.code), step.fields, dialect)
        line += len(LINE_END.findall(units, at, step.at))
        at = step.at


def read(units: bytes, at: int, mode: Mode, grammar: Grammar, *, final: bool) -> Step:
    """Go on from `at` as far as is sure; with `final` nothing comes behind the units. A row is over when the mode is ROW and it got on."""
    if mode is Mode.REST:
        return _rest(units, at, "", final=final)
    if mode is Mode.ROW:
        if grammar.comment and units.startswith(grammar.comment, at):
            return _rest(units, at, "", final=final)._replace(row=False)
        if grammar.comment and not final and grammar.comment.startswith(units[at : at + len(grammar.comment)]):
            return Step(at, mode, row=False)
        if units[at : at + 1] in (b"\r", b"\n"):
            return _over(units, at, final=final) or Step(at, mode, row=False)
        mode = Mode.FIELD
    return _fields(units, at, mode, grammar, final=final)


def one(data: bytes, dialect: Dialect, start: int = 0, line: int = 1) -> Iterator[Row]:
    """Yield the row that these bytes are, as whoever cut them knows; nothing for a comment."""
    for row in islice(rows(data, replace(dialect, look_ahead=len(data)), start, line), 1):
        yield row._replace(end=start + len(data))


def broken(units: bytes, opened: int, grammar: Grammar) -> Step | None:
    """Go over the rest of a row in which this quote opens a field, where nothing closes it; None: it is closed. Nothing comes behind the units."""
    return _quoted(units, opened, Mode.FIELD, grammar, final=True)[1]


def _fields(units: bytes, at: int, mode: Mode, grammar: Grammar, *, final: bool) -> Step:
    """Go on in a row."""
    fields: list[Field] = []
    while True:
        field, step = _field(units, at, mode, grammar, final=final)
        if step:
            return step
        fields.append(field)
        at = field.end + field.quoted
        if not units.startswith(grammar.delimiter, at):
            over = _over(units, at, final=final)
            return over._replace(fields=tuple(fields), row=True) if over else Step(at, Mode.INSIDE)
        at, mode = at + len(grammar.delimiter), Mode.FIELD


def _field(units: bytes, at: int, mode: Mode, grammar: Grammar, *, final: bool) -> tuple[Field, Step | None]:
    """Return the field that stands here, or how far one surely goes."""
    if mode in {Mode.OPENED, Mode.LINES} or (mode is Mode.FIELD and grammar.quote and units.startswith(grammar.quote, at)):
        return _quoted(units, at, mode, grammar, final=final)
    end, found = _plain(units, at, grammar, final=final)
    return Field(at, end, quoted=False), None if found else Step(end, Mode.INSIDE if end > at else mode)


def _quoted(units: bytes, at: int, mode: Mode, grammar: Grammar, *, final: bool) -> tuple[Field, Step | None]:
    """Return the field that opens here or is open, or how far its row surely goes."""
    start = begin = at + (mode is Mode.FIELD)
    while True:
        last = begin + grammar.look_ahead
        end, looked = _closing(units, begin, last, grammar, final=final)
        field = Field(start, end, quoted=True)
        if end >= 0:
            return field, None
        if end == _MORE:
            return field, Step(at, mode)
        if mode is Mode.LINES:
            begin = _lines(units, at, last, grammar) if end == _FAR else at
            if begin == at:
                return field, Step(at, Mode.ROW, "unterminated_quote")
        elif end == _UNCLOSED:
            return field, _rest(units, at, _blame(units, begin, last, grammar), final=final)
        else:
            mode, begin = _first_line(units, begin, last, looked)
        at = begin


def _closing(units: bytes, at: int, last: int, grammar: Grammar, *, final: bool) -> tuple[int, int]:
    """Return where the quote that closes the field stands, or that there is none, or none up to `last`, or none as yet; and how far was looked."""
    while (at := _paired(units, at, last, grammar)) < min(last + 1, len(units)):
        if not units.startswith(grammar.quote, at):
            at += 2
            continue
        behind = units[at + 1 : at + 1 + max(len(grammar.delimiter), 1)]
        if not behind:
            return (at if final else _MORE), at
        if behind.startswith(grammar.quote):
            at += 2
            continue
        if behind == grammar.delimiter or behind[:1] in (b"\r", b"\n"):
            return at, at
        return (_MORE if not final and grammar.delimiter.startswith(behind) else _UNCLOSED), at
    at = max(at, last + 1)
    return (_FAR if len(units) > last else _UNCLOSED if final else _MORE), at


def _paired(units: bytes, at: int, last: int, grammar: Grammar) -> int:
    """Return how far one gets up to `last` without a quote that may close: doubled ones, and what is escaped, are gone over."""
    found = grammar.paired.match(units, at, last + 1)
    return found.end() if found else at


def _first_line(units: bytes, at: int, last: int, looked: int) -> tuple[Mode, int]:
    """Return how far the line surely goes on which a quote was opened, where it was looked so far for its other half."""
    line_end = LINE_END.search(units, at, last + 2)
    if line_end and line_end.start() < last:
        return Mode.LINES, line_end.end()
    return Mode.OPENED, min(looked, line_end.start()) if line_end else looked


def _lines(units: bytes, at: int, last: int, grammar: Grammar) -> int:
    """Return the place behind the last line that ends up to `last`; `at`, where the lines are too long for that, or half of them are rows.

    A row that goes on so is larger than a piece, so that whoever reads it knows that it is one, though it ends without a quote.
    """
    found = max(units.rfind(b"\r", at, last), units.rfind(b"\n", at, last))
    line_end = LINE_END.match(units, found) if found >= 0 else None
    if line_end is None or line_end.end() - at < grammar.look_ahead // 2 or not grammar.widths:
        return at
    lines = [line.count(grammar.delimiter) + 1 in grammar.widths for line in LINE_END.split(units[at : line_end.end()]) if line]
    return at if 2 * sum(lines) >= len(lines) else line_end.end()


def _blame(units: bytes, at: int, last: int, grammar: Grammar) -> str:
    """Return the code of a quote that was not closed: junk, where something on its own line looks like its other half."""
    line_end = LINE_END.search(units, at)
    end = line_end.start() if line_end else len(units)
    while found := grammar.inside.search(units, at, min(end, last + 1)):
        at = found.start()
        if found[0] == grammar.quote and not units.startswith(grammar.quote, at + 1):
            return "junk_after_quote"
        at += 2
    return "unterminated_quote"


def _plain(units: bytes, at: int, grammar: Grammar, *, final: bool) -> tuple[int, bool]:
    """Return where a field without quotes ends and that it does, or how far it surely goes."""
    while True:
        found = grammar.outside.search(units, at)
        if found is None:
            return (len(units), True) if final else (max(at, len(units) - len(grammar.delimiter) + 1), False)
        if found[0] != grammar.escape:
            return found.start(), True
        at = found.start()
        if at + 1 == len(units) and not final:
            return at, False
        at += 1 if units[at + 1 : at + 2] in (b"\r", b"\n", b"") else 2


def _rest(units: bytes, at: int, code: str, *, final: bool) -> Step:
    """Go to the end of the line."""
    found = LINE_END.search(units, at)
    end = found.start() if found else len(units)
    over = _over(units, end, final=final)
    return over._replace(code=code, row=True) if over else Step(end, Mode.REST, code)


def _over(units: bytes, at: int, *, final: bool) -> Step | None:
    """Go over a line end; None: whether it is whole cannot be told yet."""
    if not final and (at == len(units) or units[at:] == b"\r"):
        return None
    found = LINE_END.match(units, at)
    return Step(found.end() if found else at, Mode.ROW, row=False)


def filled(data: bytes, row: Row, fields: tuple[Field, ...], dialect: Dialect) -> Row:
    """Return the row with the text of its fields, or with what is wrong with them."""
    if row.code:
        return row
    if row.end - row.start > dialect.longest_row:
        return row._replace(code="record_too_long")
    grammar = dialect.grammar
    size = width(grammar.encoding)
    try:
        texts = [(data[field.start * size : field.end * size].decode(grammar.encoding), field.quoted) for field in fields]
    except UnicodeDecodeError:
        return row._replace(code="invalid_encoding")
    return row._replace(fields=tuple(_meant(text, grammar, quoted=quoted) for text, quoted in texts), quoted=tuple(quoted for _, quoted in texts))


def _meant(text: str, grammar: Grammar, *, quoted: bool) -> str:
    """Return a field's text without what was written to protect it."""
    pattern = grammar.in_quotes if quoted else grammar.escaped
    return pattern.sub(lambda found: found[found.lastindex or 0], text)
