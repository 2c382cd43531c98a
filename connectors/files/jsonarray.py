"""JSON values that are the elements of an array, or stand one behind the other: the records, as the cutter found them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from connectors.files import jsonjudge
from connectors.files.bypiece import ByPiece
from connectors.files.jsonjudge import JsonOptions, strip
from connectors.files.jsonparser import TOGETHER, Decoders, JsonParser
from connectors.files.places import Span
from connectors.files.transcode import transcoded
from flows.core.files.pieces import Piece

DEFAULT = JsonOptions()
PART_BYTES: Final = 16 * 1024
"""As much of a piece as is parsed at once: structs of more leave the caches, and memory is asked of the system again and again."""


def reader(options: JsonOptions = DEFAULT, state: bytes = b"", goes_on: int = 0, encoding: str = "utf-8") -> ByPiece:
    """Make a `Reader` of elements of an array, which goes on from what `state` and `goes_on` of another said."""
    return ByPiece(transcoded(JsonParser(_Elements(), options, state), encoding), goes_on)


def concatenated(options: JsonOptions = DEFAULT, state: bytes = b"", goes_on: int = 0) -> ByPiece:
    """Make a `Reader` of objects that stand one behind the other, on as many lines as they like."""
    return ByPiece(JsonParser(_Values(), options, state), goes_on)


class _Elements:
    def spans(self, piece: Piece) -> Sequence[Span] | None:
        return _counted(piece, jsonjudge.elements)

    def structs(self, piece: Piece, decoders: Decoders) -> Iterator[list[Any]]:
        data, at, count = piece.data.rstrip(b" \t\r\n").removesuffix(b","), 0, 0
        while at < len(data):
            # Without objects in objects it ends a record, or stands in a string, and then neither part is JSON.
            end = data.find(b"},", at + PART_BYTES) + 1 if decoders.flat else 0
            rows = decoders.many(b"[%b]" % (data[at:end] if end else data[at:]))
            at, count = end + 1 if end else len(data), count + len(rows)
            yield rows
        if count != piece.records:
            raise ValueError(count)

    def alone(self, line: bytes) -> Span | None:
        return jsonjudge.lone(line)


class _Values:
    def spans(self, piece: Piece) -> Sequence[Span] | None:
        return _counted(piece, jsonjudge.values)

    def structs(self, piece: Piece, decoders: Decoders) -> Iterator[list[Any]]:
        spans = self.spans(piece) or ()
        for at in range(0, len(spans), TOGETHER):
            yield [decoders.one(piece.data[start:end]) for start, end in spans[at : at + TOGETHER]]

    def alone(self, line: bytes) -> Span | None:  # noqa: ARG002  where one ends here depends on all before it
        return None


def _counted(piece: Piece, find: Callable[[bytes], list[Span]]) -> Sequence[Span] | None:
    spans = find(piece.data)
    if len(spans) == piece.records:
        return spans
    return [strip(piece.data, 0, len(piece.data))] if piece.records == 1 else None  # damage is cut off as one record
