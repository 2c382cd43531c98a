"""JSON records that are all written alike, by one pattern that is learned from one of them: it takes the columns out of all lines of many pieces at once.

The pattern is the proof. It spells out every sign of a record: its keys in their order, what stands between them, and in the place of each value only such
text as can be taken as it stands: strings without escapes, numbers that fit, `true`, `false` and `null`. A record of which it takes nothing may be anything.
"""

import codecs
import re
from typing import Final, NamedTuple

import polars as pl

from connectors.files.jsonquotes import Quoted, quoted
from connectors.files.jsonrows import DTYPES, I64_END, Columns, Kind, Kinds

BLANK: Final = b" \t\r\n"
_BREAK, _RETURN = b"\x02", b"\x03"
"""Line ends that are within a record, or before a line's end: as signs that JSON has nowhere, so that they are told from such in strings, where none may be."""
_KEPT: Final = bytes.maketrans(b"\n\r", _BREAK + _RETURN)
_RETURNS: Final = bytes.maketrans(b"\r", _RETURN)
_SPACE: Final = "[ \t\x02\x03]*"
_WHOLE: Final = "-?(?:0|[1-9][0-9]{0,17})"
_PART: Final = r"(?:\.[0-9]+(?:[eE][-+]?[0-9]{1,2})?|[eE][-+]?[0-9]{1,2})"
_VALUES: Final = {
    Kind.NONE: "null",
    Kind.TEXT: r'(?:"([^"\\\x00-\x1f]*)"|null)',
    Kind.INT: f"(?:({_WHOLE})|null)",
    Kind.FLOAT: f"(?:({_WHOLE}{_PART})|null)",
    Kind.BOOL: "(?:(true|false)|null)",
    Kind.FRAGMENT: f"(?:({_WHOLE}{_PART}?)|null)",
}
"""What a value of a column may be. Of fragments only numbers: integers and others among one another."""
_MOST_GROUPS: Final = 16
"""With more of them the engine of patterns takes another way, which is many times slower."""
_PAIR: Final = re.compile(rb'([ \t\r\n]*+"([^"\\\x00-\x1f]*+)"[ \t\r\n]*+:[ \t\r\n]*+)("[^"\\]*+"|[-+.0-9eE]++|true|false|null)([ \t\r\n]*+[,}])')
_LINE: Final = "line"
_NO_TEXT: Final = "xyra_no_text"


class Taken(NamedTuple):
    """What a template took of lines."""

    frame: pl.DataFrame
    """The columns of all lines, with nothing for those that are no such records."""
    such: pl.Series | None
    """Which lines are; None: all of them."""
    sizes: pl.Series
    """Of each line in bytes, as in the file."""

    def start(self, index: int) -> int:
        """Return where a line begins."""
        return int(self.sizes.slice(0, index).sum()) + index


class Template(NamedTuple):
    """How each record is written."""

    kinds: Kinds
    """Of all columns that are known."""
    pattern: str
    groups: tuple[str, ...]
    """The columns it takes, in the order of its groups."""
    seam: bytes
    """The end of a record, what is between two, and the begin of the next, line ends as they are kept; empty: a record is a line."""
    comma: bool
    """A comma ends each record."""
    quoted: Quoted | None
    """What is quicker, where it takes all."""

    def take(self, body: bytes) -> Taken | None:
        """Take what it can of records, line by line; None: they cannot be told apart like this."""
        if _BREAK in body or _RETURN in body:
            return None
        if self.seam and (b"\n" in body or b"\r" in body):
            body = body.translate(_KEPT)
        elif b"\r" in body:
            body = body.translate(_RETURNS)
        if self.seam:
            body = body.replace(self.seam, b"}\n%b{" % (b" " * (len(self.seam) - 3)))
        if self.quoted is not None and (split := self.quoted.take(body, self.kinds)):
            return Taken(split[0], None, split[1])
        return self._matched(body)

    def _matched(self, body: bytes) -> Taken | None:
        """Take lines by the pattern."""
        try:
            body.decode()
        except UnicodeDecodeError:
            body = body.decode("utf-8", _NO_TEXT).encode()
        groups = pl.col(_LINE).str.extract_groups(self.pattern).struct.rename_fields([str(index) for index in range(len(self.groups))])
        size = max(self.kinds, key=len) + "?"  # the name of no column
        columns = [pl.col(_LINE).alias(size), *(self._column(name).alias(name) for name in self.kinds)]
        lines = [pl.scan_lines(part, name=_LINE) for part in _parts(body, pl.thread_pool_size())]
        try:
            taken = pl.collect_all([part.select(pl.col(_LINE).str.len_bytes(), groups.alias("")).unnest("").select(columns) for part in lines])
        except pl.exceptions.PolarsError:
            return None
        frame = pl.concat(taken, rechunk=False)
        found = Taken(frame.drop(size), None, frame.to_series(0))
        if found.start(frame.height) != len(body) + 1:
            return None
        if any(not column.null_count() for column in found.frame.iter_columns()):
            return found
        # One in which all is null may be anything, and is looked at as those are of which nothing was taken.
        return found._replace(such=found.frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series())

    def _column(self, name: str) -> pl.Expr:
        if name not in self.groups:
            return pl.lit(None, pl.String)
        text = pl.col(str(self.groups.index(name)))
        kind = self.kinds[name]
        return text == "true" if kind is Kind.BOOL else text if kind is Kind.FRAGMENT else text.cast(DTYPES[kind])

    def typed(self, frame: pl.DataFrame) -> Columns | None:
        """Return columns as what they are in this table, or None where they are of no kind that can be told from here."""
        kinds: Kinds = {}
        series: list[pl.Series] = []
        for (name, kind), column in zip(self.kinds.items(), frame.iter_columns(), strict=True):
            found = (column, kind)
            if column.null_count() == frame.height:
                found = column.cast(pl.String), Kind.NONE
            elif kind is Kind.FRAGMENT:
                found = _numbers(column)
            elif kind is Kind.FLOAT and (column.abs() >= I64_END).any():
                return None
            kinds[name] = found[1]
            series.append(found[0])
        return Columns(pl.DataFrame(dict(zip(kinds, series, strict=True))), kinds)


def learn(record: bytes, gap: bytes, kinds: Kinds) -> Template | None:
    """Return the template of a sound record, behind which `gap` stands before the next, or None where it is not simple enough."""
    lined = b"\n" not in record and gap.count(b"\n") == gap.partition(b",")[2].count(b"\n") == 1
    comma = b"," in gap and lined
    seam = b"}%b{" % gap.translate(_KEPT) if b"," in gap and not lined else b""
    written = [_SPACE, r"\{"]
    fields: dict[str, Kind] = {}
    at, last = 1, b""
    try:
        while last != b"}":
            pair = _PAIR.match(record, at)
            if pair is None:
                return None
            at, last, name, value = pair.end(), pair[4][-1:], pair[2].decode(), pair[3].decode()
            kind = kinds.get(name)
            if kind is None or name in fields or not re.fullmatch(_VALUES[kind], value) or (kind is Kind.FRAGMENT and value == "null"):
                return None
            fields[name] = kind
            written += [_literal(pair[1]), _VALUES[kind], _literal(pair[4])]
    except UnicodeDecodeError:
        return None
    groups = tuple(name for name, kind in fields.items() if kind is not Kind.NONE)
    if at != len(record) or len(groups) > _MOST_GROUPS:
        return None
    pattern = f"^{''.join(written)}{_SPACE}{',' + _SPACE if comma else ''}$"
    around = (b" " * (len(seam) - 3), b"") if seam else (gap.partition(b"\n")[2], gap.partition(b"\n")[0])
    return Template(kinds, pattern, groups, seam, comma, quoted(record, around, fields, _VALUES))


def _no_text(error: UnicodeError) -> tuple[str, int]:
    """Put signs in the place of bytes that are no UTF-8, as many, which stand in no record."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101  nothing is encoded by this
    return _BREAK.decode() * (error.end - error.start), error.end


codecs.register_error(_NO_TEXT, _no_text)


def _parts(body: bytes, most: int) -> list[bytes]:
    """Cut lines into parts of some size, so that each has a thread."""
    parts = []
    at = 0
    for left in range(most, 0, -1):
        end = body.find(b"\n", at + (len(body) - at) // left) if left > 1 else -1
        parts.append(body[at:end] if end >= 0 else body[at:])
        at = end + 1
        if end < 0:
            break
    return parts


def _literal(text: bytes) -> str:
    return pl.escape_regex(text.translate(_KEPT).decode())


def _numbers(column: pl.Series) -> tuple[pl.Series, Kind]:
    """Return numbers as one type, where they are of one."""
    whole = ~column.drop_nulls().str.contains("[.eE]")
    if whole.all():
        return column.cast(pl.Int64), Kind.INT
    floats = column.cast(pl.Float64)
    one = not whole.any() and not (floats.abs() >= I64_END).any()
    return (floats, Kind.FLOAT) if one else (column, Kind.FRAGMENT)
