"""What is answered about rows that imports have turned away."""

import base64
from collections.abc import Iterator
from typing import Any, Final

from flows.core.files.kept import shown
from flows.core.imports.jobs import JobDefinition
from flows.core.imports.rejects import Turned
from ingress.routes.delivery_answers import Answer

PLACE: Final = ("path", "ordinal", "line", "offset", "turn")
REASON: Final = ("column", "code", "rule", "value")
COLUMNS: Final = (*PLACE, *REASON, "row", "row_base64")
"""Of the CSV, which has a line for each reason."""


class ReasonAnswer(Answer):
    """One thing that is wrong with a row."""

    column: str | None
    """By its name after mapping; null: the row as a whole."""
    code: str
    rule: str | None
    """The rule that was broken, as it was written; null: the row is damaged."""
    value: str
    """What was there, its first 256 characters."""


class RejectAnswer(Answer):
    """A row that was turned away."""

    path: str | None
    """The file, where a scheduled job has found it."""
    ordinal: int
    """Which row of the file, from 0; a header is none."""
    line: int | None
    """Its line, from 1; null where lines mean nothing."""
    offset: int | None
    """The byte it begins at; null where that means nothing."""
    turn: int
    errors: tuple[ReasonAnswer, ...]
    row: str | None
    """As it stood in the file, its first 64 KiB; of Parquet and Excel as JSON; null: it is no text in the file's encoding."""
    row_base64: str | None
    """The same where it is no text."""

    @classmethod
    def of(cls, turned: Turned, job: JobDefinition) -> "RejectAnswer":
        """Show a row of a job."""
        errors = (ReasonAnswer(column=column or None, code=code, rule=rule or None, value=value) for column, code, rule, value in turned.reasons)
        raw = shown(job.data_format, turned.raw)
        try:
            text: str | None = raw.decode(job.source_config.encoding or "utf-8")
        except UnicodeError:
            text = None
        return cls(
            path=turned.path or None,
            ordinal=turned.ordinal,
            line=turned.line or None,
            offset=turned.offset if turned.offset >= 0 else None,
            turn=turned.turn,
            errors=tuple(errors),
            row=text,
            row_base64=base64.b64encode(raw).decode() if text is None else None,
        )


class Rejects(Answer):
    """A page of rejected rows, in the order they were found."""

    items: tuple[RejectAnswer, ...]
    next_cursor: str | None
    """Give it as `cursor` to get the next page, which may come although this one is short; null: there is none."""


def cells_of(row: RejectAnswer) -> Iterator[dict[str, Any]]:
    """Yield a row as lines of a table, one for each reason."""
    told = row.model_dump(mode="json")
    for error in told.pop("errors"):
        yield told | error
