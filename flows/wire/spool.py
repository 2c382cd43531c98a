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
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from flows.core.errors import WrongSetting
from flows.wire.entry import Entry, decode, encode, whole
from flows.wire.segment import SUFFIX, Segment, delete, head_of, looked_at, make_folder, read_on, sync_folder

LOG: Final = logging.getLogger("xyra.spool")
SEGMENT_BYTES: Final = 8 << 20
"""Large enough that making and deleting files costs nothing, small enough that room is given back soon."""
SEGMENTS: Final = 16
"""A small bound makes small segments: at most such a part of it is taken by what is drained already."""


class Place(NamedTuple):
    """How far the log was read: up to `offset` of this segment, and all segments before it."""

    segment: str
    offset: int


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
        self._segments: list[Segment] = []
        self.entries = 0
        """How many wait."""
        self.bytes = 0
        """What the files take, with what is drained and not yet deleted."""
        self.waiting = 0
        """Bytes of what waits."""
        self.oldest_ms: int | None = None
        """When the oldest that waits was accepted; None while none waits."""
        self.full = False
        """Whether an entry found no room, and none was given back since."""
        try:
            self._segments = [looked_at(path) for path in sorted(folder.glob("*" + SUFFIX))]
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
            if len(pieces) < len(entries) and self._segments:
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
            self.waiting += len(data)
            if not self.entries:
                self.oldest_ms = first_ms
            self.entries += count

    def _current(self) -> tuple[Segment, int]:
        """Return the segment to append to and its file: a new one where the last is large enough."""
        if self._file is not None and self._segments[-1].end < self._segment_bytes:
            return self._segments[-1], self._file
        with self._changing:
            self._end_file()
            number = int(self._segments[-1].path.stem.partition("-")[0]) + 1 if self._segments else 1
            made = Segment(self.folder / f"{number:08d}-{secrets.token_hex(8)}{SUFFIX}")  # no name comes twice: places outlive segments
            make_folder(self.folder)
            self._file = os.open(made.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
            self._segments.append(made)
            sync_folder(self.folder)
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
            data = read_on(segment, max(most_bytes, head_of(segment)[0]))
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

    def _next(self) -> Segment | None:
        """Return the first segment with something to read."""
        with self._changing:
            return next((segment for segment in self._segments if segment.read < segment.end), None)

    def _damaged(self, segment: Segment) -> None:
        """Go on behind a segment that was whole once, and is not any more."""
        LOG.error("The spill log's %s is damaged from byte %d on: %d entries are lost; the file is kept", segment.path, segment.read, segment.entries)
        with self._appending, self._changing:
            self._end_file()
            segment.end, segment.entries, segment.torn = segment.read, 0, True
            self._settle()

    def skip(self, place: Place) -> int:
        """Go on at a place that an earlier process came to, and return how many entries that passes over; all here lies behind one whose segment is gone.

        Raises:
            OSError: the disk fails.

        """
        with self._changing:
            before = self.entries
            if any(segment.path.stem == place.segment for segment in self._segments):
                segment = self._pass(place)
                segment.entries = sum(1 for _ in whole(read_on(segment, segment.end)))
                self._settle()
            return before - self.entries

    def drop(self, place: Place, count: int) -> None:
        """Let go of `count` entries up to `place`, which stand elsewhere now, and give the room of whole segments back.

        Raises:
            OSError: the disk fails; the entries are let go of all the same.

        """
        with self._changing:
            self._pass(place).entries -= count
            self._settle()

    def _pass(self, place: Place) -> Segment:
        """Count everything up to a place as read, and return its segment."""
        for segment in self._segments:
            if segment.path.stem == place.segment:
                segment.read = min(place.offset, segment.end)  # shorter where the disk lost what was drained before it was synced
                return segment
            segment.read, segment.entries = segment.end, 0
        raise KeyError(place.segment)

    def _settle(self) -> None:
        """Count what waits, and delete what was read, oldest first, up to the segment that is appended to."""
        self.entries = sum(segment.entries for segment in self._segments)
        self.waiting = sum(segment.end - segment.read for segment in self._segments)
        head = next((segment for segment in self._segments if segment.read < segment.end), None)
        self.oldest_ms = None if head is None else head_of(head)[1]
        try:
            while self._segments and self._segments[0].read >= self._segments[0].end and (self._file is None or len(self._segments) > 1):
                delete(self._segments[0])
                del self._segments[0]
                self.full = False
        finally:
            self.bytes = sum(segment.size for segment in self._segments)

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
