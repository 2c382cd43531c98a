"""What becomes of an import job that is ordered, retried, cancelled: pure decisions, taken on the definition as it stands on the log."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, Literal

import orjson
from pydantic import SecretStr, ValidationError

from flows.core.errors import Conflict, FieldError, InvalidFields, NotFound, Refused
from flows.core.fields import Model
from flows.core.imports.check import check_rules
from flows.core.imports.jobs import JobDefinition, JobFields, Pieces, Rules, StoredJob, check_job, listed, source_context
from flows.core.imports.progress import Report, move
from flows.core.imports.rules import CURSORS, TransformationRules
from flows.core.imports.run import UNCHANGED
from flows.core.imports.source import READ_AS
from flows.core.imports.uploads import Upload
from flows.core.outbound.egress import Policy, Refusal
from flows.core.settings import Settings
from flows.wire.roots import Roots
from flows.wire.stores import PACKAGES, not_installed
from ingress import fields, masks
from ingress.delivering import Seal

ADMIN: Final = "admin"
"""Who orders: whoever has the one admin key."""
RULES: Final = "/transformation_rules"
BESIDE: Final = frozenset({"max_errors", "max_error_ratio", "all_or_nothing"})
"""What is often looked for among the rules, and is the job's."""


class RetryRequest(Model):
    """What to do once more, and by which rules."""

    only: Literal["rest", "rejected"] = "rest"
    """`rest`: go on where it stands. `rejected`: run just the rows again that were rejected."""
    transformation_rules: Rules | None = None
    """In place of the job's own, from here on. Absent: those stay."""


def checked(wanted: JobFields, upload: Upload | None, settings: Settings, now_ms: int, stores: Collection[str] | None = None) -> None:
    """Do nothing when a job can be carried out.

    Args:
        wanted: the job.
        upload: the one it names; None where there is none of this id.
        settings: of this process.
        now_ms: the time.
        stores: schemes of stores that a worker reads; None: no worker says.

    Raises:
        InvalidFields: it cannot; every reason at once.

    """
    if wrong := (*faults(wanted, upload, settings, now_ms), *_store_faults(wanted, stores)):
        raise InvalidFields("The job has fields that are not valid.", errors=wrong)


def faults(wanted: JobFields, upload: Upload | None, settings: Settings, now_ms: int) -> tuple[FieldError, ...]:
    """Return every reason why a job cannot be carried out."""
    rules = wanted.transformation_rules
    return (*check_job(wanted), *rule_faults(rules), *_cursor_faults(wanted), *_source_faults(wanted, upload, settings, now_ms))


def rule_faults(rules: Mapping[str, Any]) -> tuple[FieldError, ...]:
    """Return what is wrong with the rules of a job; the pointers begin at the job."""
    misplaced = tuple(FieldError(f"/{name}", "not_here", f"give {name} beside transformation_rules, and not within") for name in rules if name in BESIDE)
    given = {name: rule for name, rule in rules.items() if name not in BESIDE}
    try:
        found = check_rules(TransformationRules.model_validate(given))
    except ValidationError as error:
        told = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        found = fields.errors_of(told, given, TransformationRules)
    return tuple(FieldError(RULES + one.pointer, one.code, one.detail) for one in (*found, *misplaced))


def faults_within(body: object) -> tuple[FieldError, ...]:
    """Return what is wrong with the rules in a body of which something else is not valid, so that all is told at once."""
    rules = body.get("transformation_rules") if isinstance(body, Mapping) else None
    return rule_faults(listed(rules)) if isinstance(rules, Mapping) else ()


def _cursor_faults(wanted: JobFields) -> Iterator[FieldError]:
    """Yield what is wrong with the column by which rows of earlier runs are told: its values must have an order, and the same in every run."""
    column = wanted.incremental.cursor_column if wanted.incremental is not None else None
    types = wanted.transformation_rules.get("data_types")
    kind = types.get(column) if column is not None and isinstance(types, Mapping) else None
    if column is not None and (kind.get("type") if isinstance(kind, Mapping) else kind) not in CURSORS:
        yield FieldError("/incremental/cursor_column", "not_of_type", f"{column!r} needs a type in data_types by which rows are compared: {', '.join(CURSORS)}")


def _source_faults(wanted: JobFields, upload: Upload | None, settings: Settings, now_ms: int) -> Iterator[FieldError]:
    """Yield what is wrong with where the rows come from, as things stand now."""
    source = wanted.source_config
    if source.upload_id is not None:
        yield from _upload_faults(upload, source.upload_id, now_ms)
        if wanted.remembers and upload is not None and not upload.sha256 and upload.phase(now_ms) in {"receiving", "received"}:
            detail = "the upload has not come whole yet, as it must have for a job that remembers earlier runs; order it once the upload is received"
            yield FieldError("/source_config/upload_id", "not_whole", detail)
    if source.file_path is not None:
        try:
            Roots(settings.import_roots, 0).check(source.file_path)  # nothing is opened here: the file may be on another machine, where the worker is
        except Refused as error:
            yield FieldError("/source_config/file_path", "outside_roots", error.detail)
    if source.scheme in {"http", "https"}:
        refused = Policy.of(settings).judge(source.url or "")
        if isinstance(refused, Refusal) and refused.code != "url_invalid":  # that is said of the field by itself
            yield FieldError("/source_config/url", refused.code, refused.detail)


def _store_faults(wanted: JobFields, stores: Collection[str] | None) -> Iterator[FieldError]:
    """Yield what is wrong with a URL of a store: it is for the workers to read, and what they have installed they say themselves."""
    scheme = wanted.source_config.scheme
    if stores is not None and scheme in PACKAGES and scheme not in stores:
        yield FieldError("/source_config/url", "not_installed", not_installed(scheme))


def _upload_faults(upload: Upload | None, upload_id: str, now_ms: int) -> Iterator[FieldError]:
    if upload is None:
        yield FieldError("/source_config/upload_id", "unknown_upload", f"there is no upload {upload_id}; send the file to /integration/import/upload first")
        return
    try:
        upload.check_open(now_ms)
    except Refused as error:
        yield FieldError("/source_config/upload_id", "upload_gone", error.detail)


def ordered(job_id: str, wanted: JobDefinition, now_ms: int, seal: Seal, upload: Upload | None = None) -> StoredJob:
    """Return a new job as it stands on the log: headers and the query of its URL sealed, and masked where they stood.

    One that remembers earlier runs is told where the pieces of its upload stand.
    """
    source, sealed, pieces = wanted.source_config, None, None
    if source.url is not None and ("?" in source.url or source.headers):
        plain = {"url": source.url, "headers": {name: value.get_secret_value() for name, value in (source.headers or {}).items()}}
        sealed = seal(orjson.dumps(plain).decode(), source_context(job_id))
        masked: dict[str, Any] = {"url": masks.source(source.url), "headers": source.headers and dict.fromkeys(source.headers, SecretStr(masks.MASK))}
        wanted = wanted.model_copy(update={"source_config": source.model_copy(update=masked)})
    if wanted.remembers and upload is not None:
        partition, first = max(upload.partition, 0), max(upload.first, 0)  # those of an upload without a byte are -1
        last = upload.last + 1 if upload.pieces else -1
        pieces = Pieces(partition=partition, first=first, last=last, length=upload.cut, sha256=upload.sha256, torn=upload.torn)
    return StoredJob(job_id=job_id, definition=wanted, sealed=sealed, pieces=pieces, by=ADMIN, created_at_ms=now_ms, updated_at_ms=now_ms)


def shown(order: StoredJob, report: Report | None) -> Report:
    """Return how a job stands, which is not always what the flow has told last: it may not have come to what was ordered since."""
    if report is None:
        before = Report(job_id=order.job_id, turn=order.turn, updated_at_ms=order.updated_at_ms)
        return before.now(order.updated_at_ms, status="cancelled", phase="") if order.cancelled else before
    if order.turn > report.turn:
        return report.now(order.updated_at_ms, status="queued", turn=order.turn, phase="waiting", trouble="", ended_at_ms=None) if report.over else report
    if order.cancelled and not report.over:
        return report.now(report.updated_at_ms, phase="cancelling")
    if report.over and report.phase != UNCHANGED:  # the flow keeps it for the next turn, which goes on in it
        return report.now(report.updated_at_ms, phase="")
    return report


def as_read(job: JobDefinition, report: Report | None) -> JobDefinition:
    """Return a job that says of its file what was found out where it says nothing, as far as it was read."""
    source, found = job.source_config, report.read_as if report is not None else {}
    told = {name: found[name] for name in READ_AS if getattr(source, name) is None and found.get(name) is not None}
    return job.model_copy(update={"source_config": source.model_copy(update=told)})


def retried(wanted: RetryRequest, report: Report | None, now_ms: int) -> Callable[[StoredJob], StoredJob]:
    """Return what makes another turn of a job.

    Raises:
        InvalidFields: the rules cannot be run.
        Conflict: from the decision: it is under way, or there is nothing to be done once more.

    """
    wrong = rule_faults(wanted.transformation_rules) if wanted.transformation_rules is not None else ()
    if wrong:
        raise InvalidFields("The rules have fields that are not valid.", errors=wrong)

    def decide(order: StoredJob) -> StoredJob:
        now = shown(order, report)
        again = order.definition.job_type == "scheduled" and order.cancelled and now.over  # whatever its last run came to, its schedule can go on
        if not again:
            move(now.status, "retry")
        if wanted.only == "rejected" and not now.rows_rejected:
            raise Conflict("No row of the job is rejected, so that there is none to run again.")
        if wanted.only == "rejected" and (sentence := _not_again(order.definition, now)):
            raise Conflict(sentence)
        if wanted.only == "rest" and not again and (sentence := _no_rest(now)):
            raise Conflict(sentence)
        after = _ruled(order.definition, wanted.transformation_rules)
        turn = order.turn + 1
        changed: dict[str, Any] = {
            "definition": after,
            "turn": turn,
            "only": wanted.only,
            "standing": turn if wanted.only == "rejected" else order.standing,
            "cancelled": False,
            "by": ADMIN,
            "updated_at_ms": now_ms,
        }
        return order.model_copy(update=changed)

    return decide


def _ruled(job: JobDefinition, rules: Rules | None) -> JobDefinition:
    """Return a job with other rules where there are any; raises Conflict where it cannot go on with them."""
    after = job if rules is None else job.model_copy(update={"transformation_rules": rules})
    if after.remembers != job.remembers:
        raise Conflict("A retry cannot begin or cease to remember earlier runs (across_runs of unique); order a new job with those rules.")
    if fault := next(_cursor_faults(after), None):
        raise Conflict(f"The rules cannot be run with incremental: {fault.detail}.")
    return after


def _no_rest(now: Report) -> str:
    """Say why a job cannot be gone on with where it stands; nothing where it can."""
    if now.status == "completed_with_errors" and now.files.found <= 1:
        return 'The job has read its file to the end; give {"only": "rejected"} to run the rejected rows again.'
    if now.status in {"completed_with_errors", "failed"} and now.files.found > 1:
        return f"Each of the run's {now.files.found:,} files was read, or failed: its next run reads them again. POST .../run begins one now."
    return ""


def _not_again(job: JobDefinition, now: Report) -> str:
    """Say why a job's rejected rows cannot be run again; nothing where they can."""
    if now.files.found > 1:
        return "The run has read several files, which need not have the same columns; put the rows right in a file of their own, for the next run to find."
    if job.all_or_nothing and now.status != "completed_with_errors":
        return "Nothing of the file was published, because the job is all_or_nothing; order a new job on the file with the rules that are right."
    return ""


def run_beside(report: Report | None, now_ms: int) -> Callable[[StoredJob], StoredJob]:
    """Return what begins a run of a scheduled job beside its schedule.

    Raises:
        Conflict: from the decision: it has no schedule, is cancelled, or a run is under way.

    """

    def decide(order: StoredJob) -> StoredJob:
        if order.definition.job_type != "scheduled":
            raise Conflict("The job is one_time: it has run, or runs. Retry it, or order a new one.")
        if order.cancelled:
            raise Conflict("The job is cancelled; retry it, so that its schedule goes on, and then have it run.")
        now = shown(order, report)
        if now.run and not now.over:
            raise Conflict(f"Run {now.run:,} of the job is under way; wait for its end, or cancel the job.")
        return order.model_copy(update={"extra": order.extra + 1, "by": ADMIN, "updated_at_ms": now_ms})

    return decide


def cancelled(now_ms: int) -> Callable[[StoredJob], StoredJob]:
    """Return what stops a job where it is."""
    return lambda order: order.model_copy(update={"cancelled": True, "by": ADMIN, "updated_at_ms": now_ms})


def is_through(order: StoredJob, report: Report | None) -> bool:
    """Tell whether nothing more comes of a job unless somebody asks for it: its schedule begins no further run either."""
    return shown(order, report).over and (order.cancelled or order.definition.job_type == "one_time")


def changing(job_id: str, change: Callable[[StoredJob], StoredJob]) -> Callable[[bytes | None], bytes]:
    """Return a decision of the registrar's that changes a job.

    Raises:
        NotFound: from the decision: there is none.

    """

    def decide(raw: bytes | None) -> bytes:
        if raw is None:
            raise no_job(job_id)
        return text(change(StoredJob.model_validate_json(raw)))

    return decide


def text(order: StoredJob) -> bytes:
    """Write a job as it stands on the log, with what is null: a rule may mean it."""
    return order.model_dump_json(by_alias=True).encode()


def no_job(job_id: str) -> NotFound:
    """Return the refusal of a job that there is none of."""
    return NotFound(f"There is no import job {job_id[:128]}.")
