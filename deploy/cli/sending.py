"""A file on its way to the ingress, by tus: where a connection breaks, the rest is sent by the next one."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import httpx2

from deploy.cli.calls import MOST_TRIES, call, wait_s
from flows.core.errors import Conflict, Gone, NotFound, Refused, Unavailable, WrongSetting

ROUTE: Final = "/integration/import/tus"
TUS: Final = {"tus-resumable": "1.0.0"}
BLOCK: Final = 256 * 1024
Told = Callable[[int, int], None]
"""Is called with the bytes that are gone, and all there are."""


def begin(http: httpx2.Client, file: Path, data_format: str) -> str:
    """Begin an upload and return its id; raises as `call` does."""
    about = {"filename": file.name, "sha256": _sha256(file)} | ({"data_format": data_format} if data_format else {})
    metadata = ",".join(f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in about.items())
    headers = TUS | {"upload-length": str(file.stat().st_size), "upload-metadata": metadata}
    return str(call(http, "POST", ROUTE, headers=headers).headers["location"].rpartition("/")[2])


def send(http: httpx2.Client, file: Path, upload_id: str, told: Told, pause: Callable[[float], None]) -> None:
    """Send what is missing of a file; blocks until all of it has come.

    Raises:
        Unavailable: again and again nothing more came.
        NotFound: the ingress has no such upload.
        Refused: it does not take the file.
        WrongSetting: the file is not as long as the upload.

    """
    size, reached, tries = file.stat().st_size, -1, 0
    while True:
        try:
            at = _stands(http, upload_id, size)
            tries, reached = (0, at) if at > reached else (tries + 1, reached)
            told(at, size)
            if at == size:
                return
            _send_from(http, file, upload_id, at, size, told)
        except Unavailable:
            if tries >= MOST_TRIES:
                raise
            tries += 1
        if tries:
            pause(wait_s(tries))


def _stands(http: httpx2.Client, upload_id: str, size: int) -> int:
    """Return the byte to go on from."""
    try:
        headers = call(http, "HEAD", f"{ROUTE}/{upload_id}", headers=TUS).headers
    except (NotFound, Gone) as error:  # an answer to HEAD has no words of its own
        told = f"The ingress at {http.base_url} has no upload {upload_id}: it never had, or the upload is over and its time has passed"
        raise NotFound(f"{told}. Leave --resume away, and the file is sent anew.") from error
    if headers.get("upload-length") != str(size):
        length = headers.get("upload-length", "unknown")
        raise WrongSetting(f"The upload {upload_id} is of a file of {length} bytes, and this one has {size}: send it as a new one, without --resume.")
    return int(headers["upload-offset"])


def _send_from(http: httpx2.Client, file: Path, upload_id: str, at: int, size: int, told: Told) -> None:
    headers = TUS | {"content-type": "application/offset+octet-stream", "upload-offset": str(at), "content-length": str(size - at)}
    with file.open("rb") as source:
        try:
            call(http, "PATCH", f"{ROUTE}/{upload_id}", headers=headers, content=_blocks(source, at, size, told))
        except Conflict as error:  # another connection has moved it on: HEAD says where to
            raise Unavailable(error.detail) from error


def _blocks(source: BinaryIO, at: int, size: int, told: Told) -> Iterator[bytes]:
    source.seek(at)
    while at < size and (data := source.read(min(BLOCK, size - at))):
        yield data
        at += len(data)
        told(at, size)


def received(http: httpx2.Client, file: Path, upload_id: str, pause: Callable[[float], None]) -> dict[str, Any]:
    """Return what the ingress says of an upload that has come; waits for one that has not heard of that yet, 45 s at most.

    Raises:
        Refused: as `call` does, and when the bytes that came are not the file's.
        Unavailable: as `call` does.

    """
    found, tries = _looked(http, upload_id), 0
    while found is None and tries < MOST_TRIES:
        tries += 1
        pause(wait_s(tries))
        found = _looked(http, upload_id)
    if found is None:
        raise Unavailable(f"The ingress at {http.base_url} has not heard yet that the upload {upload_id} has come. Go on with --resume {upload_id}.")
    if found["sha256"] not in {None, _sha256(file)}:
        raise Refused(f"The upload {upload_id} does not hold the bytes of {file}: another file, or changed since. Send it as a new one, without --resume.")
    return found


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _looked(http: httpx2.Client, upload_id: str) -> dict[str, Any] | None:
    """Return an upload that has come; None: this ingress has not heard of that."""
    try:
        found: dict[str, Any] = call(http, "GET", f"/integration/import/uploads/{upload_id}").json()
    except NotFound:
        return None
    return found if found["status"] == "received" else None
