"""The tus protocol 1.0.0 without a socket: a request's head and the upload it is about in, what is to be done or answered out.

Core, creation, creation-defer-length, creation-with-upload, expiration, checksum and termination. Who serves it calls `decide`; what comes back is an
`Answer`, to be sent as it is, or an order (`Create`, `Receive`, `Remove`), after which one of the functions below makes the answer.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from flows.core.errors import BadRequest, Conflict, Damaged, Gone, Locked, MethodNotAllowed, NotFound, OtherVersion, Refused, TooLarge, UnsupportedMedia
from flows.core.imports import uploads
from flows.core.imports.tusheaders import ALGORITHMS, OFFSET_TYPE, VERSION, Checksum, checksum, http_date, metadata, number
from flows.core.imports.uploads import Upload

EXTENSIONS: Final = ("creation", "creation-defer-length", "creation-with-upload", "expiration", "checksum", "termination")
COLLECTION: Final = ("OPTIONS", "POST")
SINGLE: Final = ("OPTIONS", "HEAD", "PATCH", "DELETE")
OVERRIDE: Final = frozenset({"HEAD", "PATCH", "DELETE"})
_BASE: Final = {"Tus-Resumable": VERSION}
_NEVER_KEPT: Final = {"Cache-Control": "no-store"}


class Limits(NamedTuple):
    """What this server takes."""

    most_bytes: int
    """Of one file."""
    most_checked: int
    """Of one request with a checksum: nothing of it is written before all of it is known to be right."""
    kept_ms: int
    """How long an upload is kept."""


class Ask(NamedTuple):
    """The head of a request."""

    method: str
    headers: Mapping[str, str]
    """By their names in lower case (`tusheaders.folded`)."""
    upload_id: str | None
    """What the path names; None: the place where uploads are begun."""


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    headers: Mapping[str, str]
    refusal: Refused | None = None
    """Why it is one, where it is a refusal."""

    @property
    def detail(self) -> str:
        """A sentence, where it is a refusal."""
        return self.refusal.detail if self.refusal is not None else ""


class Receive(NamedTuple):
    """Take the body's bytes from `offset` on; then answer `received`, `mismatched` or `overflowed`."""

    upload: Upload
    """As it is from now on: the request may have said its length."""
    offset: int
    most: int
    """With more bytes than this the body is too large: nothing of what lies beyond is taken."""
    checksum: Checksum | None


class Create(NamedTuple):
    """Begin an upload; then answer `created`."""

    length: int | None
    metadata: str
    receive: bool
    """The body holds its first bytes: ask `first_bytes` for what to do with them before answering."""


class Remove(NamedTuple):
    """End this upload; then answer `removed`."""

    upload: Upload


Decision = Answer | Create | Receive | Remove


def decide(ask: Ask, upload: Upload | None, limits: Limits, now_ms: int) -> Decision:
    """Decide about a request whose body has not been read. Never raises.

    Args:
        ask: the request.
        upload: the one its path names; None where there is none of that name.
        limits: what is taken.
        now_ms: the time.

    """
    try:
        return _decide(ask, upload, limits, now_ms)
    except Refused as error:
        return refused(error, upload)


def _decide(ask: Ask, upload: Upload | None, limits: Limits, now_ms: int) -> Decision:
    method = _method(ask)
    if method == "OPTIONS":
        return _options(limits)
    allowed = COLLECTION if ask.upload_id is None else SINGLE
    if method not in allowed:
        return _no(MethodNotAllowed(f"{method} is not for this path; it takes {', '.join(allowed)}."), {"Allow": ", ".join(allowed)})
    if ask.headers.get("tus-resumable") != VERSION:
        return _no(OtherVersion(f"Send the header Tus-Resumable: {VERSION}; no other version of the protocol is spoken here."), {"Tus-Version": VERSION})
    return _post(ask.headers, limits) if ask.upload_id is None else _single(method, ask.headers, upload, limits, now_ms)


def _single(method: str, headers: Mapping[str, str], upload: Upload | None, limits: Limits, now_ms: int) -> Decision:
    if upload is None:
        raise NotFound("There is no such upload; begin one with POST.")
    upload.check_open(now_ms)
    if method == "HEAD":
        return Answer(200, _BASE | _NEVER_KEPT | _place(upload) | _length(upload) | _described(upload))
    if method == "DELETE":
        return Remove(upload)
    return _patch(headers, upload, limits)


def _method(ask: Ask) -> str:
    """Return the method that is meant: some clients can send none but POST and say it in a header. A GET never changes anything."""
    meant = ask.headers.get("x-http-method-override", "").upper()
    if not meant or ask.method == meant:
        return ask.method
    if ask.method != "POST" or meant not in OVERRIDE:
        raise BadRequest("X-HTTP-Method-Override makes a POST a HEAD, PATCH or DELETE, and nothing else.")
    return meant


def _options(limits: Limits) -> Answer:
    told = {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(limits.most_bytes),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
    return Answer(204, _BASE | told)


def _post(headers: Mapping[str, str], limits: Limits) -> Create:
    if "upload-concat" in headers:
        raise BadRequest("Uploads in parts that are joined (Upload-Concat) are not taken here; send the file as one upload.")
    length, later = number(headers, "Upload-Length"), headers.get("upload-defer-length")
    if later is not None and later != "1":
        raise BadRequest("Upload-Defer-Length must be 1.")
    if (length is None) == (later is None):
        raise BadRequest("Send Upload-Length, or Upload-Defer-Length: 1 where the length is not known yet; one of them.")
    if length is not None and length > limits.most_bytes:
        raise uploads.too_large(length, limits.most_bytes)
    described = headers.get("upload-metadata", "")
    metadata(described)
    has_body = "transfer-encoding" in headers or (number(headers, "Content-Length") or 0) > 0
    if has_body:
        _check_type(headers)
        _body(headers, 0, limits.most_bytes if length is None else length, limits)
    return Create(length, described, has_body)


def first_bytes(create: Create, upload: Upload, headers: Mapping[str, str], limits: Limits) -> Receive:
    """Return what is to be done with the bytes that came with the request to begin `upload`; `decide` has found the request right.

    Where they do not come to their checksum nothing is begun, and the answer is `mismatched`: the client has no URL to go on with.
    """
    return Receive(upload, 0, *_body(headers, 0, limits.most_bytes if create.length is None else create.length, limits))


def _patch(headers: Mapping[str, str], upload: Upload, limits: Limits) -> Receive:
    _check_type(headers)
    offset = number(headers, "Upload-Offset")
    if offset is None:
        raise BadRequest("Send Upload-Offset: the byte of the file at which this body begins.")
    uploads.check_offset(upload, offset)
    length = number(headers, "Upload-Length")
    if length is not None:
        upload = uploads.lengthen(upload, length, limits.most_bytes)
    end = limits.most_bytes if upload.length is None else upload.length
    return Receive(upload, offset, *_body(headers, offset, end, limits))


def _body(headers: Mapping[str, str], offset: int, end: int, limits: Limits) -> tuple[int, Checksum | None]:
    """Judge what the head says of the body: return how long it may be, and what it has to come to."""
    wanted = checksum(headers["upload-checksum"]) if "upload-checksum" in headers else None
    most = end - offset
    size = number(headers, "Content-Length")
    if size is not None and size > most:
        raise TooLarge(f"The body has {size:,} bytes, and the upload takes {most:,} more.")
    if wanted is not None:
        most = min(most, limits.most_checked)
        if size is not None and size > most:
            raise TooLarge(f"A body with a checksum may have {limits.most_checked:,} bytes: send it in parts of that size, or without Upload-Checksum.")
    return most, wanted


def _check_type(headers: Mapping[str, str]) -> None:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != OFFSET_TYPE:
        raise UnsupportedMedia(f"Bytes of an upload come with Content-Type: {OFFSET_TYPE}.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Bytes of an upload are taken as they are; leave Content-Encoding out.")


def created(upload: Upload, location: str, *, received: bool) -> Answer:
    """Answer a request that began an upload.

    Args:
        upload: as it is now.
        location: its own URL.
        received: the request brought bytes.

    """
    return Answer(201, _BASE | {"Location": location} | _expires(upload) | (_place(upload) if received else {}))


def received(upload: Upload) -> Answer:
    """Answer a request whose bytes are durable, all of them or the first part of a body that broke off."""
    return Answer(204, _BASE | _place(upload) | _expires(upload))


def mismatched(upload: Upload, wanted: Checksum) -> Answer:
    """Answer a request whose bytes are not what its checksum says; nothing of them was written."""
    detail = f"The body does not come to the {wanted.algorithm} that Upload-Checksum says: it was damaged on the way. Send it again from byte {upload.offset}."
    return _no(Damaged(detail), _place(upload))


def overflowed(upload: Upload, order: Receive) -> Answer:
    """Answer a request whose body went on behind `order.most` bytes."""
    return refused(TooLarge(f"The body has more than the {order.most:,} bytes that were taken; ask with HEAD where the upload stands."), upload)


def locked(upload: Upload) -> Answer:
    """Answer a request while another one writes to the same upload."""
    return _no(Locked(f"Another request writes to the upload {upload.upload_id}; send this one again when it has ended."), {"Retry-After": "1"})


def removed() -> Answer:
    """Answer a request that ended an upload."""
    return Answer(204, _BASE)


def refused(error: Refused, upload: Upload | None) -> Answer:
    """Answer a request that is refused; where its upload stands is told when that is the reason, and never of one that is gone."""
    told = _place(upload) if upload is not None and isinstance(error, Conflict) else {}
    kept = _NEVER_KEPT if isinstance(error, NotFound | Gone) else {}
    return _no(error, told | kept)


def _no(error: Refused, headers: Mapping[str, str]) -> Answer:
    return Answer(error.status, {**_BASE, **headers}, error)


def _place(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset)}


def _length(upload: Upload) -> dict[str, str]:
    return {"Upload-Defer-Length": "1"} if upload.length is None else {"Upload-Length": str(upload.length)}


def _described(upload: Upload) -> dict[str, str]:
    return ({"Upload-Metadata": upload.metadata} if upload.metadata else {}) | _expires(upload)


def _expires(upload: Upload) -> dict[str, str]:
    return {"Upload-Expires": http_date(upload.expires_at_ms)}
