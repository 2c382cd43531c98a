"""JSON objects as columns, value by value.

A column is text, int64, float64 or bool where all of its values within a table are that. Any other is a column of fragments: nested values, integers beyond
64 bits, and types that differ are JSON text as it stood in the file (line breaks between tokens are blanks). A key that is missing and one that is null come
to the same. `-0` is the integer 0; floats are doubles.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec
import orjson
import polars as pl

I64_END: Final = 2.0**63


class Kind(StrEnum):
    """What the values of a column were, all of them."""

    NONE = "none"
    TEXT = "text"
    INT = "int"
    FLOAT = "float"
    """Integers may stand among them, which are told apart when they are read."""
    BOOL = "bool"
    FRAGMENT = "fragment"


Kinds = dict[str, Kind]
"""Of the columns that are known, in the order in which they came."""
Fragments = Sequence[dict[str, msgspec.Raw]]

_TYPES: Final[dict[Kind, Any]] = {
    Kind.NONE: str | None,
    Kind.TEXT: str | None,
    Kind.INT: int | None,
    Kind.FLOAT: int | float | None,
    Kind.BOOL: bool | None,
    Kind.FRAGMENT: msgspec.Raw | None,
}
_KINDS: Final = {str: Kind.TEXT, int: Kind.INT, float: Kind.FLOAT, bool: Kind.BOOL}
DTYPES: Final = {Kind.NONE: pl.String, Kind.TEXT: pl.String, Kind.INT: pl.Int64, Kind.FLOAT: pl.Float64, Kind.BOOL: pl.Boolean}
_read_fragments: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Columns(NamedTuple):
    """A frame, and what its columns were found to be."""

    frame: pl.DataFrame
    kinds: Kinds

    @property
    def fragments(self) -> frozenset[str]:
        """Columns of JSON text."""
        return frozenset(name for name, kind in self.kinds.items() if kind is Kind.FRAGMENT)


def merge(known: Kinds, found: Kinds) -> Kinds:
    """Return what reads both: integers and floats come as numbers, any other two as fragments."""
    return known | {name: _wider(known.get(name, Kind.NONE), kind) for name, kind in found.items()}


def _wider(one: Kind, other: Kind) -> Kind:
    kinds = {one, other} - {Kind.NONE}
    if len(kinds) < 2:  # noqa: PLR2004  both are the same, or one of them is none
        return kinds.pop() if kinds else Kind.NONE
    return Kind.FLOAT if kinds == {Kind.INT, Kind.FLOAT} else Kind.FRAGMENT


def shape(kinds: Kinds) -> type[msgspec.Struct] | None:
    """Return what reads rows of these columns and of no other, type for type; None where a name cannot be that of a field."""
    fields = [(f"f{index}", _TYPES[kind], None) for index, kind in enumerate(kinds.values())]
    try:
        return msgspec.defstruct("Row", fields, rename={f"f{index}": name for index, name in enumerate(kinds)}, forbid_unknown_fields=True, gc=False)
    except (ValueError, UnicodeEncodeError):
        return None


def of_structs(kinds: Kinds, values: Iterable[Sequence[Any]], rows: int, texts: Callable[[], Sequence[bytes]]) -> Columns:
    """Make columns of what structs of these kinds held; `ValueError` where a fragment is not JSON after all."""
    return _build([_held(name, kind, held) for (name, kind), held in zip(kinds.items(), values, strict=True)], rows, texts)


def of_dicts(names: Iterable[str], dicts: Sequence[dict[str, Any]], texts: Sequence[bytes]) -> Columns:
    """Make columns of rows that were read one by one."""
    return _build([_Column(name, [row.get(name) for row in dicts]) for name in names], len(dicts), lambda: texts)


class _Column(NamedTuple):
    name: str
    values: Sequence[Any]
    kind: Kind | None = None
    """What the values are known to be, if they are anything."""
    raws: Sequence[msgspec.Raw | None] | None = None


def _held(name: str, kind: Kind, held: Sequence[Any]) -> _Column:
    if kind is Kind.FRAGMENT:
        return _Column(name, orjson.loads(b"[%b]" % b",".join(b"null" if raw is None else bytes(raw) for raw in held)), raws=held)
    return _Column(name, held, None if kind is Kind.FLOAT else kind)


def _build(columns: Sequence[_Column], rows: int, texts: Callable[[], Sequence[bytes]]) -> Columns:
    kinds: Kinds = {}
    series: dict[str, pl.Series] = {}  # by name: a list of them would give a new one to what has the name ""
    fragments: Fragments | None = None
    for name, values, known, raws in columns:
        one, kinds[name] = _native(name, values, known)
        if one is None:
            if raws is None and fragments is None:
                fragments = [_read_fragments(text) for text in texts()]
            held = raws if raws is not None else [row.get(name) for row in fragments or ()]
            one = pl.Series(name, [_fragment(raw) for raw in held], pl.String)
        series[name] = one
    return Columns(pl.DataFrame(series) if series else pl.DataFrame(height=rows), kinds)


def _native(name: str, values: Sequence[Any], kind: Kind | None) -> tuple[pl.Series | None, Kind]:
    """Return a series of one type, or none where the values are not of one; `kind`: what all of them are known to be, if they are anything."""
    if kind is None:
        types = set(map(type, values)) - {type(None)}
        kind = _KINDS.get(types.pop(), Kind.FRAGMENT) if len(types) == 1 else Kind.FRAGMENT if types else Kind.NONE
    if kind is Kind.FRAGMENT:
        return None, kind
    try:
        series = pl.Series(name, values, DTYPES[kind], strict=True)
    except (TypeError, OverflowError):  # an integer beyond 64 bits
        return None, Kind.FRAGMENT
    if series.null_count() == len(series):
        return pl.Series(name, [None] * len(series), pl.String), Kind.NONE
    if kind is Kind.FLOAT and (series.abs() >= I64_END).any():  # it may have been such an integer
        return None, Kind.FRAGMENT
    return series, kind


def _fragment(raw: msgspec.Raw | None) -> str | None:
    text = b"null" if raw is None else bytes(raw)
    return None if text == b"null" else text.decode().replace("\r", " ").replace("\n", " ")
