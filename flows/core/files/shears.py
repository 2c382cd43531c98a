"""What all cutters share: what is held back, where the file stands, and how records larger than a piece are spread."""

from abc import ABC, abstractmethod
from typing import Any, Final, NamedTuple

import orjson

from flows.core.files.pieces import LEAST_BYTES, PIECE_BYTES, Part, Piece, Refusal
from flows.core.files.units import bom, shadow, width

START: Final = ""
"""The mode between two records."""
_PATIENCE: Final = 8
"""Where what is held does not suffice, this part of a piece more has to come before it is looked at again: small blocks would cost a look each."""


class Run(NamedTuple):
    """Whole records that were gone over at once."""

    at: int
    """Behind them."""
    records: int


class Stride(NamedTuple):
    """How far a record, or what stands between two, surely goes."""

    at: int
    mode: str = START
    """Where in the record one stands there; START: it is over."""
    records: int = 1
    """0: what was gone over is no record."""
    alone: bool = False
    """It has to be a piece of its own."""
    fresh: bool = False
    """It has to begin a piece."""


class Shears(ABC):
    """A cutter whose records follow one another; all places are code units of what is held."""

    def __init__(self, saved: bytes | None, *, encoding: str = "utf-8", piece_bytes: int = PIECE_BYTES) -> None:
        """Go on from a saved state, or begin."""
        self.refused: Refusal | None = None
        self.units = b""
        self._raw = b""
        self._blocks: list[bytes] = []
        self._waiting = 0
        self.encoding, self._width = encoding, width(encoding)
        self.limit = piece_bytes // self._width
        self._most = max(1, piece_bytes // LEAST_BYTES)
        self._wanted = self.limit + 1
        self._at, self._line, self._ordinal, self._owed, self._mode = 0, 1, 0, 0, START
        if saved:
            self._at, self._line, self._ordinal, self._owed, self._mode, more = orjson.loads(saved)
            self.restore(more)

    @abstractmethod
    def run(self, at: int, end: int, *, final: bool) -> Run:
        """Go over as many whole records between these as can be proved cheaply; none is always right."""

    @abstractmethod
    def stride(self, at: int, mode: str, *, final: bool) -> Stride:
        """Go on from `at`; a mode other than START, or no progress: more has to be fed. With `final`, nothing comes behind the units."""

    def lines(self, units: bytes) -> int:
        """Count line ends."""
        returns = units.count(b"\r")
        return units.count(b"\n") + (returns - units.count(b"\r\n") if returns else 0)

    def ends(self, at: int, end: int) -> int:
        """Count what may end a record: about as many records lie between these, or fewer."""
        return max(self.units.count(b"\n", at, end), self.units.count(b"\r", at, end))

    def shadowed(self, raw: bytes) -> bytes:
        """Return the code units of bytes of the file, one byte each."""
        return shadow(raw, self.encoding)

    def more(self) -> Any:
        """Return what else a state holds, as JSON; as of the last piece."""
        return None

    def restore(self, more: Any) -> None:  # noqa: B027  most have nothing more
        """Take it back."""

    def after(self, piece: Piece, *, over: bool) -> None:  # noqa: B027  as above
        """Be told of each piece, and whether it is over with its last record."""

    def committed(self, records: int) -> int:
        """Say how many of the records of a piece that is cut now count; a header does not."""
        return records

    def feed(self, block: bytes) -> list[Piece]:
        """Take the next bytes, and return the pieces that are whole now."""
        pieces: list[Piece] = []
        for at in range(0, len(block), PIECE_BYTES):
            part = block[at : at + PIECE_BYTES]
            self._blocks.append(part)
            self._waiting += len(part)
            if self._waiting + len(self._raw) >= self._wanted * self._width and not self.refused:
                self._join(final=False)
                pieces += self._pieces(final=False)
            if self.refused:
                self._blocks, self._waiting, self._raw, self.units = [], 0, b"", b""
        return pieces

    def finish(self) -> list[Piece]:
        """Return what is left; the file is over."""
        self._join(final=True)
        return self._pieces(final=True)

    def state(self) -> bytes:
        """Return what a cutter of the same kind goes on from behind the last piece that was returned."""
        return orjson.dumps([self._at, self._line, self._ordinal, self._owed, self._mode, self.more()])

    def _join(self, *, final: bool) -> None:
        self._raw = b"".join([self._raw, *self._blocks])
        self._blocks, self._waiting = [], 0
        odd = 0 if final else len(self._raw) % self._width
        self.units = self.shadowed(self._raw[: len(self._raw) - odd] if odd else self._raw)

    def _pieces(self, *, final: bool) -> list[Piece]:
        pieces: list[Piece] = []
        while self.units and not self.refused and (final or len(self.units) > self.limit):
            piece = self._inside(final=final) if self._mode or self._owed else self._between(final=final)
            if piece is None:
                break
            pieces.append(piece)
        self._wanted = max(self.limit + 1, len(self.units) + (0 if len(self.units) <= self.limit else self.limit // _PATIENCE))
        return pieces

    def _between(self, *, final: bool) -> Piece | None:
        """Cut a piece of whole records, or the beginning of one."""
        mark = len(bom(self.encoding)) // self._width if self._at == 0 and self._raw.startswith(bom(self.encoding) or b"\0\0\0") else 0
        good, records, stride, enough = mark, 0, Stride(mark, START, 0), self._enough()
        while good < min(enough, len(self.units)):
            run = self.run(good, min(enough, len(self.units)), final=final)
            if run.at > good:
                good, records = run.at, records + run.records
                continue
            stride = self.stride(good, START, final=final)
            whole = stride.mode == START and good < stride.at <= self.limit
            if self.refused or not whole or (stride.alone and records) or (stride.fresh and good > mark):
                break
            good, records = stride.at, records + stride.records
            if stride.alone:
                return self._cut(good, records, Part.RECORDS)
        if good > mark or (final and good == len(self.units)):
            return self._cut(good, records, Part.RECORDS)
        if self.refused or stride.at <= self.limit:
            return None
        self._owed, self._mode = stride.at, stride.mode
        return self._cut(self.limit, stride.records, Part.BEGIN)

    def _enough(self) -> int:
        """Return the place from which on a piece takes no further record; what it depends on are units alone, wherever a cutter has begun."""
        at, end, left = 0, min(self.limit, len(self.units)), self._most
        if self.ends(at, end) <= left:
            return self.limit
        while end - at > 1:
            middle = (at + end) // 2
            found = self.ends(at, middle)
            if found < left:
                at, left = middle, left - found
            else:
                end = middle
        return end

    def _inside(self, *, final: bool) -> Piece | None:
        """Cut from a record that is larger than a piece."""
        while self._mode and self._owed <= self.limit:
            stride = self.stride(self._owed, self._mode, final=final)
            if stride.at == self._owed and stride.mode == self._mode:
                return None
            self._owed, self._mode = stride.at, stride.mode
        if self._owed > self.limit:
            return self._cut(self.limit, 0, Part.MIDDLE)
        return self._cut(self._owed, 0, Part.END)

    def _cut(self, end: int, records: int, part: Part) -> Piece:
        """Take a piece off what is held; never between CR and LF."""
        if part in (Part.BEGIN, Part.MIDDLE) and self.units[end - 1 : end + 1] == b"\r\n":
            end -= 1
        size, raw = min(end * self._width, len(self._raw)), self._raw
        counted = self.committed(records)
        piece = Piece(self._at, self._raw[:size], self._line, self._ordinal, counted, part)
        self._line += self.lines(self.units[:end])
        self._at, self._ordinal = self._at + size, self._ordinal + counted
        self._owed = self._owed - end if part in (Part.BEGIN, Part.MIDDLE, Part.END) else 0
        self._raw = self._raw[size:]
        self.units = self._raw if self.units is raw else self.units[end:]
        self.after(piece, over=not self._owed and not self._mode)
        return piece
