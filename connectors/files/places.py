"""Where records stand within a piece."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

from connectors.files.codes import Code
from connectors.files.table import Place
from flows.core.files.pieces import Piece
from flows.core.files.rejects import RAW_BYTES, VALUE_CHARS, Reject


class Span(NamedTuple):
    """The bytes of one record, counted from the beginning of its piece."""

    start: int
    end: int


class Fault(NamedTuple):
    """Why a record is no row."""

    code: Code
    at: int = 0
    """The byte of the record at which that was seen."""
    column: str = ""


class Places:
    """Tells where the records of a piece stand; finds them only when it is asked."""

    def __init__(self, piece: Piece, find: Callable[[], Sequence[Span]], ordinals: Sequence[int]) -> None:
        """Take what finds the spans of the rows, of which `ordinals` has as many."""
        self._piece = piece
        self._find = find
        self._ordinals = ordinals
        self._counted = (0, 0)

    @cached_property
    def _spans(self) -> Sequence[Span]:
        return self._find()

    def of(self, span: Span, ordinal: int) -> Place:
        """Return the place of these bytes."""
        piece = self._piece
        line = piece.line and piece.line + self._breaks(span.start)
        return Place(ordinal, line, piece.start + span.start, piece.data[span.start : min(span.end, span.start + RAW_BYTES)])

    def _breaks(self, at: int) -> int:
        """Count line breaks before a byte; mostly on from where they were counted to the last time."""
        begin, breaks = self._counted if self._counted[0] <= at else (0, 0)
        self._counted = at, breaks + self._piece.data.count(b"\n", begin, at)
        return self._counted[1]

    def row(self, index: int) -> Place:
        """Return the place of a row."""
        return self.of(self._spans[index], self._ordinals[index])

    def reject(self, span: Span, ordinal: int, fault: Fault) -> Reject:
        """Make a reject of these bytes; its value is what stands where the fault was seen."""
        place = self.of(span, ordinal)
        seen = self._piece.data[span.start + fault.at : min(span.end, span.start + fault.at + 4 * VALUE_CHARS)]
        return Reject(ordinal, place.line, place.offset, fault.column, fault.code, "", seen.decode(errors="replace")[:VALUE_CHARS], place.raw)
