"""The dry run of an import."""

from fastapi import APIRouter

from flows.wire.preview import look
from ingress import previews
from ingress.jsonbody import StrictRoute
from ingress.routes.job_answers import upload_of
from ingress.routes.preview_answers import PreviewAnswer, PreviewRequest
from ingress.routes.webhooks import TheDoor

router = APIRouter(prefix="/integration/import", tags=["imports"], route_class=StrictRoute)


@router.post("/preview", summary="Try an import on a sample of its file")
async def preview(wanted: PreviewRequest, door: TheDoor) -> PreviewAnswer:
    """Say what a job with this body would make of its upload: rows that would be rejected and why, columns with types, rows as they would be published, time.

    A sample from start, middle and end is read by the rules, within 5 s; nothing is written. Files that are not cut between their rows (Parquet, Excel, packed
    ones, XML) are looked at from their start. Two run at once.
    """
    door.require_status()
    now_ms = door.clock.now_ms()
    upload = previews.checked(wanted, await upload_of(door, wanted), door.settings, now_ms)
    job = wanted.model_dump(mode="json", by_alias=True) | {"transformation_rules": dict(wanted.transformation_rules)}
    found = await door.streams.previews.aside(look, door.settings, door.uploads.readers, upload, job)
    return PreviewAnswer.of(wanted, upload, found)
