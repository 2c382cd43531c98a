"""NDJSON: an object a line; lines that are blank are no records."""

from collections.abc import Iterator, Sequence
from typing import Any

from connectors.files.bypiece import ByPiece
from connectors.files.jsonjudge import JsonOptions, strip
from connectors.files.jsonparser import TOGETHER, Decoders, JsonParser
from connectors.files.places import Span
from connectors.files.transcode import transcoded
from flows.core.files.pieces import Piece

DEFAULT = JsonOptions()


def reader(options: JsonOptions = DEFAULT, state: bytes = b"", goes_on: int = 0, encoding: str = "utf-8") -> ByPiece:
    """Make a `Reader` of NDJSON, which goes on from what `state` and `goes_on` of another said."""
    return ByPiece(transcoded(JsonParser(_Lines(), options, state), encoding), goes_on)


class _Lines:
    def spans(self, piece: Piece) -> Sequence[Span]:
        spans = []
        begin = 0
        for line in piece.data.split(b"\n"):
            end = begin + len(line)
            span = Span(begin, end) if line[:1] == b"{" and line[-1:] == b"}" else strip(piece.data, begin, end)
            begin = end + 1
            if span.start < span.end:
                spans.append(span)
        return spans

    def structs(self, piece: Piece, decoders: Decoders) -> Iterator[list[Any]]:
        lines = piece.data.split(b"\n")
        for at in range(0, len(lines), TOGETHER):
            yield [decoders.one(line) for line in lines[at : at + TOGETHER] if line.strip()]

    def alone(self, line: bytes) -> Span | None:
        span = strip(line, 0, len(line))
        return span if span.start < span.end else None
