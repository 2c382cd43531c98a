"""Rejected rows on their way into a file of their own format: they lie on disk until all their columns are known, and are written from there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from connectors.files.bounds import refusal
from connectors.files.written import Columns, Line, Writer
from flows.core.errors import BadRequest
from flows.core.files import kept
from flows.core.files.kept import ERROR, FRAGMENT, ROW, WRITTEN, Kept

SPOOL: Final = "spool"
SPOOL_BYTES: Final = 1 << 30
"""Most that all rows of a file come to."""
MOST_COLUMNS: Final = 16_000
"""Of all rows together; a sheet has some more."""
GROUP_ROWS: Final = 5_000
GROUP_BYTES: Final = 4 << 20
"""Rows that are written together come to no more than this, and one."""


class Spooled:
    """The rows of one file: all are added, and then written some at a time."""

    def __init__(self, form: str, home: Path) -> None:
        """Begin, in a directory where the file and what it is made of are to lie. Raises `BadRequest` for a format that is not written so."""
        if form not in kept.TYPED:
            raise BadRequest(f"Rows of {form!r} are not written here.")
        self._form = form
        self.path: Final = home / WRITTEN
        """The file that is made."""
        self._spool: BinaryIO = (home / SPOOL).open("w+b")
        self._columns = Columns({}, "")
        self._like: tuple[tuple[str, ...], bytes] | None = None
        self._steps: Iterator[None] | None = None

    def add(self, told: Sequence[str], rows: Sequence[bytes]) -> None:
        """Take rows as they were kept, each with what is wrong with it. Raises `Unreadable` where they are too much for one file."""
        with _fitting():
            for error, raw in zip(told, rows, strict=True):
                self._spool.write(orjson.dumps([error, raw.decode("utf-8", "replace")]) + b"\n")
                self._look(raw)
            if self._spool.tell() > SPOOL_BYTES:
                raise refusal("does_not_fit", what=f"they come to more than {SPOOL_BYTES:,} bytes")
            if len(self._columns.types) > MOST_COLUMNS:
                raise refusal("does_not_fit", what=f"together they have more than {MOST_COLUMNS:,} columns")

    def write(self) -> bool:
        """Write the next of them; tells whether that was the last. Raises `Unreadable` as `add` does."""
        with _fitting():
            if self._steps is None:
                self._spool.seek(0)
                self._steps = self._written(self._writer())
            return next(self._steps, True) is True

    def close(self) -> None:
        """Let go of what was spooled."""
        self._spool.close()

    def _look(self, raw: bytes) -> None:
        """Take notice of the columns of a row; most are like the last."""
        found = kept.read(raw)
        if found is None:
            if raw and not self._columns.row:
                self._columns = self._columns._replace(row=ROW)
        elif self._like != (found.names, found.types):
            self._like = found.names, found.types
            known = self._columns.types
            for name, kind in zip(found.names, kept.types_of(found.types), strict=True):
                if name != ERROR:  # of an import before
                    known[name] = kind if known.get(name, kind) == kind else FRAGMENT

    def _writer(self) -> Writer:
        columns = self._columns
        while columns.row in columns.types:
            columns = columns._replace(row=f"{columns.row}_")
        self._columns = columns
        if self._form == "excel":
            from connectors.files.xlsx_writer import Workbook  # noqa: PLC0415 - only what writes workbooks needs it

            return Workbook(self.path, columns.names)
        from connectors.files.parquet_writer import ParquetFile  # noqa: PLC0415 - its library takes 30 MB and a tenth of a second, which workbooks are spared

        return ParquetFile(self.path, columns)

    def _written(self, writer: Writer) -> Iterator[None]:
        """Write group by group."""
        while group := list(self._group()):
            writer.add(group)
            yield
        writer.finish()
        self.close()

    def _group(self) -> Iterator[Line]:
        size = 0
        for line in islice(self._spool, GROUP_ROWS):
            size += len(line)
            error, text = orjson.loads(line)
            yield self._line(error, text.encode())
            if size >= GROUP_BYTES:
                break

    def _line(self, error: str, raw: bytes) -> Line:
        found: Kept | None = kept.read(raw)
        if found is None:
            return Line(error, {self._columns.row: (raw.decode(), "string")} if raw else {})
        types = kept.types_of(found.types)
        return Line(error, {name: (value, kind) for name, value, kind in zip(found.names, found.values, types, strict=True) if name != ERROR})


@contextmanager
def _fitting() -> Iterator[None]:
    """Have it told that a file has grown as far as it may, or the disk is full."""
    try:
        yield
    except OSError as error:
        raise refusal("does_not_fit", what=error.strerror or str(error)) from None
