"""Files come in: in one request, as the body or in a form; and how an upload stands."""

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import unquote

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from flows.core.errors import PROBLEM, BadRequest, InvalidFields, TooLarge, UnsupportedMedia, XyraError
from flows.core.files.guess import SAMPLE, check_hints
from flows.core.imports import uploads
from flows.core.imports.uploads import Upload
from ingress import fields, problems
from ingress.body import Disconnected
from ingress.door import Door
from ingress.jsonbody import StrictRoute
from ingress.routes.upload_answers import Hints, UploadAnswer
from ingress.routes.webhooks import TheDoor
from ingress.uploads.bodies import Body
from ingress.uploads.desk import missing
from ingress.uploads.forms import Form, file_name, plain_name
from ingress.uploads.writer import Writer

router = APIRouter(prefix="/integration/import", tags=["imports"], route_class=StrictRoute)
FRAME: Final = 1024 * 1024
"""What a form may have beside its file."""
_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):")
_ANY: Final = {"schema": {"type": "string", "format": "binary"}}
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}},
            },
            "application/octet-stream": _ANY,
        },
    }
}


class Incoming:
    """One upload on its way in by one request."""

    def __init__(self, door: Door, hints: Mapping[str, Any]) -> None:
        """Take what its sender says of the file."""
        self._door, self._hints = door, hints
        self._writer: Writer | None = None
        self.wanted: bytes | None = None
        """The digest its sender announced."""
        self._hash = hashlib.sha256()
        self.sample = bytearray()

    def begin(self, name: str, content_type: str, digest: str, **more: Any) -> str:
        """Begin it, and return its id; raises BadRequest for what cannot be."""
        hints = {**self._hints, **more}
        check_hints(hints)
        self.wanted = announced(digest)
        upload = self._door.uploads.begin(None, name=name, content_type=content_type[:256], hints=hints)
        self._writer = self._door.uploads.writer(upload)
        return upload.upload_id

    @property
    def begun(self) -> bool:
        """Whether it was."""
        return self._writer is not None

    async def take(self, data: bytes) -> None:
        """Take bytes of the file; raises as `Writer.take` does, and TooLarge."""
        if self._writer is None:
            raise BadRequest("The form has no file; send it in a part named `file` or one that has a filename.")
        if self._writer.came + len(data) > self._door.settings.batch_import_max_file_size:
            raise self._door.uploads.too_large()
        self.sample += data[: SAMPLE - len(self.sample)]
        if self.wanted is not None:
            self._hash.update(data)
        await self._writer.take(data)

    async def end(self) -> Upload:
        """Write its end; raises as `take` does, and BadRequest when the bytes are not those that were announced."""
        await self.take(b"")
        writer = self._writer
        if writer is None:
            raise BadRequest("The form has no file.")
        if self.wanted is not None and self._hash.digest() != self.wanted:
            raise BadRequest(f"The {writer.came:,} bytes that came do not come to the sha-256 that was announced: they were damaged on the way. Send it again.")
        await writer.settle()
        writer.upload = uploads.lengthen(writer.upload, writer.came, self._door.settings.batch_import_max_file_size)
        return await self._door.uploads.finish(writer)


def announced(text: str) -> bytes | None:
    """Read `Repr-Digest` (RFC 9530); raises BadRequest when it is there and holds no sha-256."""
    if not text:
        return None
    found = _DIGEST.search(text)
    try:
        digest = b64decode(found.group(1), validate=True) if found else b""
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise BadRequest("Repr-Digest holds no sha-256; write it as `sha-256=:BASE64:`, or leave it out.")
    return digest


@router.post("/upload", status_code=201, summary="Send a file", openapi_extra=BODY, response_model=UploadAnswer)
async def send_file(request: Request, door: TheDoor, hints: Annotated[Hints, Query()]) -> Any:
    """Take a file of any size, as the body itself or as the one file of a form whose texts stand before it and say what the query may say.

    Answered once all of it is on the log. `Repr-Digest: sha-256=:BASE64:` is compared at the end. Files that come over bad lines are better sent by tus.
    """
    body = Body(request.receive)
    try:
        incoming = Incoming(door, hints.told())
        with door.uploads.held(str(id(incoming))):
            upload = await _received(request, body, incoming)
        shown = await door.uploads.detected(upload, bytes(incoming.sample))
        return UploadAnswer.of(shown, door.clock.now_ms())
    except Disconnected:
        door.uploads.count("broken_off")
        return Response(status_code=400)  # nobody reads it
    except XyraError as error:
        door.uploads.count("refused")
        await body.linger()
        found = problems.of_error(error, {"connection": "close"})
        kept = {name: value for name, value in found.headers if name not in {"content-type", "content-length"}}
        return Response(found.body, found.status, kept, PROBLEM)


async def _received(request: Request, body: Body, incoming: Incoming) -> Upload:
    headers = request.headers
    kind = headers.get("content-type", "")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Bytes of a file are taken as they are; leave Content-Encoding out: a compressed file is read as such.")
    if kind.lower().startswith("multipart/"):
        return await _form(request, body, incoming, kind)
    name = file_name(headers.get("content-disposition", "")) or plain_name(unquote(headers.get("x-file-name", "")))
    incoming.begin(name, kind, headers.get("repr-digest", ""))
    async for data in body.chunks():
        await incoming.take(data)
    return await incoming.end()


async def _form(request: Request, body: Body, incoming: Incoming, kind: str) -> Upload:
    if "repr-digest" in request.headers:
        raise BadRequest("Repr-Digest of a form is about the form; put it among the headers of the file's part.")
    form, beside = Form(kind), 0
    async for data in body.chunks():
        found = form.feed(data)
        beside += len(data) - len(found)
        if beside > FRAME:
            raise TooLarge(f"The form has more than {FRAME:,} bytes beside its file.")
        if form.file is not None and not incoming.begun:
            incoming.begin(form.file, form.content_type, form.digest, **_texts(form.texts))
        if found:
            await incoming.take(found)
    if not form.over:
        raise BadRequest("The form ends before its last boundary.")
    return await incoming.end()


def _texts(texts: Mapping[str, str]) -> dict[str, Any]:
    try:
        return Hints.model_validate({name: text for name, text in texts.items() if text}).told()
    except ValidationError as error:
        wrong = fields.errors_of(error.errors(), dict(texts), Hints)
        raise InvalidFields("The form has fields that are not valid.", errors=wrong) from error


@router.get("/uploads/{upload_id}", summary="How an upload stands")
async def look(upload_id: str, door: TheDoor) -> UploadAnswer:
    """Show how much of a file has come, and once it has come whole what it is."""
    upload = await door.uploads.find(upload_id, door.status_topic)
    if upload is None:
        raise missing(upload_id)
    return UploadAnswer.of(await door.uploads.detected(upload), door.clock.now_ms())
