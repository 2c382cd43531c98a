"""The rows that an import has turned away: in pages, or as a file."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from io import SEEK_END
from typing import Annotated, Any, BinaryIO, Final, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from flows.core.errors import Unavailable
from flows.core.imports.jobs import StoredJob
from flows.core.imports.rejects import Turned
from flows.wire.aside import aside
from flows.wire.own_format import own_format
from ingress import export, jobs, originals, rejected
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.negotiation import JSON
from ingress.originals import Form
from ingress.rejected import Wanted
from ingress.routes.job_answers import upload_of
from ingress.routes.job_reject_answers import COLUMNS, RejectAnswer, Rejects, cells_of
from ingress.routes.jobs import known
from ingress.routes.webhooks import TheDoor
from ingress.streams import Streamed

router = APIRouter(prefix="/integration/import/jobs", tags=["imports"], route_class=StrictRoute)
MOST_ON_A_PAGE: Final = 1000
AT_ONCE: Final = rejected.AT_ONCE.records
"""Rows of a file that are read and written in one go; each time, Kafka is connected to anew."""
LONGEST_S: Final = 600.0
"""A file that has not been fetched after so long is cut off, and the connection with it."""
HOW: Final = (
    "`csv`, `ndjson`: all rows, safe for spreadsheets. "
    "`original`: all rows as they stood in the file, behind a column `_error`; of any workbook an xlsx. Parquet and workbooks are written before they are sent."
)
TEXT: Final = {"schema": {"type": "string"}}
BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
BLOCK_BYTES: Final = 256 * 1024
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A page; or all rows as CSV, as NDJSON, or in the file's own format.",
        "content": {kind: TEXT for kind, _ in originals.MEDIA.values() if kind != JSON} | {kind: BYTES for kind, _ in originals.WHOLE.values()},
    }
}


@router.get("/{job_id}/errors", summary="The rows that an import has turned away, and why", response_model=Rejects, responses=ANSWERS)
async def list_all(
    job_id: str,
    door: TheDoor,
    format: Annotated[  # noqa: A002  the parameter's name
        Literal["json", "csv", "ndjson", "original"],
        Query(description=HOW),
    ] = "json",
    turn: Annotated[int | None, Query(ge=1, le=1_000_000, description="Those of this turn. Absent: all that were not run again since.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ON_A_PAGE, description="Rows on a page of `json`.")] = 100,
    cursor: Annotated[str, Query(max_length=18, pattern=r"^[0-9]*$", description="`next_cursor` of the page before; for `json`.")] = "",
) -> Rejects | Response:
    """List rejected rows in the order they were found, each with its place in the file and every reason; of a scheduled job those of its latest run.

    They are kept for 30 days. Reading is bounded: a page can be short, even empty, and yet have a `next_cursor`.
    """
    order = known(door, job_id)
    report = door.status.jobs.get(job_id)
    order = order.model_copy(update={"definition": jobs.as_read(order.definition, report)})
    began = report.started_at_ms if report is not None else None
    wanted = Wanted(job_id, began or order.created_at_ms, turn or order.standing, turn, report.run if report is not None else 0)
    if format == "json":
        found = await door.streams.readings.aside(rejected.read, door.settings, wanted, int(cursor) if cursor else None, None, limit)
        items = tuple(RejectAnswer.of(row, order.definition) for row in found.rows)
        return Rejects(items=items, next_cursor=None if found.over else str(found.at))
    if format == "original":
        return await _original(door, order, wanted)
    kind = export.CSV if format == "csv" else export.NDJSON
    return _file(door, wanted, _csv(order) if format == "csv" else _ndjson(order), kind, f"{job_id}-rejected.{format}")


async def _original(door: Door, order: StoredJob, wanted: Wanted) -> Response:
    """Answer with a file of the job's own format."""
    form = order.definition.data_format
    if form in originals.WHOLE:
        return await _whole(door, order, wanted)
    kind, ending = originals.MEDIA[form]
    head = await door.streams.readings.aside(rejected.head_of, door.settings, order, await upload_of(door, order.definition), wanted.from_ms)
    lines = originals.form_of(order.definition, head)
    return _file(door, wanted, lines, lines.media(kind), f"{order.job_id}-rejected.{ending}")


async def _whole(door: Door, order: StoredJob, wanted: Wanted) -> Response:
    """Answer with a file that is written as a whole before its first byte is sent; raises InvalidFields where the rows do not fit into one."""
    form = order.definition.data_format
    kind, ending = originals.WHOLE[form]
    lots = (([*map(originals.told, rows)], [row.raw for row in rows]) for rows in rejected.all_of(door.settings, wanted, AT_ONCE))
    file = await door.streams.writings.aside(own_format, door.settings, door.uploads.readers, form, lots)
    head = _named(f"{order.job_id}-rejected.{ending}") | {"content-length": str(file.seek(0, SEEK_END))}
    file.seek(0)
    return Streamed(_blocks(door, file), door.streams.exports, kind, head, file.close)


async def _blocks(door: Door, file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield a file from a disk; raises Unavailable as `_parts` does."""
    until = door.clock.monotonic() + LONGEST_S
    while block := await aside(file.read, BLOCK_BYTES):
        if door.clock.monotonic() > until:
            raise Unavailable(f"The rejected rows were not fetched within {LONGEST_S:g} s.")
        yield block


def _named(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}


def _csv(order: StoredJob) -> Form:
    def lines(row: Turned) -> bytes:
        return "".join(export.csv_line(cells, COLUMNS) for cells in cells_of(RejectAnswer.of(row, order.definition))).encode("utf-8", "replace")

    return Form(export.csv_head(COLUMNS).encode(), lines, b"", b"")


def _ndjson(order: StoredJob) -> Form:
    return Form(b"", lambda row: export.ndjson_line(RejectAnswer.of(row, order.definition).model_dump(mode="json")), b"", b"")


def _file(door: Door, wanted: Wanted, form: Form, kind: str, name: str) -> Response:
    read = partial(rejected.read, door.settings, wanted, most=AT_ONCE)
    return Streamed(_parts(door, read, form), door.streams.exports, kind, _named(name))


async def _parts(door: Door, read: Callable[..., rejected.Found], form: Form) -> AsyncIterator[bytes]:
    """Yield a file, some rows at a time, up to the row that was the last one when it began.

    Raises:
        Unavailable: the broker is away, or the reader too slow; the connection ends, so that nobody takes what came for the whole.

    """
    until = door.clock.monotonic() + LONGEST_S
    found = await door.streams.readings.aside(read, at=None, end=None)
    yield form.front
    between = b""
    while True:
        part = form.between.join(map(form.row, found.rows))
        yield between + part if found.rows else b""
        between = form.between if found.rows else between
        if found.over:
            break
        if door.clock.monotonic() > until:
            raise Unavailable(f"The rejected rows were not fetched within {LONGEST_S:g} s.")
        found = await door.streams.readings.aside(read, at=found.at, end=found.end)
    yield form.back
