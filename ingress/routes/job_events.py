"""How far an import has come, told as it goes on: server-sent events."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from flows.core.clock import Clock
from flows.core.imports.jobs import StoredJob
from flows.core.imports.progress import Report
from ingress.door import Door
from ingress.jobs import is_through
from ingress.jsonbody import StrictRoute
from ingress.routes.job_answers import JobProgress
from ingress.routes.jobs import known
from ingress.routes.webhooks import TheDoor
from ingress.streams import Streamed

router = APIRouter(prefix="/integration/import/jobs", tags=["imports"], route_class=StrictRoute)
SSE: Final = "text/event-stream"
LOOK_S: Final = 0.25
"""At most so often a report is sent."""
QUIET_S: Final = 15.0
"""After so long without one a comment is sent: proxies close what is silent, and a listener who has gone is noticed."""
LONGEST_S: Final = 3600.0
"""A listener is sent away after so long, and comes again by itself."""
RETRY_MS: Final = 2000
HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""The second one keeps nginx from holding events back."""
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events `report`, each with the job as the list shows it; the whole state, so that none has to be caught up on.",
        "content": {SSE: {"schema": {"type": "string"}}},
    },
    204: {"description": "The job is over, and `Last-Event-ID` is its last report: there is nothing to wait for."},
}


@router.get("/{job_id}/events", summary="Follow an import", response_class=Response, responses=ANSWERS)
async def follow(
    job_id: str,
    door: TheDoor,
    last_event_id: Annotated[str, Header(max_length=128, description="The last report that has come; it is not sent again.")] = "",
    said: Annotated[str, Query(alias="lastEventId", max_length=128, description="The same, from clients that cannot send the header.")] = "",
) -> Response:
    """Send the job's report now, and again when it changes, at most four times a second, until the job is over; a scheduled one goes on to its next run."""
    order = known(door, job_id)
    report, last_event_id = door.status.jobs.get(job_id), last_event_id or said
    if is_through(order, report) and last_event_id == _name(order, report):
        return Response(status_code=204)
    return Streamed(_reports(door, job_id, last_event_id), door.streams.listeners, SSE, HEADERS)


async def _reports(door: Door, job_id: str, last: str) -> AsyncIterator[bytes]:
    """Yield events until the job is over, or is forgotten."""
    yield b"retry: %d\n\n" % RETRY_MS
    ends, quiet = _from_now(door.clock, LONGEST_S), _from_now(door.clock, QUIET_S)
    while (order := door.orders.job(job_id)) is not None and door.clock.monotonic() < ends:
        report = door.status.jobs.get(job_id)
        name = _name(order, report)
        if name != last:
            last, quiet = name, _from_now(door.clock, QUIET_S)
            yield f"id: {name}\nevent: report\ndata: {JobProgress.of(door, order).model_dump_json()}\n\n".encode()
        elif door.clock.monotonic() >= quiet:
            quiet = _from_now(door.clock, QUIET_S)
            yield b": nothing new\n\n"
        if is_through(order, report):
            return
        await asyncio.sleep(LOOK_S)


def _from_now(clock: Clock, seconds: float) -> float:
    return clock.monotonic() + seconds


def _name(order: StoredJob, report: Report | None) -> str:
    """Name what is told, alike on every ingress."""
    told = report.text() if report is not None else b""
    return hashlib.sha256(b"%d %d %b" % (order.turn, order.cancelled, told)).hexdigest()[:16]
