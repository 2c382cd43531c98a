"""Rows of Parquet that were turned away come back as they were read, and go into a file as they stood in theirs, whatever they hold."""

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files.bounds import Limits
from connectors.files.parquet import Parquet
from connectors.files.reread import reads
from connectors.files.spooled import Spooled
from flows.core.files.pieces import Piece


def ints(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


DAY_US = 86_400_000_000
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLAT: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    *((kind, ints(kind.bit_width)) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
    *((kind, ints(kind.bit_width, signed=False)) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.string(), TEXT),
    (pa.binary(), st.binary(max_size=20)),
    (pa.binary(4), st.binary(min_size=4, max_size=4)),
    (pa.decimal128(20, 3), st.decimals(-(10**16), 10**16, places=3)),
    (pa.date32(), ints(32)),
    *((pa.timestamp(unit, zone), ints(63)) for unit in ("ms", "us", "ns") for zone in (None, "UTC", "America/New_York")),
    *((pa.duration(unit), ints(63)) for unit in ("ms", "us", "ns")),
    (pa.time64("us"), st.integers(0, DAY_US - 1)),
    (pa.time64("ns"), st.integers(0, DAY_US * 1000 - 1)),
    (pa.time32("ms"), st.integers(0, DAY_US // 1000 - 1)),
]


@st.composite
def tables(draw: Callable[[st.SearchStrategy[Any]], Any]) -> pa.Table:
    rows = draw(st.integers(1, 5))
    names = TEXT.filter(lambda name: name not in {"", "_error"})
    columns = draw(st.dictionaries(names, st.sampled_from(FLAT), min_size=1, max_size=6))
    values = {name: draw(st.lists(st.none() | each, min_size=rows, max_size=rows)) for name, (_, each) in columns.items()}
    return pa.table({name: pa.array(values[name], kind) for name, (kind, _) in columns.items()})


@settings(max_examples=300)
@given(tables())
def test_rows_come_back_as_they_were(table: pa.Table) -> None:
    with TemporaryDirectory() as home:
        path = Path(home) / "file"
        pq.write_table(table, path)
        ((held, _, _),) = Parquet(Limits()).tables(path)
        places = [held.place(at) for at in range(table.num_rows)]
        (again,) = reads([Piece(-1, place.raw, 0, place.ordinal, 1) for place in places])
        assert again.table.frame.schema == held.frame.schema
        assert again.table.frame.equals(held.frame)
        spooled = Spooled("parquet", Path(home))
        spooled.add(["bad"] * table.num_rows, [place.raw for place in places])
        while not spooled.write():
            pass
        written = pq.read_table(io.BytesIO(spooled.path.read_bytes()))
        assert written.drop_columns("_error").schema.equals(pq.read_table(path).schema)
        one, other = (pl.DataFrame(pl.from_arrow(each)) for each in (written.drop_columns("_error"), pq.read_table(path)))
        assert one.equals(other)
