"""Writes one upload, from whatever byte it stands at: cuts what comes, produces the pieces, and says what is durable."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from flows.core.errors import Refused, Unavailable
from flows.core.files.guess import SAMPLE, Cut, guess
from flows.core.files.pieces import Cutter, Piece
from flows.core.imports import uploads
from flows.core.imports.shelf import End, end_output, piece_output
from flows.core.imports.uploads import Digest, Upload
from flows.core.record import Output
from flows.wire.aside import aside
from flows.wire.produce import Delivery

BLOCK: Final = 256 * 1024
"""A cutter is fed blocks that end at multiples of this in the file, whatever the requests brought: so a file is cut the same way again after a crash."""
IN_FLIGHT: Final = 4 * 1024 * 1024
"""With so many bytes on their way to the broker, all acknowledgements are waited for before more is read."""

Send = Callable[[Output], "asyncio.Future[Delivery]"]


class Uncuttable(Refused):
    """Nothing can be made of the file, whatever else comes of it: it cannot be cut, or is not what its sender announced."""

    code, title, status = "unreadable_file", "The file cannot be read", 422


class Writer:
    """One request's hold on an upload. Pieces are repeated when it is begun anew from an older state of the upload, and readers know them by their place."""

    def __init__(self, upload: Upload, digest: Digest, send: Send) -> None:
        """Take the upload as it is durable, its digest, and what writes a record."""
        self.upload = upload
        """As it is durable."""
        self._digest = digest
        self._send = send
        self._held = bytearray(upload.tail)
        self._cutter: Cutter | None = None
        self._how = b""
        self._at, self._fed, self._came = upload.cut, upload.cut, upload.offset
        self._pieces: list[Piece] = []
        self._sent: list[asyncio.Future[Delivery]] = []
        self._on_way = 0
        self._torn = ""

    @property
    def came(self) -> int:
        """How many bytes of the file have come, durable or not."""
        return self._came

    async def take(self, data: bytes) -> None:
        """Take the next bytes; waits while enough is on its way, and `upload` is newer then.

        Raises:
            Uncuttable, BadRequest: the file cannot be cut any further, or not as its sender says.
            Unavailable: the broker did not acknowledge; `upload` is what is durable.

        """
        self._held += data
        self._came += len(data)
        while self._came >= (end := (self._fed // BLOCK + 1) * BLOCK):
            await self._feed(end, last=False)
            if self._on_way >= IN_FLIGHT:
                await self.settle()

    async def settle(self) -> Upload:
        """Wait for what is on its way, and return the upload as it is durable once its record stands; raises Unavailable."""
        pieces, sent = self._pieces, self._sent
        self._pieces, self._sent, self._on_way = [], [], 0
        found = await asyncio.gather(*sent, return_exceptions=True)
        for failed in found:
            if isinstance(failed, BaseException):
                raise failed
        places = [place for place in found if isinstance(place, Delivery)]
        offsets = (places[0].partition, places[0].offset, places[-1].offset) if places else None
        state = self.upload.cutter if self._cutter is None else self._cutter.state() if self._at else b""
        tail = bytes(self._held[: uploads.MOST_TAIL])
        self.upload = replace(uploads.written(self.upload, pieces, tail, state, offsets), how=self._how.decode() or self.upload.how)
        return self.upload

    async def finish(self, again: Callable[[Upload], Awaitable[Digest]]) -> Upload:
        """Cut and write what is left, and the end; all bytes have come. Raises as `take` does.

        Args:
            again: returns the digest of the pieces, read again, where this process has not seen all of them.

        """
        await self.take(b"")
        await self._feed(self._came, last=True)
        upload = replace(await self.settle(), cutter=b"")
        digest = self._digest
        if digest.at != upload.length:
            digest = await again(upload)
        sha256 = digest.hex()
        if upload.announced not in {"", sha256}:
            raise Uncuttable(f"The bytes that came are not those of the sha256 that was announced ({upload.announced}); begin another upload of the file.")
        await self._send(end_output(upload.upload_id.encode(), upload.upload_id, End(upload.cut, sha256, torn=self._torn)))
        self.upload = replace(uploads.hashed(upload, sha256), torn=self._torn)
        return self.upload

    async def _feed(self, end: int, *, last: bool) -> None:
        """Cut up to a byte of the file, in a thread, and send what comes of it."""
        outputs = await aside(self._cut, bytes(self._held[self._fed - self._at : end - self._at]), last=last)
        self._fed = end
        for piece, output in outputs:
            self._pieces.append(piece)
            self._sent.append(self._send(output))
            self._at += len(piece.data)
            self._on_way += len(piece.data)
            del self._held[: len(piece.data)]

    def _cut(self, block: bytes, *, last: bool) -> list[tuple[Piece, Output]]:
        upload = self.upload
        if self._cutter is None:
            cut = Cut.of(upload.how) if upload.how else guess(bytes(self._held[:SAMPLE]), upload.name, upload.content_type, upload.hints)
            self._how = cut.text()
            self._cutter = cut.cutter(upload.cutter or None)
        pieces = self._cutter.feed(block) if block else []
        pieces += self._cutter.finish() if last else []
        if (refused := self._cutter.refused) is not None and not refused.torn:
            raise Uncuttable(refused.detail)
        self._torn = refused.torn if refused is not None else ""
        found = []
        for piece in pieces:
            self._digest.take(piece.start, piece.data)
            found.append((piece, piece_output(upload.upload_id.encode(), upload.upload_id, piece, self._how, upload.announced)))
        return found


class Reread:
    """The digest of pieces that are read again, in the log's order."""

    def __init__(self) -> None:
        """Begin before the first."""
        self.digest, self._chain = Digest(), uploads.NO_PIECES

    def take(self, piece: Piece) -> None:
        """Take one; those that were written twice, by an ingress that was killed or by two at once, are passed over."""
        if piece.start == self.digest.at:
            self.digest.take(piece.start, piece.data)
            self._chain = uploads.chained(self._chain, piece.data)

    def found(self, upload: Upload) -> Digest:
        """Return the digest; raises Unavailable when they are not those that were acknowledged."""
        if self.digest.at != upload.cut or self._chain != upload.chain:
            raise Unavailable(
                f"Of the upload {upload.upload_id} {self.digest.at} of {upload.cut} bytes were read again as they were acknowledged; send it anew."
            )
        return self.digest
