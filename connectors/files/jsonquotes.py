"""JSON records that are all written alike, split at their quotes as if they were CSV: the quickest way, for lines of which each is as a sound one was.

Without escapes every quote begins or ends a string, so the same fields of each line are its keys and what stands between them and strings. These have to be
what they are in that one, and only values may be others; nothing is taken of lines of which one is not so.

The proof: each line is a row, since there are as many. Its last field is there, since it is looked at, and there are no more quotes than this takes: so each
has as many fields as it ought to. Those that are always the same, but for the last, are read as booleans, with their text for null: any other text raises or
is no null, only none at all comes to the same. A line with such a field is shorter than its values say, and none is longer: where the sizes of all come to the
size of the whole, there is none. Signs that no string may hold are not there, nor any that could end a line otherwise.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import polars as pl

from connectors.files.csv_walk import numbers
from connectors.files.jsonrows import DTYPES, Kind, Kinds

_NL: Final = 10
_QUOTE: Final = 34
_BLANK: Final = 32
"""Signs below it stand in no string."""
_FIELD: Final = re.compile(r"([ :]*)[^ :,}]+([ ,}]*)")
_SAID: Final = ("true", "false", "null")
_MOST_MISSES: Final = 6


class _Value(NamedTuple):
    """A field that is another in each line."""

    field: str
    kind: Kind
    before: str = ""
    """What stands around it, if it is no text."""
    behind: str = ""
    pattern: str = ""

    def said(self, value: str) -> str:
        return f"{self.before}{value}{self.behind}"

    def sound(self) -> pl.Expr:
        """Say whether it is what it may be."""
        text = pl.col(self.field)
        if self.kind is Kind.TEXT:
            return text.is_not_null()
        return pl.any_horizontal(text == self.said(value) for value in _SAID) if self.kind is Kind.BOOL else text.str.contains(self.pattern)

    def read(self) -> pl.Expr:
        """Return its value, where it is sound."""
        text = pl.col(self.field)
        if self.kind is Kind.TEXT:
            return text
        if self.kind is Kind.BOOL:
            return pl.when(text != self.said("null")).then(text == self.said("true"))
        bare = text.str.strip_chars(self.before + self.behind)
        return pl.when(bare != "null").then(bare) if self.kind is Kind.FRAGMENT else bare.cast(DTYPES[self.kind], strict=False)


class Quoted:
    """How lines are split; knows how often in a row that was of no use."""

    def __init__(self, same: Mapping[str, str], values: Mapping[str, _Value], lead: bytes) -> None:
        """Take the fields that are the same in each line, those that are not, by the names of their columns, and what begins each line but the first."""
        self._quotes = len(same) + len(values) - 1
        self._last = str(self._quotes)
        self._same = {field: text for field, text in same.items() if field != self._last}
        self._end = same.get(self._last)
        """The last field; None: a value, which is looked at as such."""
        self._values = values
        self._lead = lead
        self._schema = {str(at): pl.Boolean if str(at) in self._same else pl.String for at in range(self._quotes + 1)}
        self._around = sum(len(text.encode()) for text in same.values()) + self._quotes
        """Bytes of a line beside its values."""
        self._misses = 0
        self._rest = 0

    def take(self, body: bytes, kinds: Kinds) -> tuple[pl.DataFrame, pl.Series] | None:
        """Return the columns of all lines, and the size of each; None: they may be anything. Behind a miss it is not tried for some time, longer each time."""
        self._rest -= 1
        if self._rest >= 0:
            return None
        taken = self._taken(self._lead + body, kinds)
        self._misses = 0 if taken else min(self._misses + 1, _MOST_MISSES)
        self._rest = 0 if taken else 2**self._misses
        return taken

    def _taken(self, text: bytes, kinds: Kinds) -> tuple[pl.DataFrame, pl.Series] | None:
        signs = numbers(text)
        lines = 1 + int((signs == _NL).sum())
        if b"\\" in text or not text.startswith(self._same["0"].encode()) or int((signs < _BLANK).sum()) != lines - 1:
            return None
        if int((signs == _QUOTE).sum()) != lines * self._quotes:
            return None
        split = pl.scan_csv(
            text,
            has_header=False,
            schema=self._schema,
            separator='"',
            quote_char=None,
            infer_schema=False,
            null_values=self._same,
            empty_string_is_null=False,
        )
        try:
            found = split.select(self._columns(kinds)).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return None
        frame, (sizes, sound, *same) = found.select(found.columns[: len(kinds)]), found.get_columns()[len(kinds) :]
        whole = found.height == lines and sound.all(ignore_nulls=False) and all(field.null_count() == lines for field in same)
        if not whole or sizes.sum() + lines - 1 != len(text):
            return None
        sizes[0] = sizes[0] - len(self._lead)
        return frame.rechunk(), sizes

    def _columns(self, kinds: Kinds) -> Iterator[pl.Expr]:
        """Yield the columns; then the size of each line, whether its values are sound, and what is the same in all."""
        for name in kinds:
            value = self._values.get(name)
            yield (pl.lit(None, pl.String) if value is None else value.read()).alias(name)
        other = max(kinds, key=len) + "?"  # begins the name of no column
        sizes = (pl.col(value.field).str.len_bytes() for value in self._values.values())
        yield pl.sum_horizontal(pl.lit(self._around, pl.UInt32), *sizes).alias(f"{other}size")
        end = pl.lit(value=True) if self._end is None else pl.col(self._last) == self._end
        yield pl.all_horizontal(end, *(value.sound() for value in self._values.values())).alias(f"{other}sound")
        yield from (pl.col(field).alias(f"{other}{field}") for field in self._same)


def quoted(record: bytes, around: tuple[bytes, bytes], fields: Kinds, patterns: Mapping[Kind, str]) -> Quoted | None:
    """Return how lines are split of which a sound record without escapes is one, or None where they are not simple enough.

    Args:
        record: the record.
        around: what stands before and behind it in its line.
        fields: its keys in their order, and of what kinds their values are.
        patterns: by kind what a value may be.

    """
    parts = b"".join((around[0], record, around[1])).decode().split('"')
    same, values, at = {"0": parts[0]}, dict[str, _Value](), 1
    for name, kind in fields.items():
        same[str(at)], behind = parts[at : at + 2]
        if kind is Kind.TEXT:
            if behind.strip(" ") != ":":  # null in this one
                return None
            same |= {str(at + 1): behind, str(at + 3): parts[at + 3]}
            values[name] = _Value(str(at + 2), kind)
        elif not (field := _FIELD.fullmatch(behind)):
            return None
        elif kind is Kind.NONE:
            same[str(at + 1)] = behind
        else:
            values[name] = _Value(str(at + 1), kind, field[1], field[2], f"^{pl.escape_regex(field[1])}{patterns[kind]}{pl.escape_regex(field[2])}$")
        at += 4 if kind is Kind.TEXT else 2
    plain = all(same.values()) and all(ord(sign) >= _BLANK for text in same.values() for sign in text)
    return Quoted(same, values, around[0]) if plain and at == len(parts) else None
