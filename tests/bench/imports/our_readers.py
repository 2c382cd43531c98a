"""Our readers: `python -m tests.bench.imports.our_readers FORMAT PATH` reads a file and prints the same as `readers.py`.

What is cut on its way in is cut before: a reader is fed portions of pieces, as the process that reads for a worker is.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from connectors.files.bounds import Limits
from connectors.files.formats import WHOLE, cutter_of, reader_of, settle, whole_reader_of
from connectors.files.reader import Reader
from flows.core.files.pieces import Piece
from tests.bench.imports import data
from tests.bench.imports.readers import measured

BLOCK: Final = 256 * 1024
PORTION: Final = 8
"""Pieces: some four megabytes."""


def pieces(form: str, path: Path, source: dict[str, object]) -> Iterator[Piece]:
    """Cut a file."""
    cut = cutter_of(form, source, None)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield from cut.feed(block)
    yield from cut.finish()


def read(reader: Reader, portions: list[list[Piece]]) -> int:
    """Read them all, and return how many rows they hold."""
    rows = sum(found.rows_read for portion in portions for found in reader.read(portion))
    return rows + sum(found.rows_read for found in reader.finish())


def main(form: str, path: Path) -> None:
    """Read a file once."""
    with path.open("rb") as file:
        source = settle(form, data.source(form), file.read(BLOCK))
    if form in WHOLE:
        with tempfile.TemporaryDirectory() as scratch:
            reader = whole_reader_of(form, source, Limits(), Path(scratch))
            found = measured(lambda: sum(len(portion.table.ordinals) for portion in reader.tables(path)))
    else:
        cut = list(pieces(form, path, source))
        portions = [cut[at : at + PORTION] for at in range(0, len(cut), PORTION)]
        found = measured(partial(read, reader_of(form, source, b"", 0), portions))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
