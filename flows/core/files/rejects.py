"""A row that an import turned away."""

from typing import Final, NamedTuple

RAW_BYTES: Final = 64 * 1024
"""Most of a row that is kept with a reject."""
VALUE_CHARS: Final = 256
"""Most of a value that is kept with a reject."""


class Reject(NamedTuple):
    """Why one row was turned away, and where in the file it is; a row may have several."""

    ordinal: int
    """The row, from 0."""
    line: int
    """Its line in the file, from 1; 0 where lines mean nothing."""
    offset: int
    """The byte of the file it begins at; -1 where that means nothing."""
    column: str
    """The column, by its name after mapping; empty: the row as a whole."""
    code: str
    """Stable: a row of a table of codes."""
    rule: str
    """The rule that was broken, as it was written; of damage that was found while reading what was expected, such as `3 columns`, or empty."""
    value: str
    """What was there, 256 characters at most."""
    raw: bytes
    """The row as it stood in the file, 64 KiB at most."""
