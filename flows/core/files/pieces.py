"""Pieces of a file: cut between records, so that each can be read without the others."""

from enum import StrEnum
from typing import Final, NamedTuple, Protocol

PIECE_BYTES: Final = 512 * 1024
"""Most of one piece: with its headers it fits a broker's default limit of 1 MiB."""
LEAST_BYTES: Final = 32
"""A record counts as so many of a piece's bytes, however short it is: a quarter of a million of two bytes would fit, and each may be turned away with a
kilobyte of reasons."""
TRUNCATED: Final = "truncated"
"""The code of a refusal at the end of a file, or of its array: all that was cut before is right, and is read; then the file has failed."""


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

    @property
    def torn(self) -> str:
        """The sentence, where the file breaks off, or its records do, and what was cut of it is to be read all the same; else nothing."""
        return self.detail if self.code == TRUNCATED else ""


def truncated(at: int, records: int, open_: str) -> Refusal:
    """Return the refusal of a file that ends at byte `at`, behind so many records, while `open_` is not closed."""
    where = f"behind record {records:,}" if records else "before its first record"
    sentence = f"The file ends at byte {at:,}, {where}, and {open_} is not closed: the rest is missing. Write it again, to its end, and import that."
    return Refusal(TRUNCATED, sentence)


def unclosed(at: int, records: int, *, lost: bool) -> Refusal:
    """Return the refusal of a file that ends at byte `at` in the last of so many records: it is open, or damaged so that no end of it is found (`lost`)."""
    if lost:
        told = f"Record {records:,} is damaged, and neither its end nor that of the array is found before the file ends at byte {at:,}"
    else:
        told = f"The file ends at byte {at:,}, and record {records:,} is not closed: a quote or bracket in it is missing, or the rest of the file"
    return Refusal(TRUNCATED, f"{told}. Mend that record, or write the file again, to its end, and import that.")


def behind(at: int, records: int) -> Refusal:
    """Return the refusal of a file whose array of so many records is over, while at byte `at` something else stands than white space."""
    where = f"behind record {records:,} and the end of the array" if records else "behind an array without a record"
    mend = "Put all records into one array, or each on a line of its own and give ndjson as data_format, and import that."
    return Refusal(TRUNCATED, f"At byte {at:,}, {where}, something else stands: neither it nor what follows it is read. {mend}")


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
