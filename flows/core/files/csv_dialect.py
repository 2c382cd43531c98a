"""How a CSV file is written, and the same in code units."""

import re
from copy import copy
from dataclasses import dataclass
from functools import cached_property

from flows.core.errors import BadRequest
from flows.core.files.pieces import PIECE_BYTES
from flows.core.files.units import named, width


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
    look_ahead: int = 2 * PIECE_BYTES
    """In bytes, two pieces at least; a quoted field that is longer is one as long as its lines are no rows."""
    longest_row: int = 16 * 1024 * 1024
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
        self.look_ahead = dialect.look_ahead // width(self.encoding)
        self.widths: tuple[int, ...] = ()
        self.inside = re.compile(b"|".join(re.escape(sign) for sign in (self.quote, self.escape) if sign) or b"(?!)")
        plain, escaped = re.escape(self.quote + self.escape), b"|" + re.escape(self.escape) + b"." if self.escape else b""
        self.paired = re.compile(b"(?:[^" + plain + b"]++|" + re.escape(self.quote) * 2 + escaped + b")*+" if self.quote else b"", re.DOTALL)
        self.outside = re.compile(b"|".join([re.escape(self.delimiter), rb"[\r\n]", *([re.escape(self.escape)] if self.escape else [])]))
        self.escaped = re.compile(f"{re.escape(escape)}(.)" if escape else "(?!)", re.DOTALL)
        self.in_quotes = re.compile(f"{re.escape(escape)}(.)|{re.escape(dialect.quote)}(.)" if escape else f"{re.escape(dialect.quote)}(.)", re.DOTALL)

    def like(self, widths: tuple[int, ...]) -> "Grammar":
        """Return the same where rows are known to have so many fields; none: it is not known, and any line may be a row."""
        made = copy(self)
        made.widths = widths
        return made
