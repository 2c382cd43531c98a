"""Pieces of a file: cut between records, so that each can be read without the others."""

from enum import StrEnum
from typing import Final, NamedTuple, Protocol

PIECE_BYTES: Final = 512 * 1024
"""Most of one piece: with its headers it fits a broker's default limit of 1 MiB."""


class Part(StrEnum):
    """What a piece holds."""

    RECORDS = "records"
    """Whole records, one or more."""
    BEGIN = "begin"
    """The first bytes of one record that is larger than a piece."""
    MIDDLE = "middle"
    END = "end"
    RAW = "raw"
    """Bytes of a format that is read as a whole."""


class Piece(NamedTuple):
    """Bytes that follow one another in a file, of `PIECE_BYTES` at most."""

    start: int
    """Where in the file they begin."""
    data: bytes
    line: int
    """The line of the file in which they begin, from 1; 0 where lines mean nothing."""
    first: int
    """The ordinal of the first record in them, from 0; a header is no record."""
    records: int
    """How many records begin in them."""
    part: Part = Part.RECORDS


class Refusal(NamedTuple):
    """Why a file is not cut any further."""

    code: str
    """Stable, such as `doctype` or `path_not_found`."""
    detail: str
    """A sentence for a person: what, where, what to do."""


class Cutter(Protocol):
    """Cuts one file, block by block; what it holds back is the beginning of a record whose end has not come."""

    @property
    def refused(self) -> Refusal | None:
        """Why nothing more comes of this file, whatever is fed; None: all is well."""
        ...

    def feed(self, block: bytes) -> list[Piece]:
        """Take the next bytes, and return the pieces that are whole now. Never raises for what the bytes are."""
        ...

    def finish(self) -> list[Piece]:
        """Return what is left; the file is over."""
        ...

    def state(self) -> bytes:
        """Return what a cutter of the same kind goes on from behind the last piece that was returned: what it held back has to be fed again."""
        ...
