"""Cursors of lists that are ordered by name: which list it is, and the name a page ended with; no other list takes it."""

from typing import Annotated, Final

from fastapi import Query

WEBHOOKS: Final = "webhooks"
JOBS: Final = "jobs"
REPLAYS: Final = "replays"
GIVEN: Final = "`next_cursor` of the page before."


def form(listed: str) -> str:
    """Return the pattern of a list's cursors."""
    return rf"^({listed}:[A-Za-z0-9][A-Za-z0-9_.-]{{0,127}})?$"


WebhooksCursor = Annotated[str, Query(pattern=form(WEBHOOKS), description=GIVEN)]
JobsCursor = Annotated[str, Query(pattern=form(JOBS), description=GIVEN)]
ReplaysCursor = Annotated[str, Query(pattern=form(REPLAYS), description=GIVEN)]


def after(listed: str, name: str) -> str:
    """Return the cursor of what comes behind a name in a list."""
    return f"{listed}:{name}"


def name_in(cursor: str) -> str:
    """Return the name that a cursor holds; empty for the beginning."""
    return cursor.partition(":")[2]
