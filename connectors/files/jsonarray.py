"""A JSON array: its elements are the records; which array of a document it is, the cutter knows."""

from collections.abc import Sequence
from typing import Any

from connectors.files.bypiece import ByPiece
from connectors.files.jsonjudge import JsonOptions, elements, strip
from connectors.files.jsonparser import Decoders, JsonParser
from connectors.files.places import Span
from flows.core.files.pieces import Piece

DEFAULT = JsonOptions()


def reader(options: JsonOptions = DEFAULT, state: bytes = b"", goes_on: int = 0) -> ByPiece:
    """Make a `Reader` of elements of an array, which goes on from what `state` and `goes_on` of another said."""
    return ByPiece(JsonParser(_Elements(), options, state), goes_on)


class _Elements:
    def spans(self, piece: Piece) -> Sequence[Span] | None:
        spans = elements(piece.data)
        if len(spans) == piece.records:
            return spans
        return [strip(piece.data, 0, len(piece.data))] if piece.records == 1 else None  # damage is cut off as one record

    def structs(self, piece: Piece, decoders: Decoders) -> list[Any] | None:
        rows = decoders.many(b"[%b]" % piece.data.strip(b" \t\r\n,"))
        return rows if len(rows) == piece.records else None
