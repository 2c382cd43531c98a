"""A reader of a format whose pieces can be read one by one: a table a piece."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import polars as pl

from connectors.files.codes import Code
from connectors.files.places import Fault, Places, Span
from connectors.files.reader import AT_ONCE, Read
from connectors.files.table import Table
from flows.core.files.pieces import Part, Piece
from flows.core.files.rejects import RAW_BYTES, Reject

RECORD_BYTES: Final = 4 * 1024 * 1024
"""Most of one record: what comes of it is one message, and brokers take 1 MiB of those."""


class Parser(Protocol):
    """Makes rows of a piece that holds whole records."""

    def parse(self, piece: Piece) -> Read:
        """Return its rows, and what is none. Never raises for what the bytes are."""
        ...

    def parse_all(self, pieces: Sequence[Piece]) -> Iterable[Read]:
        """Yield the rows of pieces that follow one another, of some at once where that can be."""
        ...

    def state(self) -> bytes:
        """Return what it learned and needs to go on."""
        ...


class ByPiece:
    """Puts together records that are larger than a piece, and has each piece parsed; holds `RECORD_BYTES` at most."""

    def __init__(self, parser: Parser, goes_on: int = 0) -> None:
        """Take what reads the pieces, and where in the file they begin."""
        self._parser = parser
        self._goes_on = goes_on
        self._begun: Piece | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def read(self, pieces: Sequence[Piece]) -> Iterator[Read]:
        """Yield tables of pieces of whole records, and of each record that is whole now."""
        together: list[Piece] = []
        size = 0
        for piece in pieces:
            follows = together and together[-1].start + len(together[-1].data) == piece.start and together[-1].first + together[-1].records == piece.first
            if together and not (follows and piece.part is Part.RECORDS and piece.records and size + len(piece.data) <= AT_ONCE):
                yield from self._parser.parse_all(together)
                together, size = [], 0
            if piece.part in {Part.MIDDLE, Part.END} and self._begun is not None:
                self._hold(piece)
            else:
                yield from self.finish()  # the end of what had begun is not in the file
                if piece.part is Part.RECORDS:
                    self._goes_on = piece.start + len(piece.data)
                    if piece.records:  # else it is what stands around the records
                        together.append(piece)
                        size += len(piece.data)
                else:
                    self._begun = piece
                    self._hold(piece)
            if piece.part is Part.END:
                yield from self.finish()
                self._goes_on = piece.start + len(piece.data)
        if together:
            yield from self._parser.parse_all(together)

    def finish(self) -> Iterator[Read]:
        """Yield a record that has begun, as far as it came."""
        if self._begun is None:
            return
        whole = self._begun._replace(data=b"".join(self._parts), part=Part.RECORDS)
        size, self._begun, self._parts, self._size = self._size, None, [], 0
        self._goes_on = whole.start + size
        if not whole.records:
            return
        yield self._parser.parse(whole) if size <= RECORD_BYTES else nothing(whole, [Span(0, len(whole.data))], Fault(Code.RECORD_TOO_LARGE))

    def state(self) -> bytes:
        """Return what the parser needs."""
        return self._parser.state()

    def goes_on(self) -> int:
        """Return the byte behind the last whole record."""
        return self._goes_on

    def _hold(self, piece: Piece) -> None:
        self._size += len(piece.data)
        if self._size <= RECORD_BYTES:
            self._parts.append(piece.data)
        else:
            self._parts = [b"".join(self._parts)[:RAW_BYTES]]


def table(piece: Piece, spans: Sequence[Span], faults: dict[int, Fault]) -> tuple[Places, list[int] | range, list[Reject]]:
    """Tell rows from what is none: `faults`, by the index of the record, the first of which is the piece's first."""
    good = [index for index in range(len(spans)) if index not in faults] if faults else range(len(spans))
    ordinals = [piece.first + index for index in good] if faults else range(piece.first, piece.first + len(spans))
    places = Places(piece, lambda: [spans[index] for index in good], ordinals)
    return places, ordinals, [places.reject(spans[index], piece.first + index, fault) for index, fault in sorted(faults.items())]


def nothing(piece: Piece, spans: Sequence[Span], fault: Fault) -> Read:
    """Return what is read where none of these records is a row, for the same reason."""
    places, ordinals, rejects = table(piece, spans, dict.fromkeys(range(len(spans)), fault))
    rejects[1:] = [one._replace(raw=b"") if span == spans[0] else one for one, span in zip(rejects[1:], spans[1:], strict=True)]  # the same bytes: kept once
    return Read(Table(pl.DataFrame(), ordinals, places.row), rejects, len(spans))
