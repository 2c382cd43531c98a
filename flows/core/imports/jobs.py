"""Import jobs as a user declares them, and as they stand on `xyra.config`."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, JsonValue, StringConstraints
from pydantic.json_schema import JsonSchemaValue

from flows.core import topics
from flows.core.errors import FieldError
from flows.core.fields import Identifier, Line, Model, TopicName
from flows.core.imports import schedule, source
from flows.core.imports.rules import TransformationRules
from flows.core.imports.schedule import ScheduleConfig
from flows.core.imports.source import DataFormat, Name, SourceConfig

JOB: Final = "job"
"""Kind of a job's definition on `xyra.config`, and first part of its key on `xyra.status`."""
_OURS: Final = re.compile(r"xyra\.|__|\.{1,2}$")
_WILD: Final = frozenset("*?[")
Columns = Annotated[tuple[Name, ...], Field(max_length=32)]
JobName = Annotated[Line, StringConstraints(min_length=1, max_length=256)]


def listed(rules: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return rules with their one rule `unique` as a list of one: as it stands on the log, whoever reads it finds a list."""
    unique = rules.get("unique")
    return {**rules, "unique": [unique]} if isinstance(unique, Mapping) else rules


class _Described:
    """Has a document describe what is taken as free JSON, for its faults to be told all at once with the job's, as the rules that it has to be."""

    @staticmethod
    def __get_pydantic_json_schema__(_: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        TransformationRules.model_rebuild()
        return handler(TransformationRules.__pydantic_core_schema__)


Rules = Annotated[Mapping[str, JsonValue], Field(max_length=64), AfterValidator(listed), _Described]
"""`transformation_rules` as they are given, and as they stand on the log; what they may say is `TransformationRules`."""


class Incremental(Model):
    """What is left out since an earlier run of a job of the same name has taken it: one of the three."""

    cursor_column: Name | None = None
    """Rows whose value in this column is not above the highest one that the runs before let through are skipped; the column has a type in `data_types`."""
    file: bool = False
    """A file whose bytes were imported to their end before is skipped as a whole."""
    key: Columns | None = None
    """Rows that go out as they last did under the same values of these columns are skipped. Rows with a null among them are not compared."""


class JobFields(Model):
    """What can be said of a job."""

    name: JobName
    """For people."""
    job_type: Literal["one_time", "scheduled"]
    """Run now, or when `schedule_config` says."""
    data_format: DataFormat
    """What the file is; compressed or not is found out."""
    source_config: SourceConfig
    """`{"upload_id" or "file_path" or "url", "chunk_size", ...}`: where the rows come from, and how the file is written."""
    transformation_rules: Rules = Field(default_factory=dict)
    """What becomes of a row: names, types, checks, computed columns."""
    schedule_config: ScheduleConfig | None = None
    """`{"frequency" or "cron", "day", "weekday", "time", "timezone", "catch_up"}`: when a scheduled job runs."""
    incremental: Incremental | None = None
    """`{"cursor_column" or "file" or "key"}`: what is left out. Absent: nothing is."""
    target_topic: TopicName | None = None
    """Absent: `xyra.events`."""
    rows_per_record: int = Field(default=1, ge=1, le=100_000)
    """Above 1, records are blocks of so many rows."""
    block_format: Literal["ndjson", "arrow"] = "ndjson"
    """What a block of rows is."""
    key_columns: Columns = ()
    """Columns whose values are the record's key: rows with equal keys stay in order. None: rows of a file are spread."""
    max_errors: int | None = Field(default=None, ge=0, le=1_000_000_000)
    """The job fails with the portion (see `chunk_size`) in which the number of rejected rows passes this; the good rows of that portion are published still,
    with `all_or_nothing` none. Absent: it never does for their number."""
    max_error_ratio: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    """The job fails when more than this part of its rows is rejected: at its end, and before it with a portion from `min_rows_for_ratio`
    rows on."""
    min_rows_for_ratio: int = Field(default=1000, ge=1, le=1_000_000_000)
    all_or_nothing: bool = False
    """Rows are published when the whole file has passed: with no row rejected, or no more than `max_errors` and `max_error_ratio` allow."""
    remember_days: int = Field(default=90, ge=1, le=3650)
    """How long keys, files and watermarks of jobs of this name are remembered since they were last seen."""
    remember_keys: int = Field(default=10_000_000, ge=1, le=1_000_000_000)
    """Keys that are remembered at once: of the file's rows, and of all runs each. The job fails where it would need more."""

    @property
    def remembers(self) -> bool:
        """Whether it asks what earlier runs of jobs of its name have done."""
        unique = self.transformation_rules.get("unique")
        across = [rule.get("across_runs") for rule in unique if isinstance(rule, Mapping)] if isinstance(unique, list | tuple) else []
        return self.incremental is not None or any(across)

    @property
    def pattern(self) -> str | None:
        """The pattern that finds the files of each run; None: there is one file, and it is known where."""
        path = self.source_config.file_path
        return path if self.job_type == "scheduled" and path is not None and not _WILD.isdisjoint(path) else None


class JobDefinition(JobFields):
    """The body of `POST /integration/import/jobs`."""


class Pieces(Model):
    """Where on `xyra.uploads` an upload stands that came whole: what its own partition knows, told to the one that has the job's memory."""

    partition: int
    first: int
    last: int
    """The offset behind its last piece: its end stands there, or later."""
    length: int
    sha256: str
    torn: str = ""
    """Why it ends too early; empty: it does not."""


class StoredJob(Model):
    """What stands on `xyra.config` under `job/<job_id>`."""

    job_id: Identifier
    definition: JobDefinition
    """What is secret in its `source_config` is masked."""
    sealed: str | None = None
    """`{"url", "headers"}` of its `source_config` as they are, sealed for `source_context`; null: there is nothing secret in them."""
    turn: int = Field(default=1, ge=1)
    """Grows with each retry, so that the flow sees that it was asked for another one."""
    only: Literal["rest", "rejected"] = "rest"
    """What the last retry is about: what had not been read, or the rows that were rejected."""
    standing: int = Field(default=1, ge=1)
    """Rows rejected in this turn and later ones are those that are wrong still; the ones before were run again."""
    cancelled: bool = False
    """Nothing more is done, by a schedule neither."""
    extra: int = Field(default=0, ge=0)
    """Runs that were asked for beside the schedule."""
    pieces: Pieces | None = None
    """Of an upload whose job remembers earlier runs."""
    by: str
    """Who ordered it last."""
    created_at_ms: int
    updated_at_ms: int


def source_context(job_id: str) -> str:
    """Return the context that the secrets of a job's source are sealed in: they open nowhere else."""
    return f"job/{job_id}/source"


def row_source(job_id: str = "") -> str:
    """Return the `ce_source` of the rows of a job; without an id, what that of any job's rows begins with."""
    return f"/imports/{job_id}"


def home(order: StoredJob) -> str:
    """Return the key whose partition has the state of a job: its name where it remembers earlier runs, else the upload's id, or its own.

    The pieces of a file that the job fetches itself are written under it, too.
    """
    definition = order.definition
    return f"name/{definition.name}" if definition.remembers else definition.source_config.upload_id or order.job_id


def check_job(job: JobFields) -> tuple[FieldError, ...]:
    """Say everything that is wrong between the fields of a job, each of which is valid; nothing when it can be run.

    Takes milliseconds, does no I/O but for the file of a time zone, and never raises. Pointers begin at the job.
    """
    scheduled = job.job_type == "scheduled"
    return (
        *_named(job.name),
        *_under("/source_config", source.faults(job.source_config, job.data_format, scheduled=scheduled)),
        *_schedule(job, scheduled=scheduled),
        *_incremental(job.incremental),
        *_output(job),
    )


def _named(name: str) -> Iterator[FieldError]:
    if not name.strip():
        yield FieldError("/name", "blank", "give a name that can be seen: this one is blanks alone")


def _under(pointer: str, errors: Iterator[FieldError]) -> Iterator[FieldError]:
    return (FieldError(pointer + error.pointer, error.code, error.detail) for error in errors)


def _schedule(job: JobFields, *, scheduled: bool) -> Iterator[FieldError]:
    if job.schedule_config is None:
        if scheduled:
            yield FieldError("/schedule_config", "missing", 'give a schedule, such as {"frequency": "daily", "time": "02:00"}, or job_type one_time')
    elif not scheduled:
        yield FieldError("/schedule_config", "not_here", "a one_time job runs at once; leave the schedule out, or give job_type scheduled")
    else:
        yield from _under("/schedule_config", iter(schedule.faults(job.schedule_config)))


def _incremental(wanted: Incremental | None) -> Iterator[FieldError]:
    if wanted is not None and sum((wanted.cursor_column is not None, wanted.file, bool(wanted.key))) != 1:
        yield FieldError("/incremental", "value_error", "give cursor_column, file or key, one of them")


def _output(job: JobFields) -> Iterator[FieldError]:
    if job.target_topic is not None and job.target_topic != topics.EVENTS.name and _OURS.match(job.target_topic):
        detail = f"{job.target_topic!r} is a name that this project or Kafka keeps for itself; take {topics.EVENTS.name} or a name of your own"
        yield FieldError("/target_topic", "reserved_topic", detail)
    if job.rows_per_record == 1 and job.block_format == "arrow":
        yield FieldError("/block_format", "not_here", "arrow is a format of blocks; give rows_per_record above 1")
    if job.rows_per_record > 1 and job.key_columns:
        yield FieldError("/key_columns", "not_here", "rows of a block have no key of their own; give rows_per_record 1, or no key_columns")
    if len(set(job.key_columns)) < len(job.key_columns):
        yield FieldError("/key_columns", "conflict", "a column stands there twice; name each once")
