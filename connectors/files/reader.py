"""What every reader of a format does."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from connectors.files.table import Table
from flows.core.files.pieces import Piece
from flows.core.files.rejects import Reject

AT_ONCE: Final = 2 * 1024 * 1024
"""Bytes that are parsed together: more of them are no faster, and take memory."""


class Read(NamedTuple):
    """What a reader made of some bytes: rows, and rows that are none."""

    table: Table
    rejects: list[Reject]
    """Damage, in the order of the file: `rule` is empty."""
    rows_read: int
    """How many rows of the file these are: those of `table`, and those turned away."""


class Reader(Protocol):
    """Reads one file from its pieces, in order. Bytes never make it raise, unless nothing of the file can be read: then `Unreadable`."""

    def read(self, pieces: Sequence[Piece]) -> Iterator[Read]:
        """Take pieces that follow one another, and yield the rows that are whole now: one table or several, none while more bytes are needed."""
        ...

    def finish(self) -> Iterator[Read]:
        """Yield what is left; the file is over."""
        ...

    def state(self) -> bytes:
        """Return what a reader of the same kind goes on from: names of columns, how far a whole was read. Rarely more than some KiB."""
        ...

    def goes_on(self) -> int:
        """Return the byte of the file from which a reader with this state has to be fed: behind what was read, or where something begins that is not over."""
        ...


class Unreadable(Exception):
    """The file cannot be read at all: `code` is stable, the sentence says what it is, where, and what to do."""

    def __init__(self, code: str, sentence: str) -> None:
        """Make it of both."""
        super().__init__(sentence)
        self.code = code
