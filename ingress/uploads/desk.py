"""What this ingress knows of uploads: their records on `xyra.status`, who writes to which, and what was seen of their bytes."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Thread
from typing import Any, Final

import orjson

from flows.core import ids, signals, topics
from flows.core.clock import Clock
from flows.core.errors import NotFound, TooLarge, Unavailable
from flows.core.files.pieces import Piece
from flows.core.imports import uploads
from flows.core.imports.shelf import End, NotAPiece, end_output, read
from flows.core.imports.uploads import Digest, Upload
from flows.core.record import Output
from flows.core.settings import Settings
from flows.wire.aside import aside
from flows.wire.detect import detect
from flows.wire.pick import pick
from flows.wire.produce import Delivery, LoopProducer
from flows.wire.readers import Readers
from flows.wire.telemetry import Telemetry
from ingress.uploads.writer import Reread, Writer
from ingress.view import Followed

PREFIX: Final = f"{uploads.UPLOAD}/"
LARGE: Final = 16 * 1024
"""A record that is larger, because of its tail, is read from the topic when it is needed."""
AT_ONCE: Final = 16
DIGESTS: Final = 1000
TOLD_MS: Final = 86_400_000
"""So long an upload that has expired answers that it has; then nothing is known of it."""
SWEEP_S: Final = 60.0
READ_AGAIN: Final = 32
FRESH_S: Final = 5.0


class Uploads:
    """Finds, begins and keeps uploads; the newest record of each counts, whichever ingress wrote it."""

    def __init__(self, settings: Settings, clock: Clock, producer: LoopProducer, telemetry: Telemetry) -> None:
        """Start empty."""
        self.readers = Readers(settings)
        self.settings, self._clock, self._producer, self._telemetry = settings, clock, producer, telemetry
        self._records: dict[str, tuple[int, bytes | None]] = {}
        self._expiry: dict[str, int] = {}
        self._digests: OrderedDict[str, Digest] = OrderedDict()
        self._busy: set[str] = set()
        self._swept = 0.0

    def apply(self, key: str, value: bytes | None, offset: int) -> None:
        """Take one record of `xyra.status`."""
        if not key.startswith(PREFIX):
            return
        upload_id = key[len(PREFIX) :]
        if self._records.get(upload_id, (-1, None))[0] >= offset:
            return  # our own, known since it was acknowledged
        if value is None:
            self._records.pop(upload_id, None)
            self._expiry.pop(upload_id, None)
            return
        with suppress(ValueError, TypeError, KeyError):
            self._expiry[upload_id] = int(orjson.loads(value)["expires_at_ms"])
            self._records[upload_id] = offset, value if len(value) <= LARGE else None

    async def find(self, upload_id: str, followed: Followed | None, *, fresh: bool = False) -> Upload | None:
        """Return an upload; None: there is none. With `fresh`, what other ingresses have written up to now is waited for.

        Raises:
            Unavailable: the records have not been read, or cannot be now.

        """
        if followed is None or not followed.ready:
            raise Unavailable("The records of uploads are still being read; try again.", retry_after_s=1)
        if fresh:
            await followed.reached(await aside(followed.topic.end, FRESH_S), FRESH_S)
        offset, value = self._records.get(upload_id, (-1, None))
        if offset >= 0 and value is None:
            found = await aside(pick, self.settings, topics.STATUS.name, 0, [offset])
            if not found or found[0].value is None:
                raise Unavailable(f"The record of the upload {upload_id} is being replaced; try again.", retry_after_s=1)
            value = found[0].value
        return Upload.of(orjson.loads(value)) if value is not None else None

    def begin(self, length: int | None, metadata: str = "", **about: Any) -> Upload:
        """Return a new upload, which nobody knows of before it is saved, and have ready what will look at it; raises TooLarge."""
        now_ms, kept_ms = self._clock.now_ms(), self.settings.import_upload_expiry_seconds * 1000
        most = self.settings.batch_import_max_file_size
        begun = uploads.create(ids.event_id(now_ms), length, metadata, now_ms, kept_ms, most)
        Thread(target=self.readers.warm, name="warm", daemon=True).start()
        return replace(begun, **about)

    async def save(self, upload: Upload) -> None:
        """Write its record, and go on when it is durable; raises Unavailable."""
        key, value = PREFIX + upload.upload_id, upload.text()
        place = await self._producer.send(topics.STATUS.name, key.encode(), value)
        self.apply(key, value, place.offset)

    @contextmanager
    def held(self, upload_id: str) -> Iterator[None]:
        """Hold an upload for one request.

        Raises:
            Unavailable: as many uploads are being written as may be at once.
            BlockingIOError: another request writes to it.

        """
        if upload_id in self._busy:
            raise BlockingIOError(upload_id)
        if len(self._busy) >= AT_ONCE:
            raise Unavailable(f"{AT_ONCE} uploads are being written, as many as may be at once; send it again.", retry_after_s=2)
        self._busy.add(upload_id)
        try:
            yield
        finally:
            self._busy.discard(upload_id)

    def writer(self, upload: Upload) -> Writer:
        """Return what writes to an upload that is held."""
        digest = self._digests.get(upload.upload_id)
        if digest is None or digest.at != upload.cut:
            digest = Digest()  # it does not take what comes later, where it begins later
        self._digests[upload.upload_id] = digest
        self._digests.move_to_end(upload.upload_id)
        while len(self._digests) > DIGESTS:
            self._digests.popitem(last=False)
        return Writer(upload, digest, self._send)

    def _send(self, output: Output) -> "asyncio.Future[Delivery]":
        sent = self._producer.send(output.topic, output.key, output.value, list(output.headers))
        size = len(output.value or b"")

        def count(future: "asyncio.Future[Delivery]") -> None:
            if size and not future.cancelled() and future.exception() is None:
                self._telemetry.count(signals.UPLOAD_BYTES, size)
                self._telemetry.count(signals.UPLOAD_PIECES)

        sent.add_done_callback(count)
        return sent

    def count(self, outcome: str) -> None:
        """Count an upload that ended."""
        self._telemetry.count(signals.UPLOADS, outcome=outcome)

    def too_large(self) -> TooLarge:
        """Return the refusal of a file that goes on behind the largest size."""
        most = self.settings.batch_import_max_file_size
        return TooLarge(f"The file has more than the {most:,} bytes that INTEGRATION_BATCH_IMPORT_MAX_FILE_SIZE allows.")

    async def finish(self, writer: Writer) -> Upload:
        """Write the end of an upload whose bytes have all come, and its record; raises as `Writer.take` does."""
        upload = await writer.finish(self.reread)
        self._digests.pop(upload.upload_id, None)
        await self.save(upload)
        self.count("received")
        return upload

    async def reread(self, upload: Upload) -> Digest:
        """Return the digest of the pieces as they stand on the log; raises Unavailable."""
        return await aside(self._read_again, upload)

    def _read_again(self, upload: Upload) -> Digest:
        again = Reread()
        for at in range(upload.first, upload.last + 1, READ_AGAIN) if upload.pieces else ():
            for piece in self._pieces(upload, range(at, min(at + READ_AGAIN, upload.last + 1))):
                again.take(piece)
        return again.found(upload)

    def _pieces(self, upload: Upload, offsets: range) -> Iterator[Piece]:
        for record in pick(self.settings, topics.UPLOADS.name, upload.partition, offsets):
            with suppress(NotAPiece):
                piece = read(record) if record.key == upload.upload_id.encode() else None
                if isinstance(piece, Piece):
                    yield piece

    async def detected(self, upload: Upload, sample: bytes | None = None) -> Upload:
        """Return an upload that has come whole with what the file is, found out once; never fails for what the file holds."""
        if upload.detected is not None or not upload.sha256:
            return upload
        if sample is None and upload.pieces:
            found = await aside(lambda: list(self._pieces(upload, range(upload.first, upload.first + 1))))
            sample = found[0].data if found else b""
        told = await aside(detect, self.readers, sample or b"", upload.name, upload.how, upload.hints.get("data_format") or "")
        if upload.torn:
            told = {**told, "notes": [*told.get("notes", ()), upload.torn]}
        upload = replace(upload, detected=told)
        await self.save(upload)
        return upload

    async def break_off(self, upload: Upload, why: str, outcome: str) -> None:
        """End an upload of which nothing more is to come, and tell the jobs that wait for it; raises Unavailable."""
        await self._send(end_output(upload.upload_id.encode(), upload.upload_id, End(upload.cut, "", why)))
        await self.save(uploads.ended(upload, self._clock.now_ms()))
        self.count(outcome)

    def sweep(self) -> None:
        """Forget uploads that expired a day ago; call it about once a second."""
        now = self._clock.monotonic()
        if now - self._swept < SWEEP_S:
            return
        self._swept, gone_ms = now, self._clock.now_ms() - TOLD_MS
        for upload_id in [upload_id for upload_id, expires_ms in self._expiry.items() if expires_ms < gone_ms]:
            with suppress(Unavailable):
                self._producer.send(topics.STATUS.name, (PREFIX + upload_id).encode(), None).add_done_callback(_seen)


def _seen(future: "asyncio.Future[Delivery]") -> None:
    """Let a failure be: the next sweep comes."""
    _ = future.cancelled() or future.exception()


def missing(upload_id: str) -> NotFound:
    """Return the refusal of an upload that there is not."""
    return NotFound(f"There is no upload {upload_id[:128]}; it was never begun, or has been gone for a day.")
