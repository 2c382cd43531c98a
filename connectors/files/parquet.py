"""Reads Parquet, row group by row group: judged by its footer before anything is read, its dictionaries unfolded no further than a table may be."""

import base64
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.files.arrow_types import named
from connectors.files.bounds import Limits, refusal
from connectors.files.keep import Keeper, plain
from connectors.files.table import Place, Table
from connectors.files.whole import Portion, distinct
from flows.core.files.rejects import VALUE_CHARS, Reject

_MAGIC: Final = b"PAR1"
_ENCRYPTED: Final = b"PARE"
_BUFFER_BYTES: Final = 1 << 20
_PROBE_BYTES: Final = 64 << 10
_THREADS: Final = 2
"""Columns that are decoded at once. The library's own count is of the machine."""


class _At(NamedTuple):
    group: int = 0
    row: int = 0
    ordinal: int = 0

    @classmethod
    def of(cls, state: bytes | None) -> "_At":
        return cls(*orjson.loads(state)) if state else cls()


class Parquet:
    """The reader of Parquet. Values keep their types; binary becomes base64, what is nested a JSON fragment; a row has no line and no offset."""

    def __init__(self, limits: Limits) -> None:
        """Take the bounds."""
        self._limits = limits
        self.found: Mapping[str, str] = {}
        pa.set_cpu_count(_THREADS)

    def tables(self, path: Path, at: bytes | None = None) -> Iterator[Portion]:
        """Yield the rows; see `WholeReader`."""
        _judge_ends(path, self._limits)
        start = _At.of(at)
        with _reading("in its footer"), pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES) as plain:
            self._judge_footer(plain)
            spent = _Spent(path.stat().st_size, self._limits)
            for group in range(start.group, plain.num_row_groups):
                begin = start if group == start.group else _At(group, 0, _first(plain, group))
                yield from self._group(path, plain, begin, spent)

    def _judge_footer(self, file: pq.ParquetFile) -> None:
        footer, limits = file.metadata, self._limits
        if footer.num_rows > limits.rows:
            raise refusal("too_many_rows", count=footer.num_rows, limit=limits.rows)
        if footer.num_columns > limits.columns:
            raise refusal("too_many_columns", count=footer.num_columns, limit=limits.columns, where="in its footer")
        if footer.num_rows * footer.num_columns > limits.cells:
            raise refusal("too_many_cells", count=footer.num_rows * footer.num_columns, limit=limits.cells)
        size = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        if size > limits.inflated_bytes:
            raise refusal("inflates_too_far", limit=limits.inflated_bytes, where="by its footer")
        for column in range(footer.num_columns):
            dotted = footer.schema.column(column).path
            if dotted.count(".") > limits.depth:
                raise refusal("too_deep", where=repr(dotted[:64]), limit=limits.depth)

    def _group(self, path: Path, plain: pq.ParquetFile, begin: _At, spent: "_Spent") -> Iterator[Portion]:
        where = f"in row group {begin.group} (from row {_first(plain, begin.group):,})"
        with _reading(where):
            folded = _folded(path, plain, begin.group, self._limits)
            rows = self._batch_rows(plain, begin.group)
            opened = pq.ParquetFile(path, metadata=plain.metadata, pre_buffer=False, buffer_size=_BUFFER_BYTES, read_dictionary=folded) if folded else None
            try:
                source = (opened or plain).iter_batches(batch_size=rows, row_groups=[begin.group], use_threads=True)
                at = begin._replace(row=0)
                for whole in source:
                    batch = whole.slice(max(0, begin.row - at.row))
                    at = at._replace(row=at.row + whole.num_rows - batch.num_rows)
                    for part in spent.parts(batch, where):
                        at = _At(at.group, at.row + part.num_rows, at.ordinal + part.num_rows)
                        yield self._portion(part, at)
            finally:
                if opened:
                    opened.close()

    def _batch_rows(self, file: pq.ParquetFile, group: int) -> int:
        footer = file.metadata.row_group(group)
        width = max(int(footer.total_byte_size) // max(1, int(footer.num_rows)), 2 * int(footer.num_columns), 1)
        return max(1, min(self._limits.table_rows, self._limits.table_bytes // width))

    def _portion(self, batch: pa.RecordBatch, after: _At) -> Portion:
        first = after.ordinal - batch.num_rows
        large = _too_large(batch, self._limits.value_bytes)
        rejects = [Reject(first + row, 0, -1, column, "value_too_large", "", value[:VALUE_CHARS], b"") for row, (column, value) in sorted(large.items())]
        ordinals: range | list[int] = range(first, after.ordinal)
        if large:
            kept = [row for row in range(batch.num_rows) if row not in large]
            batch, ordinals = batch.take(pa.array(kept, pa.int64())), [first + row for row in kept]
        frame, fragments = frame_of(batch)

        keeper = Keeper(frame, fragments, lambda: [named(column.type) for column in batch.columns])

        def place(row: int) -> Place:
            return Place(ordinals[row], 0, -1, keeper.raw(row))

        return Portion(Table(frame, ordinals, place, fragments), rejects, orjson.dumps(list(after)))


class _Spent:
    """Cuts batches into parts that fit a table, by what their values come to once unfolded, and adds that up."""

    def __init__(self, file_bytes: int, limits: Limits) -> None:
        self._file_bytes = file_bytes
        self._limits = limits
        self._bytes = 0

    def parts(self, batch: pa.RecordBatch, where: str) -> Iterator[pa.RecordBatch]:
        """Yield the parts of a batch. Raises `Unreadable` where its values come to too much."""
        folded = [column for column in batch.columns if pa.types.is_dictionary(column.type)]
        if not folded:
            self._add(batch.nbytes, where)
            yield batch
            return
        sizes = pl.select(pl.sum_horizontal(_sizes(column) for column in folded)).to_series().cum_sum()
        self._add(int(sizes[-1]) if sizes.len() else 0, where)
        start = 0
        while start < batch.num_rows:
            spent = int(sizes[start - 1]) if start else 0
            end = max(start + 1, int(sizes.search_sorted(spent + self._limits.table_bytes, side="right")))
            yield batch.slice(start, end - start)
            start = end

    def _add(self, size: int, where: str) -> None:
        limits = self._limits
        self._bytes += size
        if self._bytes > limits.ratio_from and self._bytes > limits.expansion * self._file_bytes:
            raise refusal("expands_too_far", limit=limits.expansion, count=self._bytes, where=where)


def _sizes(column: pa.DictionaryArray) -> pl.Series:
    lengths = pc.binary_length(column.dictionary).cast(pa.int64())
    return pl.Series(pc.fill_null(lengths.take(column.indices), 0))


def _judge_ends(path: Path, limits: Limits) -> None:
    size = path.stat().st_size
    if not size:
        raise refusal("empty_file")
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(max(0, size - 8))
        tail = file.read()
    if head == _ENCRYPTED or tail[-4:] == _ENCRYPTED:
        raise refusal("encrypted", where="The file")
    if head != _MAGIC:
        raise refusal("not_parquet", what=f"it begins with {head!r}")
    if tail[-4:] != _MAGIC or size < 12:  # noqa: PLR2004  two marks and a length
        raise refusal("truncated", where=f"at byte {size:,}, before its footer")
    footer = struct.unpack("<L", tail[-8:-4])[0]
    if footer > size - 12:
        raise refusal("damaged", where="at its end", what=f"it says that its footer has {footer:,} bytes")
    if footer > limits.footer_bytes:
        raise refusal("part_too_large", where="The footer", limit=limits.footer_bytes)


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Say of what the library cannot read where that is."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        text = str(error)
        if "encrypt" in text.lower():
            raise refusal("encrypted", where="A part of the file") from None
        raise refusal("damaged", where=where, what=text.splitlines()[0] if text else type(error).__name__) from None


def _first(file: pq.ParquetFile, group: int) -> int:
    return sum(int(file.metadata.row_group(before).num_rows) for before in range(group))


def _folded(path: Path, file: pq.ParquetFile, group: int, limits: Limits) -> list[str]:
    """Return the columns of strings whose dictionary is so wide that a batch of them has to be measured before it is unfolded."""
    footer, names = file.metadata.row_group(group), set(file.schema_arrow.names)
    widest = limits.table_bytes // limits.table_rows
    columns = [footer.column(index) for index in range(footer.num_columns)]
    texts = [column for column in columns if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page and column.path_in_schema in names]
    wide = [column.path_in_schema for column in texts if column.total_uncompressed_size > widest]
    if not wide:
        return []
    with pq.ParquetFile(
        path, metadata=file.metadata, pre_buffer=False, buffer_size=_PROBE_BYTES, read_dictionary=wide
    ) as probe:  # one row gives the dictionaries whole
        row = next(probe.iter_batches(batch_size=1, row_groups=[group], columns=wide, use_threads=False), None)
    return [] if row is None else [name for name in wide if _widest(row.column(name)) > widest]


def _widest(column: pa.Array) -> int:
    return int(pc.max(pc.binary_length(column.dictionary)).as_py() or 0) if pa.types.is_dictionary(column.type) else 0


def _too_large(batch: pa.RecordBatch, most: int) -> dict[int, tuple[str, str]]:
    """Return the rows that have a value which fits no record: the column and how the value begins."""
    large: dict[int, tuple[str, str]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if column.nbytes <= most and not pa.types.is_dictionary(column.type):
            continue
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            continue
        lengths = pc.binary_length(column.dictionary if pa.types.is_dictionary(column.type) else column)
        if (pc.max(lengths).as_py() or 0) <= most:
            continue
        sizes = _sizes(column) if pa.types.is_dictionary(column.type) else pl.Series(pc.fill_null(lengths.cast(pa.int64()), 0))
        for row in (sizes > most).arg_true().to_list():
            value = column[row].as_py()
            large.setdefault(row, (name, value[:VALUE_CHARS] if isinstance(value, str) else base64.b64encode(value[:VALUE_CHARS]).decode()))
    return large


def frame_of(batch: pa.RecordBatch) -> tuple[pl.DataFrame, frozenset[str]]:
    """Return a batch as a frame, and which of its columns are JSON fragments."""
    names = distinct(batch.schema.names)
    made: dict[str, pl.Series] = {}
    fragments: set[str] = set()
    plain: dict[str, pa.Array] = {}
    for name, array in zip(names, batch.columns, strict=True):
        flat = array.storage if isinstance(array, pa.ExtensionArray) else array
        if pa.types.is_dictionary(flat.type):
            flat = flat.dictionary_decode()
        if pa.types.is_nested(flat.type):
            fragments.add(name)
            made[name] = _fragments(name, flat)
        elif _is_binary(flat.type):
            made[name] = pl.Series(name, pl.from_arrow(flat.cast(pa.large_binary()))).bin.encode("base64")
        else:
            plain[name] = _expressible(flat)
    if not plain:
        return pl.DataFrame(list(made.values())), frozenset(fragments)
    frame = pl.DataFrame(pl.from_arrow(pa.RecordBatch.from_pydict(plain), rechunk=False))  # all at once: twice as fast as one by one
    return frame.with_columns(made.values()).select(names) if made else frame, frozenset(fragments)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind))


def _expressible(array: pa.Array) -> pa.Array:
    """Return values in a type that Polars has."""
    if pa.types.is_decimal256(array.type):
        return array.cast(pa.string())
    return array.cast(pa.float32()) if pa.types.is_float16(array.type) else array


def _fragments(name: str, array: pa.Array) -> pl.Series:
    values = (array.slice(row, 1).to_pylist(maps_as_pydicts="lossy")[0] for row in range(len(array)))
    texts = (None if value is None else orjson.dumps(value, default=plain, option=orjson.OPT_NON_STR_KEYS).decode() for value in values)
    return pl.Series(name, list(texts), pl.String)
