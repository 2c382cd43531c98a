"""What a dry run of an import takes and answers."""

from typing import Any, Literal

from flows.core.imports.jobs import JobFields, JobName
from flows.core.imports.uploads import Upload
from flows.wire.preview import Look
from ingress import previews
from ingress.routes.delivery_answers import Answer


class PreviewRequest(JobFields):
    """The body of an import job; its name and type may be left out."""

    name: JobName = "preview"
    """For people."""
    job_type: Literal["one_time", "scheduled"] = "one_time"
    """As of the job."""


class FoundColumn(Answer):
    """A column as the file has it."""

    name: str
    type: str
    """For a text, the narrowest type that all values in the sample could be read as."""
    samples: tuple[str, ...]


class PublishedColumn(Answer):
    """A column as it goes out."""

    name: str
    type: str


class Columns(Answer):
    """The columns of the sample, 1,000 of each at most."""

    found: tuple[FoundColumn, ...] = ()
    published: tuple[PublishedColumn, ...] = ()
    left_off: int = 0


class ExampleAnswer(Answer):
    """One row that would be rejected."""

    ordinal: int
    """Which row of the file, from 0; a header is none."""
    line: int | None
    offset: int | None
    column: str | None
    rule: str | None
    """The rule that was broken, as it was written; null: the row is damaged."""
    value: str
    message: str
    """What is wrong, and what to do."""
    row: str
    """As it stands in the file, its first 512 characters."""


class ErrorAnswer(Answer):
    """One reason for which rows would be rejected."""

    code: str
    rows: int
    """Of the sample."""
    examples: tuple[ExampleAnswer, ...]


class RowAnswer(Answer):
    """One event as it would be published."""

    id: str
    key: str | None
    value: Any
    """Null where it is larger than 16 KiB."""
    size_bytes: int


class Sampled(Answer):
    """What was looked at."""

    places: tuple[Literal["start", "middle", "end"], ...]
    whole: bool
    """All of the file was."""
    size_bytes: int
    rows_read: int
    rows_accepted: int
    rows_rejected: int
    rows_skipped: int


class EstimateAnswer(Answer):
    """What is to be expected of the whole file; null: the sample does not tell."""

    rows: int | None
    exact: bool
    """The rows were counted, when the file was cut or because all of it was read."""
    rows_rejected: int | None
    rate_rows_s: float | None
    """Of this sample, which was read, checked and written as rows, not published."""
    seconds: float | None


class RefusedAnswer(Answer):
    """Why the file cannot be read, or no further."""

    code: str
    detail: str


class PreviewAnswer(Answer):
    """What an import would make of a file, by a sample of it. Nothing was written."""

    expected: Literal["completed", "completed_with_errors", "failed"]
    """How the job would end, as far as the sample tells."""
    refused: RefusedAnswer | None
    sampled: Sampled
    read_as: dict[str, Any]
    """How the file is written: `encoding`, `delimiter` and the like, as the job says or as was found out; `looks_like`, `unknown_columns`: see a job's."""
    columns: Columns
    errors: tuple[ErrorAnswer, ...]
    rows: tuple[RowAnswer, ...]
    """The first good ones of each place."""
    estimate: EstimateAnswer
    notes: tuple[str, ...]

    @classmethod
    def of(cls, job: JobFields, upload: Upload, look: Look) -> "PreviewAnswer":
        """Show a dry run."""
        whole = previews.estimate(look, upload)
        return cls.model_validate(
            {
                "expected": previews.expected(job, look, whole),
                "refused": None if look.refused is None else dict(zip(("code", "detail"), look.refused, strict=True)),
                "sampled": _sampled(look),
                "read_as": previews.read_as(look),
                "columns": previews.columns(job, look),
                "errors": tuple(previews.errors(look, job.data_format)),
                "rows": tuple(previews.rows(look)),
                "estimate": {
                    "rows": whole.rows,
                    "exact": whole.exact,
                    "rows_rejected": whole.rejected,
                    "rate_rows_s": whole.rate_rows_s,
                    "seconds": whole.seconds,
                },
                "notes": tuple(previews.notes(job, look, whole)),
            }
        )


def _sampled(look: Look) -> dict[str, Any]:
    portions = look.portions
    return {
        "places": tuple(look.sample.places)[: len(portions)] or ("start",),
        "whole": look.sample.whole and (not portions or portions[-1].over),
        "size_bytes": look.sample.size,
        "rows_read": sum(portion.rows_read for portion in portions),
        "rows_accepted": sum(portion.good for portion in portions),
        "rows_rejected": sum(portion.rejected for portion in portions),
        "rows_skipped": sum(portion.skipped for portion in portions),
    }
