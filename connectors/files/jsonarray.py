"""JSON values that are the elements of an array, or stand one behind the other: the records, as the cutter found them."""

from collections.abc import Callable, Sequence
from typing import Any

from connectors.files import jsonjudge
from connectors.files.bypiece import ByPiece
from connectors.files.jsonjudge import JsonOptions, strip
from connectors.files.jsonparser import Decoders, JsonParser
from connectors.files.places import Span
from connectors.files.transcode import transcoded
from flows.core.files.pieces import Piece

DEFAULT = JsonOptions()


def reader(options: JsonOptions = DEFAULT, state: bytes = b"", goes_on: int = 0, encoding: str = "utf-8") -> ByPiece:
    """Make a `Reader` of elements of an array, which goes on from what `state` and `goes_on` of another said."""
    return ByPiece(transcoded(JsonParser(_Elements(), options, state), encoding), goes_on)


def concatenated(options: JsonOptions = DEFAULT, state: bytes = b"", goes_on: int = 0) -> ByPiece:
    """Make a `Reader` of objects that stand one behind the other, on as many lines as they like."""
    return ByPiece(JsonParser(_Values(), options, state), goes_on)


class _Elements:
    def spans(self, piece: Piece) -> Sequence[Span] | None:
        return _counted(piece, jsonjudge.elements)

    def structs(self, piece: Piece, decoders: Decoders) -> list[Any] | None:
        rows = decoders.many(b"[%b]" % piece.data.rstrip(b" \t\r\n").removesuffix(b","))
        return rows if len(rows) == piece.records else None


class _Values:
    def spans(self, piece: Piece) -> Sequence[Span] | None:
        return _counted(piece, jsonjudge.values)

    def structs(self, piece: Piece, decoders: Decoders) -> list[Any] | None:
        return [decoders.one(piece.data[start:end]) for start, end in self.spans(piece) or ()]


def _counted(piece: Piece, find: Callable[[bytes], list[Span]]) -> Sequence[Span] | None:
    spans = find(piece.data)
    if len(spans) == piece.records:
        return spans
    return [strip(piece.data, 0, len(piece.data))] if piece.records == 1 else None  # damage is cut off as one record
