"""Import jobs: order, list, look at, retry, cancel."""

from itertools import islice
from typing import Annotated, Final

from fastapi import APIRouter, Query

from flows.core import ids, topics
from flows.core.errors import Conflict
from flows.core.imports.jobs import JOB, JobDefinition, StoredJob
from flows.core.imports.progress import Status
from ingress import jobs
from ingress.door import Door
from ingress.jobs import RetryRequest
from ingress.jsonbody import StrictRoute
from ingress.paging import JOBS, JobsCursor, after, name_in
from ingress.routes.job_answers import JobAnswer, JobProgress, Jobs, upload_of
from ingress.routes.webhooks import TheDoor
from ingress.status import IMPORTS

router = APIRouter(prefix="/integration/import/jobs", tags=["imports"], route_class=StrictRoute)
MOST_KEPT: Final = 2000
"""Jobs that are remembered; an old one that is over makes room for a new one."""
MOST_ON_A_PAGE: Final = 100
LOOKED_AT: Final = 500
"""Jobs that are looked through for one page: some 20 ms."""


@router.post("", status_code=201, summary="Order an import")
async def begin(wanted: JobDefinition, door: TheDoor) -> JobAnswer:
    """Have a file read, checked and published row by row: at once, or when the schedule says. It is an upload, which may still be on its way, a path or a URL.

    Accepted rows go to `target_topic`, each once; rejected ones are kept for 30 days, with their place and every reason.
    """
    door.require_status()
    now_ms = door.clock.now_ms()
    upload = await upload_of(door, wanted)
    jobs.checked(wanted, upload, door.settings, now_ms, door.status.can(IMPORTS))
    order = jobs.ordered(ids.event_id(now_ms), wanted, now_ms, door.vault.seal, upload)
    await _make_room(door)
    await door.registrar.order(f"{JOB}/{order.job_id}", lambda _: jobs.text(order))
    return JobAnswer.of(door, order)


@router.get("", summary="List imports")
async def list_all(
    door: TheDoor,
    status: Annotated[Status | None, Query(description="Only those that stand so.")] = None,
    name: Annotated[str, Query(max_length=256, description="Only those whose name holds this; case does not count.")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_ON_A_PAGE)] = 20,
    cursor: JobsCursor = "",
) -> Jobs:
    """List import jobs, the newest first. Few may match: a page can be short, even empty, and yet have a `next_cursor`."""
    door.require_status()
    items: list[JobProgress] = []
    last, before = "", name_in(cursor)
    later = iter([job_id for job_id in door.orders.jobs() if not before or job_id < before])
    for last in islice(later, LOOKED_AT):
        order = door.orders.job(last)
        if order is None or name.casefold() not in order.definition.name.casefold():
            continue
        found = JobProgress.of(door, order)
        if status in {None, found.status}:
            items.append(found)
        if len(items) == limit:
            break
    return Jobs(items=tuple(items), next_cursor=after(JOBS, last) if next(later, None) is not None else None)


@router.get("/{job_id}", summary="How far an import has come")
async def look(job_id: str, door: TheDoor) -> JobAnswer:
    """Show a job: what it is, how many rows were read, accepted, rejected and why, where it stands in the file, and when it runs next."""
    return JobAnswer.of(door, known(door, job_id))


@router.post("/{job_id}/retry", summary="Go on with an import, or run its rejected rows again")
async def retry(job_id: str, door: TheDoor, wanted: RetryRequest | None = None) -> JobAnswer:
    """Go on where a job has failed or was cancelled; with `{"only": "rejected"}` run the rejected rows again. New `transformation_rules` hold from then on.

    A scheduled job that was cancelled is so no more: its schedule goes on from now.

    Nothing that was published is published again. 409 while the job runs, and where there is nothing left to do.
    """
    order = known(door, job_id)
    now_ms = door.clock.now_ms()
    decide = jobs.retried(wanted or RetryRequest(), door.status.jobs.get(job_id), now_ms)
    upload = await upload_of(door, order.definition)
    if upload is not None and upload.phase(now_ms) in {"expired", "terminated"}:
        raise Conflict(f"The upload {upload.upload_id} is gone, so that its rows cannot be read again; send the file once more, and order another job.")
    await door.registrar.order(f"{JOB}/{job_id}", jobs.changing(job_id, decide))
    return JobAnswer.of(door, known(door, job_id))


@router.post("/{job_id}/run", summary="Have a scheduled import run now")
async def run_now(job_id: str, door: TheDoor) -> JobAnswer:
    """Begin a run beside the schedule, which goes on as it was. 409 while a run is under way, and where the job is cancelled or has no schedule."""
    known(door, job_id)
    decide = jobs.run_beside(door.status.jobs.get(job_id), door.clock.now_ms())
    await door.registrar.order(f"{JOB}/{job_id}", jobs.changing(job_id, decide))
    return JobAnswer.of(door, known(door, job_id))


@router.delete("/{job_id}", summary="Cancel an import, or forget one that is over")
async def cancel(job_id: str, door: TheDoor) -> JobAnswer:
    """Stop it where it is, and its schedule: the rows that were accepted so far are on their topic, and stay. `rows_accepted` says how many.

    One that is over is forgotten, and answered for the last time.
    """
    order = known(door, job_id)
    if jobs.is_through(order, door.status.jobs.get(job_id)):
        answer = JobAnswer.of(door, order)
        await _forget(door, job_id)
        return answer
    await door.registrar.order(f"{JOB}/{job_id}", jobs.changing(job_id, jobs.cancelled(door.clock.now_ms())))
    return JobAnswer.of(door, known(door, job_id))


def known(door: Door, job_id: str) -> StoredJob:
    """Return a job.

    Raises:
        NotFound: there is none.
        Unavailable: what there is is still being read.

    """
    door.require_status()
    order = door.orders.job(job_id)
    if order is None:
        raise jobs.no_job(job_id)
    return order


async def _make_room(door: Door) -> None:
    """Forget the oldest job that is over where there are too many; raises Conflict when none is."""
    found = door.orders.jobs()
    if len(found) < MOST_KEPT:
        return
    for job_id in reversed(found):
        order = door.orders.job(job_id)
        if order is None or jobs.is_through(order, door.status.jobs.get(job_id)):
            await _forget(door, job_id)
            return
    raise Conflict(f"{MOST_KEPT} jobs are under way or scheduled, as many as may be; cancel one with DELETE /integration/import/jobs/{found[-1]}.")


async def _forget(door: Door, job_id: str) -> None:
    await door.registrar.order(f"{JOB}/{job_id}", lambda _: None)
    door.producer.send(topics.STATUS.name, f"{JOB}/{job_id}".encode(), None)
