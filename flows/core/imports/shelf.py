"""Pieces of uploads as they stand on `xyra.uploads`, and the index of them that a partition's state keeps."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from flows.core import topics
from flows.core.files.guess import Cut
from flows.core.files.pieces import Part, Piece
from flows.core.record import Output, Record

UPLOAD: Final = "x-upload"
"""Which upload a record on `xyra.uploads` belongs to."""
PIECE: Final = "x-piece"
"""JSON `{"start", "line", "first", "records", "part", "sha256"}` of the piece that the value is."""
CUT: Final = "x-cut"
"""JSON of how the file is cut (`flows.core.files.guess.Cut`); an upload's pieces have it."""
FILE: Final = "x-file"
"""The sha256 that the whole file will have, where its sender has announced it: its rows have their ids then before all of it has come."""
END: Final = "x-end"
"""JSON `{"length", "sha256", "broken", "torn"}` of the file: there are no further pieces."""


class NotAPiece(ValueError):
    """A record on `xyra.uploads` is neither a piece nor an end."""


@dataclass(frozen=True, slots=True)
class End:
    """Behind the last piece of an upload."""

    length: int
    sha256: str
    broken: str = ""
    """Why nothing more comes of a file that is not whole; empty: it is."""
    torn: str = ""
    """Why a file all of which has come is to be read, and its job to fail all the same: it breaks off."""


def piece_output(key: bytes, upload_id: str, piece: Piece, cut: bytes = b"", announced: str = "") -> Output:
    """Return the record that a piece is written as; all pieces of an upload have one key, and so one partition.

    Args:
        key: the partition's.
        upload_id: what it is a piece of.
        piece: itself.
        cut: how the file is cut.
        announced: the sha256 that the file will have, as its sender says.

    """
    told = {
        "start": piece.start,
        "line": piece.line,
        "first": piece.first,
        "records": piece.records,
        "part": piece.part,
        "sha256": hashlib.sha256(piece.data).hexdigest(),
    }
    also = ((CUT, cut), (FILE, announced.encode()))
    headers = ((UPLOAD, upload_id.encode()), (PIECE, orjson.dumps(told)), *(header for header in also if header[1]))
    return Output(topics.UPLOADS.name, key, piece.data, headers)


def end_output(key: bytes, upload_id: str, end: End) -> Output:
    """Return the record that says that an upload is whole."""
    told = {"length": end.length, "sha256": end.sha256} | {name: told for name, told in (("broken", end.broken), ("torn", end.torn)) if told}
    return Output(topics.UPLOADS.name, key, None, ((UPLOAD, upload_id.encode()), (END, orjson.dumps(told))))


def upload_of(record: Record) -> str:
    """Return which upload a record belongs to; raises NotAPiece when it does not say."""
    upload_id = record.text(UPLOAD)
    if not upload_id:
        raise NotAPiece(f"it has no header {UPLOAD}")
    return upload_id


def read(record: Record) -> Piece | End:
    """Read a record of `xyra.uploads`.

    Raises:
        NotAPiece: it is neither a piece nor an end, or its bytes are not those that were written; the text says which.

    """
    try:
        end = record.header(END)
        if end is not None:
            found: Mapping[str, Any] = orjson.loads(end)
            return End(int(found["length"]), str(found["sha256"]), str(found.get("broken", "")), str(found.get("torn", "")))
        told: Mapping[str, Any] = orjson.loads(record.header(PIECE) or b"")
        data, sha256 = record.value or b"", told["sha256"]
        piece = Piece(int(told["start"]), data, int(told["line"]), int(told["first"]), int(told["records"]), Part(told["part"]))
    except (ValueError, KeyError, TypeError) as error:
        raise NotAPiece(f"its headers are not those of a piece ({type(error).__name__}: {error})") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise NotAPiece(f"the bytes from {piece.start} on are not those that were written (sha256)")
    return piece


@dataclass(frozen=True, slots=True)
class Shelf:
    """Which pieces of one upload have come, and where they stand on the partition."""

    first: int = -1
    """Offset of the first one; -1: none has come."""
    last: int = -1
    """Offset of the latest one, or of the end."""
    at: int = 0
    """The byte that comes next."""
    pieces: int = 0
    length: int | None = None
    """None: the end has not come."""
    sha256: str = ""
    announced: str = ""
    """The sha256 that the file will have, as its sender said before it came."""
    cut: str = ""
    """How the first piece says that the file is cut."""
    broken: str = ""
    """Why nothing more comes, though the file is not whole."""
    torn: str = ""
    """Why the file that has come ends too early."""

    @property
    def whole(self) -> bool:
        """Whether all of the file has come."""
        return self.length is not None

    @property
    def file(self) -> str:
        """The file's sha256 as far as it is known: what the ids of its rows are made of."""
        return self.sha256 or self.announced

    def serves(self, data_format: str, source: Mapping[str, Any]) -> bool:
        """Tell whether a job that reads the file so can read its pieces before the last one has come; `source` is its `source_config`."""
        return bool(self.announced and self.cut) and Cut.of(self.cut).serves(data_format, source)

    def after(self, found: Piece | End, record: Record) -> "Shelf":
        """Return it after one more record. What has come before, which an ingress writes again after a crash, changes nothing.

        Args:
            found: what `read` has made of the record.
            record: itself, which says where it stands.

        Raises:
            NotAPiece: it does not follow.

        """
        offset = record.offset
        if self.whole or self.broken:
            return self
        if isinstance(found, End) and found.broken:
            return replace(self, broken=found.broken, last=offset)
        if isinstance(found, End):
            if found.length != self.at:
                raise NotAPiece(f"the upload ends at byte {found.length}, and its pieces at {self.at}")
            first = offset if self.first < 0 else self.first
            return replace(self, length=found.length, sha256=found.sha256, torn=found.torn, first=first, last=offset)
        if found.start + len(found.data) <= self.at and found.data:
            return self
        if found.start != self.at:
            raise NotAPiece(f"it begins at byte {found.start}, and the piece before it ended at {self.at}")
        told = self if self.pieces else replace(self, first=offset, announced=record.text(FILE) or "", cut=record.text(CUT) or "")
        return replace(told, last=offset, at=self.at + len(found.data), pieces=self.pieces + 1)

    def text(self) -> bytes:
        """Write it as it stands in state."""
        return orjson.dumps(self)

    @classmethod
    def of(cls, text: bytes) -> "Shelf":
        """Read what `text` wrote."""
        return cls(**orjson.loads(text))
