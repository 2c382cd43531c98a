"""The pieces of one upload, in the order of its file, as whoever reads it wants them: portion by portion, and one portion ahead."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from flows.core import topics
from flows.core.errors import Unavailable
from flows.core.files.pieces import PIECE_BYTES, Piece
from flows.core.imports.shelf import CUT, UPLOAD, NotAPiece, read
from flows.core.record import Record
from flows.core.settings import Settings
from flows.wire.strand import Strand

PORTION_BYTES: Final = 4 * PIECE_BYTES
NEARLY: Final = 7 / 8
"""A portion is full then: pieces end where records do, so that four have a little less than four times the most, and a fifth would be parsed by itself."""


class Found(NamedTuple):
    """A piece, where it stands, and how its file is cut."""

    offset: int
    piece: Piece
    cut: bytes | None


class Most(NamedTuple):
    """How much one portion may have; of pieces, one at least."""

    rows: int
    size: int
    """Bytes."""


class Gone(Exception):
    """The file cannot be read from its pieces: they are not there any more, or not what was written, or its job cannot be run on it."""

    def __init__(self, sentence: str, code: str = "pieces_gone") -> None:
        """Make it of a stable code and a sentence."""
        super().__init__(sentence)
        self.code = code


class Supply:
    """One thread at a time; close it. What is asked says `first`, `last` and `whole` of an upload, as `flows.steps.asks.ask` has them."""

    def __init__(self, settings: Settings, partition: int, upload_id: str, at: int) -> None:
        """Begin at byte `at` of the file; does not block."""
        self.fed = at
        """The byte behind the last piece that was taken."""
        self._upload = upload_id.encode()
        self._strand = Strand(settings, topics.UPLOADS.name, partition)
        self._ahead: tuple[int, int, list[Found]] | None = None

    def take(self, start: int, asked: dict[str, Any], most: Most) -> list[Found]:
        """Return the pieces of the next portion, from offset `start` on: none where none are left. Blocks until they are read.

        Raises:
            Gone: they are not there any more, or not what was written.
            Unavailable: the broker is away.

        """
        ahead, self._ahead = self._ahead, None
        ready = ahead is not None and ahead[:2] == (start, self.fed)
        found = ahead[2] if ahead is not None and ready else list(self._pieces(start, asked, self.fed, _enough(most)))
        if found:
            self.fed = _end(found[-1].piece)
        return found

    def look_ahead(self, start: int, asked: dict[str, Any], most: Most) -> None:
        """Read what `take` is going to be asked for, where all of the file has come; what goes wrong is for `take` to tell."""
        if asked["whole"] and start < asked["last"]:
            with suppress(Gone, Unavailable):
                self._ahead = start, self.fed, list(self._pieces(start, asked, self.fed, _enough(most)))

    def first(self, asked: dict[str, Any]) -> Found | None:
        """Return the file's first piece, which says how the file is read, wherever reading goes on; raises as `take`."""
        return next(self._pieces(asked["first"], asked, 0, lambda _: True), None)

    def all(self, asked: dict[str, Any]) -> Iterator[Found]:
        """Yield all pieces of the file; raises as `take`."""
        yield from self._pieces(asked["first"], asked, 0, lambda _: False)

    def close(self) -> None:
        """Let go of the connections."""
        self._strand.close()

    def _pieces(self, start: int, asked: dict[str, Any], fed: int, enough: Callable[[Piece], bool]) -> Iterator[Found]:
        """Yield the upload's pieces that follow byte `fed`, from an offset on, until there are enough of them."""
        for record in self._strand.read(start, asked["last"], lambda record: record.header(UPLOAD) == self._upload):
            piece = _piece(record)
            if piece is None or (piece.start < fed and piece.data):
                continue
            if piece.start > fed:
                raise Gone(f"The file's bytes {fed:,} to {piece.start - 1:,} are not on {topics.UPLOADS.name} any more. Upload it again.")
            fed = _end(piece)
            yield Found(record.offset, piece, record.header(CUT))
            if enough(piece):
                return


def _enough(most: Most) -> Callable[[Piece], bool]:
    """Tell piece by piece whether another one would be too much."""
    rows = size = 0

    def enough(piece: Piece) -> bool:
        nonlocal rows, size
        rows += piece.records
        size += len(piece.data)
        return rows >= most.rows or size >= most.size * NEARLY

    return enough


def _end(piece: Piece) -> int:
    return piece.start + len(piece.data)


def _piece(record: Record) -> Piece | None:
    """Return the piece of a record, None for an end."""
    try:
        found = read(record)
    except NotAPiece as error:
        raise Gone(
            f"A piece of the file on {topics.UPLOADS.name}/{record.partition} at offset {record.offset:,} cannot be read: {error}. Upload it again."
        ) from error
    return found if isinstance(found, Piece) else None
