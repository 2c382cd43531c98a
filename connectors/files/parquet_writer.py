"""Writes rejected rows as Parquet: columns of the types they had in their file, a row group for each lot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.files.arrow_types import array, of
from connectors.files.written import Columns, Line
from flows.core.files.kept import ERROR, Type


class ParquetFile:
    """One file that is being written."""

    def __init__(self, path: Path, columns: Columns) -> None:
        """Begin it."""
        self._types: dict[str, Type] = {**columns.types, **({columns.row: "string"} if columns.row else {})}
        self._schema = pa.schema([(ERROR, pa.string()), *((name, of(kind)) for name, kind in self._types.items())])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def add(self, lines: Sequence[Line]) -> None:
        """Write a row group."""
        columns = [pa.array([line.error for line in lines], pa.string())]
        columns += [array(kind, [_value(line, name) for line in lines]) for name, kind in self._types.items()]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def finish(self) -> None:
        """Write the footer."""
        self._writer.close()


def _value(line: Line, name: str) -> Any:
    return line.values[name][0] if name in line.values else None
