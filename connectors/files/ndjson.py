"""NDJSON: an object a line; lines that are blank are no records."""

from collections.abc import Sequence
from typing import Any

from connectors.files.bypiece import ByPiece
from connectors.files.jsonjudge import JsonOptions, strip
from connectors.files.jsonparser import Decoders, JsonParser
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

    def structs(self, piece: Piece, decoders: Decoders) -> list[Any] | None:
        data = piece.data.rstrip(b"\r\n")
        if decoders.flat:
            # Without objects in objects each such break ends a record, or stands in a string, where it is no JSON with a comma before it either.
            ending = b"}\r\n{" if data[data.find(b"\n") - 1 :].startswith(b"\r") else b"}\n{"
            joined = data.replace(ending, b"}," + ending[1:])
            breaks = data.count(b"\n")
            if len(joined) - len(data) == breaks:
                rows = decoders.many(b"[%b]" % joined)
                return rows if len(rows) == breaks + 1 else None
        return [decoders.one(line) for line in data.split(b"\n") if line.strip()]
