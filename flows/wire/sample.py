"""Takes samples of an upload from its topic: whole records from its start, its middle and its end; of what is read as a whole, the file or its beginning."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

from flows.core import topics
from flows.core.errors import Conflict, FieldError, InvalidFields, Unavailable
from flows.core.files.guess import Cut
from flows.core.files.pieces import Part, Piece
from flows.core.imports.shelf import UPLOAD, NotAPiece, read
from flows.core.imports.uploads import Upload
from flows.core.settings import Settings
from flows.wire.strand import Strand

PLACE_BYTES: Final = 256 * 1024
"""Of the start at least; of the middle and the end a piece each."""
LONG_BYTES: Final = 8 << 20
"""Most that is read for a first record that is larger than a piece."""
WHOLE_BYTES: Final = 64 << 20
"""Most of a file that is put together, because only the whole of it can be read."""
BEGINNING_BYTES: Final = 4 << 20
"""So much of a larger file is read where its beginning tells."""
LOOKED_AT: Final = 32
"""Records of other uploads that are passed over for one place."""
NEAR_END: Final = 8
WHOLE: Final = frozenset({"parquet", "excel"})


class Sample(NamedTuple):
    """What was taken."""

    source: dict[str, Any]
    """The job's source, with what the pieces were cut by."""
    places: dict[str, list[Piece]]
    """By `start`, `middle`, `end`: pieces of whole records; none where there is a `path`."""
    path: Path | None = None
    """The file, or its beginning."""
    whole: bool = False
    """Nothing is missing."""
    size: int = 0
    rows: int | None = None
    """Of the whole file as it was counted when it was cut; None: not known."""


class Sampler:
    """Reads one upload's pieces. Blocks; one thread at a time; close it."""

    def __init__(self, settings: Settings, upload: Upload, until: float) -> None:
        """Make the client; `until` is when reading has to be over, on the monotonic clock."""
        self._upload, self._until = upload, until
        self._strand = Strand(settings, topics.UPLOADS.name, upload.partition, max(0.5, until - monotonic()))

    def take(self, data_format: str, source: dict[str, Any], path: Path) -> Sample:
        """Take a sample; a file is written to `path` where one has to be.

        Raises:
            Conflict: not enough has come, or it is gone.
            InvalidFields: the file is too large to be put together for this.
            Unavailable: the broker is away or slow.

        """
        cut = Cut.of(self._upload.how) if self._upload.how else Cut()
        if not self._upload.pieces and not self._upload.sha256:
            raise Conflict("Nothing of the file has come so far that could be looked at; ask again when it has.")
        if not cut.serves(data_format, source):
            return self._file(data_format, source, cut, path)
        return self._records(cut.source(source))

    def close(self) -> None:
        """Let go of the connections."""
        self._strand.close()

    def _records(self, source: dict[str, Any]) -> Sample:
        upload = self._upload
        start, behind = self._start()
        places, ended = {"start": start}, sum(len(piece.data) for piece in start)
        whole = bool(upload.sha256) and ended == upload.cut
        rows = start[-1].first + start[-1].records if whole and start else None if start else 0
        if not whole:
            middle = max(behind, (upload.first + upload.last) // 2)
            for offset, piece in self._walk(middle, upload.pieces):
                if piece.part is Part.RECORDS and piece.records and piece.start >= ended:
                    places["middle"], behind, ended = [piece], offset + 1, piece.start + len(piece.data)
                    break
            for _, piece in self._walk(max(behind, upload.last - NEAR_END + 1), NEAR_END):
                if piece.part is Part.RECORDS and piece.records and piece.start >= ended:
                    places["end"] = [piece]
                if upload.sha256 and piece.start + len(piece.data) == upload.cut:
                    rows = piece.first + piece.records
        size = sum(len(piece.data) for pieces in places.values() for piece in pieces)
        return Sample(source, places, whole=whole, size=size, rows=rows)

    def _start(self) -> tuple[list[Piece], int]:
        """Return the first pieces, and the offset behind them."""
        found: list[Piece] = []
        at, behind = 0, self._upload.first
        for offset, piece in self._walk(self._upload.first, self._upload.pieces):
            self._follows(piece, at)
            if piece.start < at:
                continue
            found.append(piece)
            at, behind = at + len(piece.data), offset + 1
            if at >= LONG_BYTES or (at >= PLACE_BYTES and piece.part in {Part.RECORDS, Part.END}):
                break
        if self._upload.pieces and not found:
            self._follows(None, at)
        return found, behind

    def _file(self, data_format: str, source: dict[str, Any], cut: Cut, path: Path) -> Sample:
        """Write the file, or as much of it as its beginning is enough."""
        upload, packed = self._upload, source.get("compression") or cut.compression
        needed = data_format in WHOLE or packed == "zip"
        if needed and not upload.sha256:
            raise Conflict(f"The file has not come whole, and nothing of {packed or data_format} can be looked at before it has; ask again then.")
        if needed and upload.cut > WHOLE_BYTES:
            detail = f"the file has {upload.cut:,} bytes; {packed or data_format} is read as a whole, and looked at up to {WHOLE_BYTES:,}: order the job itself"
            raise InvalidFields("The file is too large to be looked at.", errors=(FieldError("/source_config/upload_id", "too_large_to_preview", detail),))
        most = upload.cut if needed else BEGINNING_BYTES
        at = 0
        with path.open("wb") as file:
            for _, piece in self._walk(upload.first, upload.pieces) if upload.pieces else ():
                self._follows(piece, at)
                at += file.write(piece.data) if piece.start == at else 0
                if at >= most:
                    break
        if at < min(most, upload.cut):
            self._follows(None, at)
        return Sample(source, {}, path, whole=bool(upload.sha256) and at == upload.cut, size=at)

    def _follows(self, piece: Piece | None, at: int) -> None:
        if piece is None or piece.start > at:
            raise Conflict(f"The file's bytes from {at:,} on are not on {topics.UPLOADS.name} any more; send it again.")

    def _walk(self, start: int, most: int) -> Iterator[tuple[int, Piece]]:
        """Yield up to `most` of the upload's pieces from an offset on, with their offsets, past some of others'."""
        others, own = 0, self._upload.upload_id.encode()
        if not self._upload.pieces or most <= 0:
            return
        for record in self._strand.read(start, self._upload.last, lambda _: True):
            if monotonic() > self._until:
                raise Unavailable("The file could not be read in time; ask again.", retry_after_s=2)
            if record.header(UPLOAD) != own:
                others += 1
                if others > LOOKED_AT:
                    return
                continue
            try:
                found = read(record)
            except NotAPiece as error:
                raise Conflict(f"A piece of the file at offset {record.offset:,} cannot be read: {error}. Send it again.") from error
            if isinstance(found, Piece):
                yield record.offset, found
                most -= 1
            if not most:
                return
