"""A bounded log on this machine's disk: what was appended is on the disk when `append` returns, and is read back in its order.

Segments: files that are only ever appended to, deleted from the oldest on once what they hold stands elsewhere. Whatever a crash
left of an append that never returned is cut off: a segment ends before its first entry that is not whole, and nothing is ever
appended to a segment that an earlier process began.
"""

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from flows.core.errors import WrongSetting
from flows.wire.entry import HEAD_BYTES, Entry, decode, encode, peek, whole

LOG: Final = logging.getLogger("xyra.spool")
SEGMENT_BYTES: Final = 8 << 20
"""Large enough that making and deleting files costs nothing, small enough that room is given back soon."""
SEGMENTS: Final = 16
"""A small bound makes small segments: at most such a part of it is taken by what is drained already."""
SUFFIX: Final = ".spill"
DAMAGED: Final = ".damaged"


class Place(NamedTuple):
    """How far the log was read: up to `offset` of this segment, and all segments before it."""

    segment: str
    offset: int


@dataclass(slots=True)
class _Segment:
    path: Path
    size: int = 0
    """Bytes it is counted with."""
    end: int = 0
    """Bytes that are on the disk for certain, and whole; what lies behind is nobody's."""
    read: int = 0
    entries: int = 0
    """Between what was read and the end."""
    torn: bool = False
    """Something lies behind the end that an earlier process wrote, or the disk has made of it."""


class Spool:
    """Appended to by one thread, read and dropped by one other, looked at by any. Whoever opens it holds the folder alone."""

    def __init__(self, folder: Path, most_bytes: int, write: Callable[[int, memoryview], int] = os.write, sync: Callable[[int], None] = os.fdatasync) -> None:
        """Look at what an earlier process left in `folder`; reads all of it, and blocks for a second with 512 MiB.

        Args:
            folder: made with the first append.
            most_bytes: so many bytes of files are held at once.
            write: writes to a file, some or all of the bytes.
            sync: returns when a file's bytes are on the disk.

        Raises:
            WrongSetting: the folder is there and cannot be read.

        """
        self.folder = folder
        self._most = most_bytes
        self._to_file, self._to_disk = write, sync
        self._segment_bytes = min(SEGMENT_BYTES, most_bytes // SEGMENTS)
        self._changing, self._appending = Lock(), Lock()
        self._file: int | None = None
        self._segments: list[_Segment] = []
        self.entries = 0
        """How many wait."""
        self.bytes = 0
        """What the files take, with what is drained and not yet deleted."""
        self.oldest_ms: int | None = None
        """When the oldest that waits was accepted; None while none waits."""
        self.full = False
        """Whether an entry found no room, and none was given back since."""
        try:
            self._segments = [_looked_at(path) for path in sorted(folder.glob("*" + SUFFIX))]
            self._settle()
        except OSError as error:
            raise WrongSetting(f"The spill log {folder} cannot be read: {error.strerror}. Mend its rights, or set INTEGRATION_DATA_DIR.") from error

    def append(self, entries: Sequence[Entry]) -> list[bool]:
        """Put entries on the disk, with one write and one fsync for all of them, and tell for each whether there was room.

        Blocks on the disk. After a crash here some of them may be there, from the first on.

        Raises:
            OSError: the disk is full or fails; none of them counts as taken, and it may be called again.

        """
        with self._appending:
            fits, pieces, first, size = list[bool](), list[bytes](), 0, self.bytes
            for entry in entries:
                piece = encode(entry)
                fits.append(size + len(piece) <= self._most)
                if fits[-1]:
                    first = first or entry.accepted_ms
                    pieces.append(piece)
                    size += len(piece)
            if pieces:
                self._write(b"".join(pieces), len(pieces), first)
            if len(pieces) < len(entries):
                self.full = True
            return fits

    def _write(self, data: bytes, count: int, first_ms: int) -> None:
        try:
            segment, file = self._current()
            rest = memoryview(data)
            while rest:
                rest = rest[self._to_file(file, rest) :]
            self._to_disk(file)
        except OSError:
            self._abandon()
            raise
        with self._changing:
            segment.end = segment.size = segment.end + len(data)
            segment.entries += count
            self.bytes += len(data)
            if not self.entries:
                self.oldest_ms = first_ms
            self.entries += count

    def _current(self) -> tuple[_Segment, int]:
        """Return the segment to append to and its file: a new one where the last is large enough."""
        if self._file is not None and self._segments[-1].end < self._segment_bytes:
            return self._segments[-1], self._file
        with self._changing:
            self._end_file()
            number = int(self._segments[-1].path.stem.partition("-")[0]) + 1 if self._segments else 1
            made = _Segment(self.folder / f"{number:08d}-{secrets.token_hex(8)}{SUFFIX}")  # no name comes twice: places outlive segments
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(made.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
            self._segments.append(made)
            _sync_folder(self.folder)
            return made, self._file

    def _abandon(self) -> None:
        """Never write again to a segment that could not be written once: what the kernel still holds of it is not known."""
        with self._changing:
            if self._file is None:
                return
            segment = self._segments[-1]
            self._end_file()
            with contextlib.suppress(OSError):  # what stays behind the end is read by nobody here, and was promised to nobody
                os.truncate(segment.path, segment.end)
            if not segment.end:
                self._segments.remove(segment)
                with contextlib.suppress(OSError):
                    segment.path.unlink(missing_ok=True)

    def read(self, most_entries: int, most_bytes: int) -> tuple[list[Entry], Place]:
        """Return the oldest entries that wait, of one segment, and the place behind them; at least one where any waits.

        Blocks on the disk.

        Raises:
            OSError: the disk fails.

        """
        while (segment := self._next()) is not None:
            data = _read(segment, max(most_bytes, _head(segment)[0]))
            found, size = list[Entry](), 0
            for start, stop in whole(data):
                if len(found) == most_entries:
                    break
                found.append(decode(data[start:stop]))
                size = stop
            if found:
                return found, Place(segment.path.stem, segment.read + size)
            self._damaged(segment)
        return [], Place("", 0)

    def _next(self) -> _Segment | None:
        """Return the first segment with something to read."""
        with self._changing:
            return next((segment for segment in self._segments if segment.read < segment.end), None)

    def _damaged(self, segment: _Segment) -> None:
        """Go on behind a segment that was whole once, and is not any more."""
        LOG.error("The spill log's %s is damaged from byte %d on: %d entries are lost; the file is kept", segment.path, segment.read, segment.entries)
        with self._appending, self._changing:
            self._end_file()
            segment.end, segment.entries, segment.torn = segment.read, 0, True
            self._settle()

    def skip(self, place: Place) -> None:
        """Go on at a place that an earlier process came to; where its segment is gone, all that is here lies behind it.

        Raises:
            OSError: the disk fails.

        """
        with self._changing:
            if any(segment.path.stem == place.segment for segment in self._segments):
                segment = self._pass(place)
                segment.entries = sum(1 for _ in whole(_read(segment, segment.end)))
                self._settle()

    def drop(self, place: Place, count: int) -> None:
        """Let go of `count` entries up to `place`, which stand elsewhere now, and give the room of whole segments back.

        Raises:
            OSError: the disk fails; the entries are let go of all the same.

        """
        with self._changing:
            self._pass(place).entries -= count
            self._settle()

    def _pass(self, place: Place) -> _Segment:
        """Count everything up to a place as read, and return its segment."""
        for segment in self._segments:
            if segment.path.stem == place.segment:
                segment.read = place.offset
                return segment
            segment.read, segment.entries = segment.end, 0
        raise KeyError(place.segment)

    def _settle(self) -> None:
        """Count what waits, and delete what was read, oldest first, up to the segment that is appended to."""
        self.entries = sum(segment.entries for segment in self._segments)
        while self._segments and self._segments[0].read >= self._segments[0].end and (self._file is None or len(self._segments) > 1):
            _delete(self._segments[0])
            del self._segments[0]
            self.full = False
        self.bytes = sum(segment.size for segment in self._segments)
        head = next((segment for segment in self._segments if segment.read < segment.end), None)
        self.oldest_ms = None if head is None else _head(head)[1]

    def rest(self) -> None:
        """Give all room back if nothing waits and nothing is being appended; raises as `drop` does."""
        if self._appending.acquire(blocking=False):
            try:
                with self._changing:
                    if not self.entries:
                        self._end_file()
                        self._settle()
            finally:
                self._appending.release()

    def close(self) -> None:
        """Let go of the file; what waits stays. Blocks while something is being appended."""
        with self._appending, self._changing:
            self._end_file()

    def _end_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _looked_at(path: Path) -> _Segment:
    """Count the whole entries of a segment that an earlier process left."""
    data, end, count = path.read_bytes(), 0, 0
    for _, stop in whole(data):
        end, count = stop, count + 1
    if end < len(data):
        LOG.warning(
            "The spill log's %s is whole for %d of %d bytes; the rest was not acknowledged when it was cut off, or the disk lost it", path, end, len(data)
        )
    return _Segment(path, len(data), end, 0, count, torn=end < len(data))


def _head(segment: _Segment) -> tuple[int, int]:
    """Return how many bytes a segment's next entry takes and when it was accepted; zeros where the disk has lost it."""
    return peek(_read(segment, HEAD_BYTES).ljust(HEAD_BYTES, b"\0"))


def _read(segment: _Segment, most: int) -> bytes:
    """Read on from where a segment was read to."""
    with segment.path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), min(most, segment.end - segment.read), segment.read)


def _delete(segment: _Segment) -> None:
    if segment.torn:
        segment.path.replace(segment.path.with_suffix(DAMAGED))  # whoever misses something can look
    else:
        segment.path.unlink(missing_ok=True)
    _sync_folder(segment.path.parent)  # one by one: no older segment outlives a newer one


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
