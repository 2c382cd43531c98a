"""Cuts NDJSON, and any text with one record a line."""

from dataclasses import dataclass
from typing import Final

from flows.core.files.pieces import PIECE_BYTES
from flows.core.files.shears import START, Run, Shears, Stride
from flows.core.files.units import named

_WITHIN: Final = "line"


@dataclass(frozen=True)
class LineOptions:
    """How the text is written."""

    encoding: str = "utf-8"


class LineCutter(Shears):
    """A record is a line up to LF; one of white space only is none, unless it is larger than a piece. A byte order mark goes with the first."""

    def __init__(self, options: LineOptions, saved: bytes | None = None, *, piece_bytes: int = PIECE_BYTES) -> None:
        """Go on from a saved state, or begin; raise `BadRequest` for an encoding that cannot be cut."""
        super().__init__(saved, encoding=named(options.encoding), piece_bytes=piece_bytes)

    def lines(self, units: bytes) -> int:
        """Count line ends."""
        return units.count(b"\n")

    def run(self, at: int, end: int, *, final: bool) -> Run:  # noqa: ARG002  an LF is one wherever it stands
        """Go over all lines that end here."""
        stop = self.units.rfind(b"\n", at, end) + 1
        if stop <= at:
            return Run(at, 0)
        found = self.units[at:stop].split(b"\n")
        return Run(stop, len(found) - found.count(b"") - sum(map(bytes.isspace, found)))

    def stride(self, at: int, mode: str, *, final: bool) -> Stride:
        """Go to the end of a line."""
        found = self.units.find(b"\n", at)
        if found < 0 and not final:
            return Stride(len(self.units), _WITHIN)
        end = found + 1 or len(self.units)
        large = mode != START or end - at > self.limit
        return Stride(end, START, int(large or bool(self.units[at:end].strip())))
