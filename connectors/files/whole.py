"""What every reader of a format does that is read as a whole: from a file in a scratch directory, table by table."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from connectors.files.table import Table
from flows.core.files.rejects import Reject


class Portion(NamedTuple):
    """What a reader made of the next rows, and how to go on behind them."""

    table: Table
    rejects: list[Reject]
    """Damage, in the order of the file: `rule` is empty. One for each row that was turned away."""
    after: bytes
    """What a reader of the same file goes on from behind these rows, 64 KiB at most."""


class WholeReader(Protocol):
    """Reads one file that lies in a scratch directory."""

    found: Mapping[str, str]
    """What was found out that the job has left open, by the names of `source_config`; once reading has begun."""

    def tables(self, path: Path, at: bytes | None = None) -> Iterator[Portion]:
        """Yield the rows of a file, from the beginning or from what a portion before said. Blocks for reading.

        Raises `Unreadable` at once where nothing can be read, and later where damage is reached: what was yielded before stands.
        """
        ...


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names, each once: an empty one is named by its place, one that was there already gets a number."""
    seen: set[str] = set()
    given: list[str] = []
    for place, name in enumerate(names, 1):
        first = unique = name or f"column_{place}"
        number = 1
        while unique in seen:
            number += 1
            unique = f"{first}_{number}"
        seen.add(unique)
        given.append(unique)
    return given
