"""What a file of rejected rows is made of, whatever its format."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from flows.core.files.kept import ERROR, Type


class Columns(NamedTuple):
    """The columns of the rows, in the order in which they came."""

    types: dict[str, Type]
    """By name; JSON where rows have different ones."""
    row: str
    """The one that holds rows as texts whose columns cannot be told; empty: there are none such."""

    @property
    def names(self) -> list[str]:
        """All that are written."""
        return [ERROR, *self.types, *([self.row] if self.row else [])]


class Line(NamedTuple):
    """One row, as it is written."""

    error: str
    values: dict[str, tuple[Any, Type]]


class Writer(Protocol):
    """Writes the file of one format."""

    def add(self, lines: Sequence[Line]) -> None:
        """Write the next rows."""
        ...

    def finish(self) -> None:
        """End the file."""
        ...
