"""What a row of a CSV file is: slow, obvious, and the definition for whatever is faster.

A row ends at CR, LF or CRLF, or with the file. An empty line and a comment are no rows. A field that begins with a quote has to be closed by one that a
delimiter, a line end or the end of the file follows; inside it a doubled quote is a quote, and an escape takes its meaning from what follows it. Where it
is not closed so, or is longer than a limit, the row is damaged: it ends with the line on which that quote was opened, and the next line is read as if
nothing had been. A quote inside a field that did not begin with one is data. Outside quotes an escape takes the meaning of a delimiter, quote or escape,
never that of a line end: a path that ends in a backslash would swallow the next row.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final, NamedTuple

from flows.core.errors import BadRequest
from flows.core.files.units import bom, named, shadow, width

LINE_END: Final = re.compile(rb"\r\n?|\n")
_MIB: Final = 1024 * 1024
_UNCLOSED: Final = -1
_MORE: Final = -2


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    delimiter: str = ","
    quote: str = '"'
    """Empty: quotes are data."""
    escape: str = ""
    r"""Such as a backslash; doubled quotes are understood in any case."""
    comment: str = ""
    """What a line that is no row begins with; empty: there are none."""
    header: bool = True
    encoding: str = "utf-8"
    """`utf-8`, `utf-16-le`, `utf-16-be`, or a legacy one; a byte order mark is skipped."""
    longest_field: int = _MIB
    """In code units; a quoted field that is longer counts as not closed."""
    longest_row: int = 16 * _MIB
    """In bytes."""

    @cached_property
    def grammar(self) -> "Grammar":
        """The same in code units; raise `BadRequest` where it means nothing."""
        return Grammar(self)


class Grammar:
    """A dialect in code units."""

    def __init__(self, dialect: Dialect) -> None:
        """Raise `BadRequest` where the dialect means nothing."""
        escape = "" if dialect.escape == dialect.quote else dialect.escape
        signs = [sign for sign in (dialect.delimiter, dialect.quote, escape, dialect.comment) if sign]
        self.encoding = named(dialect.encoding, "".join(signs))
        if not dialect.delimiter or len(dialect.quote) > 1 or len(escape) > 1 or len(set(signs)) < len(signs):
            raise BadRequest("A CSV dialect has a delimiter, a quote and an escape of one character or none, and all of them differ.")
        if any(set(sign) & set("\r\n") for sign in signs) or set(dialect.delimiter) & {dialect.quote, escape}:
            raise BadRequest("The delimiter, quote, escape and comment of a CSV file hold no line end, and the delimiter no quote or escape.")
        code = "latin-1" if width(self.encoding) > 1 else self.encoding
        try:
            self.delimiter, self.quote, self.escape, self.comment = (sign.encode(code) for sign in (dialect.delimiter, dialect.quote, escape, dialect.comment))
        except UnicodeEncodeError as exc:
            raise BadRequest(f"The encoding {dialect.encoding} has no {exc.object!r}.") from exc
        if len(self.quote) > 1 or len(self.escape) > 1:
            raise BadRequest("A quote or escape of a CSV file in utf-8 is one of ASCII.")
        self.longest_field = dialect.longest_field
        self.inside = re.compile(b"|".join(re.escape(sign) for sign in (self.quote, self.escape) if sign) or b"(?!)")
        self.outside = re.compile(b"|".join([re.escape(self.delimiter), rb"[\r\n]", *([re.escape(self.escape)] if self.escape else [])]))
        self.escaped = re.compile(f"{re.escape(escape)}(.)" if escape else "(?!)", re.DOTALL)
        self.in_quotes = re.compile(f"{re.escape(escape)}(.)|{re.escape(dialect.quote)}(.)" if escape else f"{re.escape(dialect.quote)}(.)", re.DOTALL)


class Mode(StrEnum):
    """Where in a row one stands."""

    ROW = "row"
    """Before one."""
    FIELD = "field"
    """Before a field that is not the first."""
    INSIDE = "inside"
    """In a field without quotes, or behind one with."""
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


def broken(units: bytes, opened: int, grammar: Grammar) -> Step | None:
    """Go over the rest of a row in which this quote opens a field, where nothing closes it; None: it is closed. Nothing comes behind the units."""
    closed = _closing(units, opened, grammar, final=True) != _UNCLOSED
    return None if closed else _rest(units, opened, _blame(units, opened, grammar), final=True)


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
    if mode is Mode.FIELD and grammar.quote and units.startswith(grammar.quote, at):
        field = Field(at + 1, _closing(units, at, grammar, final=final), quoted=True)
        if field.end == _MORE:
            return field, Step(at, mode)
        return field, _rest(units, at, _blame(units, at, grammar), final=final) if field.end == _UNCLOSED else None
    end, found = _plain(units, at, grammar, final=final)
    return Field(at, end, quoted=False), None if found else Step(end, Mode.INSIDE if end > at else mode)


def _closing(units: bytes, opened: int, grammar: Grammar, *, final: bool) -> int:
    """Return where the quote that closes the field stands, or that there is none, or none as yet."""
    at, last = opened + 1, opened + 1 + grammar.longest_field
    while True:
        found = grammar.inside.search(units, at, last + 1)
        if found is None:
            return _MORE if len(units) <= last and not final else _UNCLOSED
        at = found.start()
        if found[0] != grammar.quote:
            at += 2
            continue
        behind = units[at + 1 : at + 1 + max(len(grammar.delimiter), 1)]
        if not behind:
            return at if final else _MORE
        if behind.startswith(grammar.quote):
            at += 2
            continue
        if behind == grammar.delimiter or behind[:1] in (b"\r", b"\n"):
            return at
        return _MORE if not final and grammar.delimiter.startswith(behind) else _UNCLOSED


def _blame(units: bytes, opened: int, grammar: Grammar) -> str:
    """Return the code of a quote that was not closed: junk, where something on its own line looks like its other half."""
    line_end = LINE_END.search(units, opened)
    end = line_end.start() if line_end else len(units)
    at = opened + 1
    while found := grammar.inside.search(units, at, min(end, opened + 2 + grammar.longest_field)):
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
