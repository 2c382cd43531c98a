"""Good rows as the bytes that go out: JSON values, one a row or in blocks of lines, or blocks of Arrow.

In JSON dates and times are RFC 3339 (one that has no zone in the file has none here), decimals are strings, so that no
reader rounds them, durations are ISO 8601, bytes base64; numbers that are not finite are null. Values of JSON text go out
as they stood, on one line; one that was not there has no key, or is null in formats whose rows have all columns. A date
outside the years 1 to 9999 cannot be written: its row is a reject (`expressible`), and inside a list or an object it is null.
"""

import datetime as dt
import io
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Final, NamedTuple

import orjson
import polars as pl
from polars.datatypes import DataTypeClass

from connectors.files.plan import Sifted
from connectors.files.table import Table
from flows.core.files.rejects import Reject
from flows.core.imports.portion import Lines, split

NAIVE: Final = "%Y-%m-%dT%H:%M:%S%.f"
FIRST_DAY: Final = dt.date.min.toordinal() - dt.date(1970, 1, 1).toordinal()
LAST_DAY: Final = dt.date.max.toordinal() - dt.date(1970, 1, 1).toordinal()
YEARS: Final = "years 1 to 9999"
LOCAL_YEARS: Final = "years 1 to 9999, without their first and their last day"
"""Of times in a zone other than UTC: what its clocks show may be a day earlier or later."""
NAMED_DAYS: Final = 95_000_000
"""Days around 1970, some 260,000 years, that Polars has a name for; it stops the process at others."""


class Shape(StrEnum):
    """What one value is."""

    ROW = "row"
    NDJSON = "ndjson"
    ARROW = "arrow"
    """An Arrow IPC stream."""


class Output(NamedTuple):
    """How rows go out."""

    file: str
    """The file's SHA-256, in hex: ids are made of it."""
    shape: Shape = Shape.ROW
    rows_per_record: int = 1
    key_columns: tuple[str, ...] = ()
    fixed: bool = False
    """Whether each row has all columns, so that JSON text which was not there is null, and not a key less."""


class Encoded(NamedTuple):
    """Values, and of each its key and its id."""

    values: Sequence[bytes]
    """Lines where each is a row."""
    keys: list[bytes | None]
    """None: a key column has no value in the row (for a block: in its first row), or there are none."""
    ids: Lines


NONE: Final = Encoded(Lines(b"", 0), [], Lines(b"", 0))


def encode(sifted: Sifted, ordinals: Sequence[int], output: Output) -> Encoded:
    """Return the good rows as values. `ordinals` are those of the table that was sifted."""
    frame = sifted.frame
    own: Sequence[int] = ordinals if sifted.rows is None else [ordinals[row] for row in sifted.rows]
    if not frame.height:
        return NONE
    step = 1 if output.shape is Shape.ROW else output.rows_per_record
    firsts = own[::step]
    keys = keys_of(frame if step == 1 else frame.gather_every(step), output.key_columns, sifted.fragments)
    if output.shape is Shape.ARROW:
        values: Sequence[bytes] = [_arrow(part) for part in frame.iter_slices(step)]
    elif output.shape is Shape.NDJSON:
        values = _blocks(frame, sifted.fragments, step, fixed=output.fixed)
    else:
        values = Lines(_text(frame, sifted.fragments, fixed=output.fixed), frame.height)
    return Encoded(values, keys, ids_of(output.file, firsts))


def ids_of(file: str, ordinals: Sequence[int]) -> Lines:
    """Return the id of each row: SHA-256 of the file's own and the row's ordinal, with a colon between."""
    begun = sha256(f"{file}:".encode()).copy
    ids = []
    for ordinal in ordinals:
        own = begun()
        own.update(b"%d" % ordinal)
        ids.append(own.hexdigest())
    ids.append("")
    return Lines("\n".join(ids).encode(), len(ordinals))


def lines_of(frame: pl.DataFrame, fragments: frozenset[str], *, fixed: bool = False) -> list[bytes]:
    """Return each row as a JSON object, on one line, without the line's end. `fixed`: as `Output` has it."""
    return split(_text(frame, fragments, fixed=fixed))


def _text(frame: pl.DataFrame, fragments: frozenset[str], *, fixed: bool) -> bytes:
    """Return the same as one text, with the lines' ends."""
    if not frame.width:
        return b"{}\n" * frame.height
    inside = fragments.intersection(frame.columns)
    return _joined(frame, inside, fixed=fixed) if inside else _ndjson(frame)


def keys_of(frame: pl.DataFrame, columns: tuple[str, ...], fragments: frozenset[str]) -> list[bytes | None]:
    """Return each row's key: of one column its text, of several a JSON array of them."""
    if not columns or not frozenset(columns).issubset(frame.columns):
        return [None] * frame.height
    rows = frame.select(columns)
    if len(columns) == 1 and rows.dtypes[0] == pl.String and columns[0] not in fragments:
        return [None if text is None else text.encode() for text in rows.to_series().to_list()]
    keys: list[bytes | None] = []
    for line in lines_of(rows, fragments):
        values = [value for value in orjson.loads(line).values() if value is not None]
        keys.append(None if len(values) < len(columns) else _bare(values[0]) if len(columns) == 1 else orjson.dumps(values))
    return keys


def _bare(value: object) -> bytes:
    """Return a JSON value as a key: a string as it is, all else as JSON."""
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _blocks(frame: pl.DataFrame, fragments: frozenset[str], rows: int, *, fixed: bool) -> list[bytes]:
    """Return so many rows each as a JSON object a line, with the lines' ends."""
    text = _text(frame, fragments, fixed=fixed)
    ends = [0]
    while ends[-1] < len(text):
        ends.append(_behind(text, ends[-1], rows, len(text) * rows // frame.height))
    return [text[begin:end] for begin, end in pairwise(ends)]


def _behind(text: bytes, begin: int, lines: int, guess: int) -> int:
    """Return where so many lines end, or the text; looked for where the guess is, which costs a tenth of making lines of all of it."""
    end = text.rfind(b"\n", begin, begin + guess) + 1 or begin
    over = text.count(b"\n", begin, end) - lines
    for _ in range(over):
        end = text.rfind(b"\n", begin, end - 1) + 1
    for _ in range(-over):
        end = text.find(b"\n", end) + 1 or len(text)
    return end


def _ndjson(frame: pl.DataFrame) -> bytes:
    """Return rows that have no JSON text among their values, as lines."""
    written = frame.select(writable(pl.col(name), dtype).alias(name) for name, dtype in frame.schema.items())
    buffer = io.BytesIO()
    written.write_ndjson(buffer)
    return buffer.getvalue()


def _joined(frame: pl.DataFrame, fragments: frozenset[str], *, fixed: bool) -> bytes:
    """Return rows some of whose values are JSON text: columns between them are written together."""
    parts: list[pl.Expr] = []
    for whole, group in groupby(frame.columns, key=fragments.__contains__):
        names = list(group)
        parts.extend((_member(name, fixed=fixed) for name in names) if whole else [_members(frame, names)])
    lines = pl.concat_str(pl.lit("{"), pl.concat_str(parts).str.strip_suffix(","), pl.lit("}\n"))
    return str(frame.select(lines.str.join("")).item()).encode()


def _member(name: str, *, fixed: bool) -> pl.Expr:
    """Return a column of JSON text as members of an object, each with a comma after it. A line's end in JSON text is white space, so a blank says the same."""
    text = pl.col(name).str.replace_all("[\r\n]", " ")
    member = pl.concat_str(pl.lit(orjson.dumps(name).decode() + ":"), text.fill_null("null"), pl.lit(","))
    return member if fixed else pl.when(text.is_null()).then(pl.lit("")).otherwise(member)


def _members(frame: pl.DataFrame, names: list[str]) -> pl.Expr:
    """Return columns as members of an object, with a comma after the last."""
    text = pl.struct(writable(pl.col(name), frame.schema[name]).alias(name) for name in names).struct.json_encode()
    return pl.concat_str(text.str.strip_prefix("{").str.strip_suffix("}"), pl.lit(","))


def expressible(table: Table, sifted: Sifted) -> Sifted:
    """Return what was sifted without the rows that hold a date JSON has no words for: those are rejects."""
    dates = [name for name, dtype in sifted.frame.schema.items() if isinstance(dtype, pl.Date | pl.Datetime)]
    inside = sifted.frame.select(_inside(pl.col(name), sifted.frame.schema[name]).fill_null(value=True).alias(name) for name in dates)
    if not dates or (good := inside.select(pl.all_horizontal(dates)).to_series()).all():
        return sifted
    rows = pl.Series(range(sifted.frame.height), dtype=pl.UInt32) if sifted.rows is None else sifted.rows
    rejects = []
    for at in (~good).arg_true():
        place = table.place(rows[at])
        for name in dates:
            if not inside[name][at]:
                rule, value = _beyond(sifted.frame[name][at : at + 1])
                rejects.append(Reject(place.ordinal, place.line, place.offset, name, "out_of_range", rule, value, place.raw))
    merged = sorted([*sifted.rejects, *rejects], key=attrgetter("ordinal"))
    return sifted.only(good)._replace(rejects=merged)


def _beyond(one: pl.Series) -> tuple[str, str]:
    """Return which dates can be written of the type of this one, which cannot, and this one as text."""
    number, a_day = one.to_physical()[0], _a_day(one.dtype)
    if abs(number) // a_day < NAMED_DAYS:
        value = one.cast(pl.String)[0]
    else:
        unit = one.dtype.time_unit if isinstance(one.dtype, pl.Datetime) else "days"
        value = f"{number} {unit} since 1970-01-01"
    return LOCAL_YEARS if _margin(one.dtype) else YEARS, value


def writable(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return values as those that Polars writes in JSON as this module promises."""
    written = values
    match dtype:
        case _ if _plain(dtype):
            pass
        case pl.Date() | pl.Datetime():
            written = pl.when(_inside(values, dtype)).then(values)
            if isinstance(dtype, pl.Datetime) and dtype.time_zone is None:  # those of a zone Polars writes so, and twice as fast
                written = written.dt.strftime(NAIVE)
        case pl.Binary():
            written = values.bin.encode("base64")
        case pl.Array():
            written = writable(values.arr.to_list(), pl.List(dtype.inner))
        case pl.List():
            written = values.list.eval(writable(pl.element(), _instance(dtype.inner)))
        case pl.Struct():
            members = [writable(values.struct.field(field.name), _instance(field.dtype)).alias(field.name) for field in dtype.fields]
            written = pl.when(values.is_not_null()).then(pl.struct(members))
    return written


def _plain(dtype: object) -> bool:
    """Tell whether Polars writes values of a type well, and all within them."""
    match dtype:
        case pl.Date() | pl.Datetime() | pl.Binary():
            return False
        case pl.List() | pl.Array():
            return _plain(dtype.inner)
        case pl.Struct():
            return all(_plain(field.dtype) for field in dtype.fields)
        case _:
            return True


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    """Return a type that may be given as its class."""
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _inside(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Tell which dates and times are of the years 1 to 9999, a day left out at both ends for zones other than UTC."""
    margin = _margin(dtype)
    return (values.to_physical() // _a_day(dtype)).is_between(FIRST_DAY + margin, LAST_DAY - margin)


def _margin(dtype: pl.DataType) -> int:
    """Return how many days at both ends cannot be written, since a zone's clocks may show another year."""
    return int(isinstance(dtype, pl.Datetime) and dtype.time_zone not in {None, "UTC"})


def _a_day(dtype: pl.DataType) -> int:
    """Return how many units a day has."""
    return {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1


def _arrow(frame: pl.DataFrame) -> bytes:
    """Return rows as an Arrow IPC stream."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()
