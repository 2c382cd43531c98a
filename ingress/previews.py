"""What a dry run of an import says: what was seen of a sample, put for a person, and what that lets one expect of the whole file.

The thresholds are the job's own (`too_wrong`), asked about the file as the sample lets one expect it.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

import orjson

from flows.core.errors import FieldError, InvalidFields
from flows.core.files.kept import shown
from flows.core.files.rejects import Reject
from flows.core.imports.damage import message
from flows.core.imports.jobs import JobFields
from flows.core.imports.named import FILTER
from flows.core.imports.progress import Report, too_wrong
from flows.core.imports.rules import TransformationRules
from flows.core.imports.source import FIXED, NOTES, UNKNOWN_COLUMNS
from flows.core.imports.uploads import Upload
from flows.core.settings import Settings
from flows.wire.preview import Look
from ingress import jobs

EXAMPLES: Final = 3
"""Of each code."""
MOST_CODES: Final = 50
ROWS: Final = 10
"""Good rows that are shown, from each place."""
ROW_BYTES: Final = 16 * 1024
"""What is larger is not shown, only how large it is."""
RAW_CHARS: Final = 512
PUBLISHED_S: Final = 100_000
"""Rows a second that are published at most, however quickly they are read."""
EARLIER: Final = (
    "What earlier runs of jobs of this name have taken is not known to a preview: rows that they took, or the whole file, count as new here, and the job skips "
    "or rejects them."
)
NAMES: Final = "See that the names are right: all but the left of column_mapping goes by names after mapping."
REPEATED: Final = "Rows that repeat one which is not in the sample count as new here."
NOT_HERE: Final = "a preview reads uploads; send the file, or a piece of it, to /integration/import/upload and give its upload_id"

_FOLLOWS: Final = {"incremental.cursor_column": "they are rejected", FILTER: "it sees no value in any of them"}


class Estimate(NamedTuple):
    """What is to be expected of the whole file."""

    rows: int | None
    exact: bool
    rejected: int | None
    rate_rows_s: float | None
    seconds: float | None


def checked(wanted: JobFields, upload: Upload | None, settings: Settings, now_ms: int) -> Upload:
    """Return the upload that a dry run reads; raises InvalidFields for what cannot be, with every reason, as for a job."""
    source = wanted.source_config
    elsewhere = {f"/source_config/{name}" for name in ("file_path", "url") if getattr(source, name) is not None}
    wrong = [one for one in jobs.faults(wanted, upload, settings, now_ms) if one.pointer not in elsewhere]
    wrong += [FieldError(pointer, "not_here", NOT_HERE) for pointer in sorted(elsewhere)]
    if wrong or upload is None:
        raise InvalidFields("The job has fields that are not valid.", errors=tuple(wrong))
    return upload


def estimate(look: Look, upload: Upload) -> Estimate:
    """Return what a sample lets one expect."""
    portions, sample = look.portions, look.sample
    read = sum(portion.rows_read for portion in portions)
    rows, exact = _total(look, upload, read)
    rate = read / look.seconds if look.seconds > 0 and read else None
    rejected = sum(portion.rejected for portion in portions)
    told = None if rows is None else rejected if sample.whole and exact and rows == read else round(rejected / read * rows) if read else 0
    seconds = None if rows is None or rate is None else round(rows / min(rate, PUBLISHED_S), 1)
    return Estimate(rows, exact, told, None if rate is None else round(rate, 1), seconds)


def _total(look: Look, upload: Upload, read: int) -> tuple[int | None, bool]:
    """Return how many rows the file has, and whether that is certain."""
    sample, portions = look.sample, look.portions
    if look.refused is not None:
        return None, False
    if sample.rows is not None:
        return sample.rows, True
    if sample.whole and portions and portions[-1].over:
        return read, True
    packed = portions and portions[-1].read_as.get("compression", "none") != "none"
    seen = sample.size if sample.path is None else portions[-1].place.at if portions else 0
    length = upload.length or upload.offset
    return (round(read / seen * length), False) if seen and read and not packed else (None, False)


def expected(job: JobFields, look: Look, whole: Estimate) -> str:
    """Return how a job would end, as far as the sample tells."""
    lacking = job.data_format in FIXED and (any(_keyless(job, look)) or any(_missing(look)))
    if look.refused is not None or lacking or _too_wrong(job, look, whole) is not None:
        return "failed"
    return "completed_with_errors" if any(portion.rejected for portion in look.portions) else "completed"


def _too_wrong(job: JobFields, look: Look, whole: Estimate) -> str | None:
    """Say why the job would fail for the rows that are rejected; None: it would not."""
    rejected, read = sum(portion.rejected for portion in look.portions), sum(portion.rows_read for portion in look.portions)
    if whole.rows is not None and whole.rejected is not None:
        rejected, read = max(rejected, whole.rejected), max(read, whole.rows)
    return too_wrong(job, Report(job_id="", rows_read=read, rows_accepted=read - rejected, rows_rejected=rejected), over=True)


def read_as(look: Look) -> dict[str, Any]:
    """Return how the file was read: what the job says, and what was found out."""
    told = look.portions[0].told if look.portions else {}
    last = look.portions[-1].told if look.portions else {}  # which columns no row has may be known at the end only
    return told | {name: last[name] for name in (UNKNOWN_COLUMNS,) if name in last}


def columns(job: JobFields, look: Look) -> dict[str, Any]:
    """Return the columns of the file and those that go out: of the type that the rules name, where they do, else as they are read."""
    kinds = {name: kind.type for name, kind in TransformationRules.model_validate(dict(job.transformation_rules)).data_types.items()}
    published = [{**one, "type": kinds.get(one["name"], one["type"])} for one in look.columns.get("published", ())]
    return {"found": look.columns.get("found", ()), "published": published, "left_off": look.columns.get("left_off", 0)}


def errors(look: Look, form: str) -> Iterator[dict[str, Any]]:
    """Yield each code with how many rows have it and the first examples; the most frequent first."""
    rejects = [reject for portion in look.portions for reject in portion.rejects]
    counts: Counter[str] = Counter()
    examples: dict[str, list[Reject]] = {}
    for _, row in groupby(rejects, key=attrgetter("ordinal")):
        codes: dict[str, Reject] = {}
        for reject in row:
            codes.setdefault(reject.code, reject)
        counts.update(codes.keys())
        for code, reject in codes.items():
            if len(given := examples.setdefault(code, [])) < EXAMPLES:
                given.append(reject)
    encoding = str(read_as(look).get("encoding") or "utf-8")
    for code, rows in counts.most_common(MOST_CODES):
        yield {"code": code, "rows": rows, "examples": [_example(reject._replace(raw=shown(form, reject.raw)), encoding) for reject in examples[code]]}


def _example(reject: Reject, encoding: str) -> dict[str, Any]:
    return {
        "ordinal": reject.ordinal,
        "line": reject.line or None,
        "offset": reject.offset if reject.offset >= 0 else None,
        "column": reject.column or None,
        "rule": reject.rule or None,
        "value": reject.value,
        "message": message(reject),
        "row": reject.raw[: 4 * RAW_CHARS].decode(encoding, "replace")[:RAW_CHARS],
    }


def rows(look: Look) -> Iterator[dict[str, Any]]:
    """Yield the first good rows of each place as their events would hold them."""
    for portion in look.portions:
        for value, key, row_id in list(zip(portion.values, portion.keys, portion.ids, strict=True))[:ROWS]:
            shown = orjson.loads(value) if len(value) <= ROW_BYTES else None
            yield {"id": row_id.decode(), "key": _text(key), "value": shown, "size_bytes": len(value)}


def _text(key: bytes | None) -> str | None:
    return None if key is None else key[:ROW_BYTES].decode("utf-8", "replace")


def notes(job: JobFields, look: Look, whole: Estimate) -> Iterator[str]:
    """Yield what one should know about the sample."""
    if look.refused is None and (sentence := _too_wrong(job, look, whole)) is not None:
        yield f"The job fails, as far as the sample tells: {sentence}"
    yield from _placed(look)
    yield from _unnamed(job, look)
    if job.remembers:
        yield EARLIER
    if not look.sample.whole and (job.transformation_rules.get("unique") or (job.incremental is not None and job.incremental.key)):
        yield REPEATED


def _placed(look: Look) -> Iterator[str]:
    """Yield what one should know about where the sample is from."""
    sample = look.sample
    yield from read_as(look).get(NOTES, ())
    if not sample.whole and sample.path is not None:
        yield "The sample is from the start of the file only: as the job reads it, it is not cut between its rows, so that reading can begin nowhere else."
    elif sample.whole and look.portions and not look.portions[-1].over:
        yield "The sample is from the start of the file only: the file can only be read from its beginning on."
    elif not sample.whole and set(sample.places) == {"start"}:
        yield "The sample is from the start of the file only: no other rows were found in the time there is."
    if sample.path is None and len(look.portions) < len(sample.places) and look.refused is None:
        yield "There was not time for all places of the file; those that are missing were not looked at."


def _unnamed(job: JobFields, look: Look) -> Iterator[str]:
    """Yield what follows of columns that the job speaks of and the sample does not have."""
    fixed, told = job.data_format in FIXED, {*_keyless(job, look)}
    follows = "the job fails" if fixed else "rows have no key"
    for name in _keyless(job, look):
        yield f"There is no column {name!r} among those that are published, so that {follows}; key_columns go by names after mapping."
    for rule, name in _missing(look):
        told.add(name)
        follows = "the job fails" if fixed else _FOLLOWS.get(rule, "they all pass it")
        yield f"There is no column {name!r} for {rule} to tell rows by, so that {follows}; rules go by names after mapping."
    if names := [repr(name) for name in look.columns.get("unknown", ()) if name not in told]:
        yield f"Rules speak of columns that no row of the sample has: {', '.join(names)}. {NAMES}"


def _missing(look: Look) -> Iterator[tuple[str, str]]:
    """Yield rules and columns that no row of the sample has, by which they would tell rows."""
    return ((rule, name) for rule, name in look.columns.get("missing", ()))


def _keyless(job: JobFields, look: Look) -> Iterator[str]:
    """Yield the columns of the key that no row of the sample has."""
    published = {column["name"] for column in look.columns.get("published", ())}
    told = published and not look.columns.get("left_off")
    return (name for name in job.key_columns if told and name not in published)
