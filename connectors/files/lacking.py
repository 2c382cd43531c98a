"""Columns that a job speaks of and that its file does not have: told where rules then do nothing, refused where rows would be told by them."""

from collections.abc import Sequence
from typing import Any, Final

from connectors.files.bounds import refusal
from connectors.files.plan import Sifted
from connectors.files.table import Table
from flows.core.imports.named import Named
from flows.core.imports.source import UNKNOWN_COLUMNS

MOST_SHOWN: Final = 20
"""Columns that a sentence, or a report, names."""
Left = tuple[Sequence[str], Sequence[str]]
"""Names in the file, and names after mapping."""


class Lacking:
    """What no row has had so far of the columns that a job speaks of."""

    def __init__(self, named: Named, *, fixed: bool) -> None:
        """Begin with no row seen.

        Args:
            named: the columns that are looked for.
            fixed: all rows of the file have the same columns, so that its first says all; in other files the last one may have what the first did not.

        """
        self._named, self._fixed = named, fixed
        self.left: Left | None = None
        """What is told to whoever goes on from here; None: there was no row."""

    def go_on(self, left: Left | None) -> None:
        """Go on where another was. A column that the rules of then did not speak of may have been in rows that are gone by: it counts as seen."""
        if left is not None:
            of_file, after = map(set, left)
            self.left = _among(tuple(self._named.mapping), of_file), _among(self._named.after, after)

    def look(self, table: Table) -> None:
        """Take notice of what the rows of a table have."""
        if not table.frame.height:
            return
        have = set(table.frame.columns)
        of_file, after = (tuple(self._named.mapping), self._named.after) if self._fixed or self.left is None else self.left
        mapped = {self._named.mapping.get(name, name) for name in have} if after else have
        self.left = [name for name in of_file if name not in have], [name for name in after if name not in mapped]

    def told(self, *, over: bool) -> dict[str, Any]:
        """Return it for the job's report, where there is something to tell; `over`: no further row comes."""
        if self.left is None or not (self._fixed or over):
            return {}
        names = list(dict.fromkeys((*self.left[0], *self.left[1])))[:MOST_SHOWN]
        return {UNKNOWN_COLUMNS: names} if names else {}


def require(sifted: Sifted, key_columns: Sequence[str], needed: Sequence[tuple[str, str]]) -> None:
    """Do nothing where rows have the columns that keys are made of, and those that they are told by; raises `Unreadable`."""
    columns = sifted.frame.columns
    for name in key_columns:
        if name not in columns:
            raise refusal("no_key_column", where=repr(name), what=_listed(columns))
    columns = sifted.whole.columns
    for rule, name in needed:
        if name not in columns:
            raise refusal("no_such_column", where=repr(name), rule=rule, what=_listed(columns))


def _among(names: Sequence[str], others: set[str]) -> list[str]:
    return [name for name in names if name in others]


def _listed(columns: Sequence[str]) -> str:
    told = ", ".join(columns[:MOST_SHOWN]) + (f" and {len(columns) - MOST_SHOWN} more" if len(columns) > MOST_SHOWN else "")
    return told or "no columns"
