"""Uploads that go on where they broke off: the tus protocol 1.0.0 over `flows.core.imports.tus`."""

import re
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from flows.core.errors import BadRequest, Refused, XyraError
from flows.core.files.guess import HINTS, check_hints
from flows.core.imports import tus, tusheaders
from flows.core.imports.tus import Answer, Ask, Create, Limits, Receive, Remove
from flows.core.imports.uploads import Upload
from ingress import problems
from ingress.body import Disconnected, RequestTimeout
from ingress.door import Door
from ingress.routes.upload_answers import Hints
from ingress.routes.webhooks import TheDoor
from ingress.uploads.bodies import Body
from ingress.uploads.forms import plain_name
from ingress.uploads.writer import Uncuttable, Writer

router = APIRouter(prefix="/integration/import/tus", tags=["imports"])
METHODS: Final = ["OPTIONS", "POST", "HEAD", "PATCH", "DELETE", "GET", "PUT"]
SAVE_EACH: Final = 16 * 1024 * 1024
"""How much has to be sent again after an ingress was killed, at most."""
_SHA256: Final = re.compile(r"(?:[0-9a-f]{64})?")
MOST_CHECKED: Final = 8 * 1024 * 1024
"""Of a body with a checksum: it is held until it is known to be right."""


@router.api_route("", methods=METHODS, include_in_schema=False)
async def collection(request: Request, door: TheDoor) -> Response:
    """Begin an upload, or say what is spoken here."""
    return await _served(request, door, None)


@router.api_route("/{upload_id}", methods=METHODS, include_in_schema=False)
async def single(upload_id: str, request: Request, door: TheDoor) -> Response:
    """Go on with an upload, ask where it stands, or end it."""
    return await _served(request, door, upload_id)


async def _served(request: Request, door: Door, upload_id: str | None) -> Response:
    body = Body(request.receive)
    try:
        return await _told(body, await _answered(request, body, door, upload_id))
    except Disconnected:
        return Response(status_code=400)  # nobody reads it
    except XyraError as error:
        await body.linger()
        found = problems.of_error(error, {"connection": "close", "Tus-Resumable": tusheaders.VERSION})
        return Response(found.body, found.status, {name: value for name, value in found.headers if name != "content-length"})


async def _answered(request: Request, body: Body, door: Door, upload_id: str | None) -> Answer:
    limits = Limits(door.settings.batch_import_max_file_size, MOST_CHECKED, door.settings.import_upload_expiry_seconds * 1000)
    ask = Ask(request.method, tusheaders.folded(request.headers.items()), upload_id)
    upload = None
    if upload_id is not None and request.method != "OPTIONS":
        upload = await door.uploads.find(upload_id, door.status_topic, fresh=True)
    decided = tus.decide(ask, upload, limits, door.clock.now_ms())
    if isinstance(decided, Answer):
        return decided
    if isinstance(decided, Create):
        return await _create(request.scope["path"], body, door, decided, ask, limits)
    try:
        with door.uploads.held(decided.upload.upload_id):
            if isinstance(decided, Remove):
                await door.uploads.break_off(decided.upload, "Its sender has taken it back.", "terminated")
                return tus.removed()
            return await _receive(body, door, decided)
    except BlockingIOError:
        return tus.locked(decided.upload)


async def _create(path: str, body: Body, door: Door, create: Create, ask: Ask, limits: Limits) -> Answer:
    upload = door.uploads.begin(create.length, create.metadata, **_about(create.metadata))
    location = f"{path.rstrip('/')}/{upload.upload_id}"
    with door.uploads.held(upload.upload_id):
        if create.receive:
            answer = await _receive(body, door, tus.first_bytes(create, upload, ask.headers, limits))
            if answer.status != 204:  # noqa: PLR2004  `tus.received`
                return answer
            upload = await door.uploads.find(upload.upload_id, door.status_topic) or upload
        elif create.length == 0:
            upload = await door.uploads.finish(door.uploads.writer(upload))
        else:
            await door.uploads.save(upload)
    return tus.created(upload, location, received=create.receive)


def _about(described: str) -> dict[str, Any]:
    """Return what a client says of its file, as an upload has it; raises BadRequest."""
    found = {key: value.decode("utf-8", "replace") for key, value in tusheaders.metadata(described).items()}
    try:
        hints = Hints.model_validate({name: found[name] for name in HINTS if found.get(name)}).told()
    except ValidationError as error:
        wrong = error.errors()[0]
        raise BadRequest(f"Upload-Metadata says {wrong['loc'][0]} of the file, which is not valid: {wrong['msg']}.") from error
    check_hints(hints)
    announced = found.get("sha256", "").lower()
    if not _SHA256.fullmatch(announced):
        raise BadRequest("Upload-Metadata says sha256 of the file, which is not valid: write 64 hexadecimal digits, or leave it out.")
    name, kind = found.get("filename") or found.get("name") or "", found.get("filetype") or found.get("type") or ""
    return {"name": plain_name(name), "content_type": kind[:256], "hints": hints, "announced": announced}


async def _receive(body: Body, door: Door, order: Receive) -> Answer:
    """Take a body's bytes; what has come of one that breaks off is kept."""
    if order.checksum is not None:
        return await _checked(body, door, order)
    writer, taken, saved = door.uploads.writer(order.upload), 0, order.upload.cut
    broken: Exception | None = None
    try:
        async for data in body.chunks():
            taken += len(data)
            if taken > order.most:
                return tus.overflowed(await _kept(door, writer), order)
            await writer.take(data)
            if writer.upload.cut >= saved + SAVE_EACH:
                saved = writer.upload.cut
                await door.uploads.save(writer.upload)
    except (Disconnected, RequestTimeout) as error:
        broken = error
    except Uncuttable as error:
        return await _unreadable(door, writer, error)
    found = await _done(door, writer)
    if broken is not None and not isinstance(found, Answer):
        raise broken
    return found if isinstance(found, Answer) else tus.received(found)


async def _checked(body: Body, door: Door, order: Receive) -> Answer:
    """Take a body that has to come to a checksum: all of it or nothing."""
    checksum, held = order.checksum, bytearray()
    if checksum is None:
        raise BadRequest("There is no checksum.")
    running = checksum.begin()
    async for data in body.chunks():
        held += data
        if len(held) > order.most:
            return tus.overflowed(order.upload, order)
        running.update(data)
    if running.digest() != checksum.expected:
        return tus.mismatched(order.upload, checksum)
    writer = door.uploads.writer(order.upload)
    try:
        await writer.take(bytes(held))
    except Uncuttable as error:
        return await _unreadable(door, writer, error)
    found = await _done(door, writer)
    return found if isinstance(found, Answer) else tus.received(found)


async def _done(door: Door, writer: Writer) -> Upload | Answer:
    """Make what has come durable, and end the upload where that was all."""
    try:
        if writer.came == writer.upload.length:
            return await door.uploads.finish(writer)
        return await _kept(door, writer)
    except Uncuttable as error:
        return await _unreadable(door, writer, error)


async def _kept(door: Door, writer: Writer) -> Upload:
    upload = await writer.settle()
    await door.uploads.save(upload)
    return upload


async def _unreadable(door: Door, writer: Writer, error: Refused) -> Answer:
    """End an upload that nothing can be made of."""
    await door.uploads.break_off(writer.upload, error.detail, "refused")
    return tus.refused(error, None)


async def _told(body: Body, answer: Answer) -> Response:
    headers: Mapping[str, str] = answer.headers
    if answer.refusal is None:
        return Response(status_code=answer.status, headers=dict(headers))
    await body.linger()
    found = problems.of_error(answer.refusal, {**headers, "connection": "close"})
    return Response(found.body, found.status, {name: value for name, value in found.headers if name != "content-length"})
