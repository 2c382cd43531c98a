"""Cuts a file that is read as a whole: Parquet, Excel, whatever is compressed."""

from typing import Final

from flows.core.files.pieces import PIECE_BYTES, Part, Piece, Refusal


class RawCutter:
    """Pieces of equal size; they have no records and no lines."""

    refused: Final[Refusal | None] = None

    def __init__(self, saved: bytes | None = None, *, piece_bytes: int = PIECE_BYTES) -> None:
        """Go on from a saved state, or begin."""
        self._at = int(saved or b"0")
        self._held: list[bytes] = []
        self._size = 0
        self._piece_bytes = piece_bytes

    def feed(self, block: bytes) -> list[Piece]:
        """Take the next bytes, and return the pieces that are whole now."""
        self._held.append(block)
        self._size += len(block)
        return self._cut(self._size - self._size % self._piece_bytes) if self._size >= self._piece_bytes else []

    def finish(self) -> list[Piece]:
        """Return what is left; the file is over."""
        return self._cut(self._size)

    def state(self) -> bytes:
        """Return what a cutter goes on from."""
        return b"%d" % self._at

    def _cut(self, size: int) -> list[Piece]:
        held, base = b"".join(self._held), self._at
        self._held, self._size, self._at = [held[size:]], self._size - size, base + size
        return [Piece(base + at, held[at : min(at + self._piece_bytes, size)], 0, 0, 0, Part.RAW) for at in range(0, size, self._piece_bytes)]
