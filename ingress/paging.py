"""Cursors of lists that are ordered by name: the name a page ended with, in a form that no other text has by chance."""

from typing import Annotated, Final

from fastapi import Query

MARK: Final = "after:"
FORM: Final = r"^(after:[A-Za-z0-9][A-Za-z0-9_.-]{0,127})?$"
Cursor = Annotated[str, Query(pattern=FORM, description="`next_cursor` of the page before.")]


def after(name: str) -> str:
    """Return the cursor of what comes behind a name."""
    return MARK + name


def name_in(cursor: str) -> str:
    """Return the name that a cursor holds; empty for the beginning."""
    return cursor.removeprefix(MARK)
