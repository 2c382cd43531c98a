"""One file of a log on this machine's disk: what is known of it, and the few things that are done to it."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flows.wire.entry import HEAD_BYTES, peek, whole

LOG: Final = logging.getLogger("xyra.spool")
SUFFIX: Final = ".spill"
DAMAGED: Final = ".damaged"
MOST_DAMAGED: Final = 8
"""The newest of them are kept."""


@dataclass(slots=True)
class Segment:
    """A file that is only ever appended to."""

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


def looked_at(path: Path) -> Segment:
    """Count the whole entries of a segment that an earlier process left."""
    data, end, count = path.read_bytes(), 0, 0
    for _, stop in whole(data):
        end, count = stop, count + 1
    if end < len(data):
        LOG.warning(
            "The spill log's %s is whole for %d of %d bytes; the rest was not acknowledged when it was cut off, or the disk lost it", path, end, len(data)
        )
    return Segment(path, len(data), end, 0, count, torn=end < len(data))


def head_of(segment: Segment) -> tuple[int, int]:
    """Return how many bytes a segment's next entry takes and when it was accepted; zeros where the disk has lost it."""
    return peek(read_on(segment, HEAD_BYTES).ljust(HEAD_BYTES, b"\0"))


def read_on(segment: Segment, most: int) -> bytes:
    """Read on from where a segment was read to."""
    with segment.path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), min(most, segment.end - segment.read), segment.read)


def delete(segment: Segment) -> None:
    """Give its room back, for certain; one that is torn is kept under another name. It may be called again after an error."""
    folder = segment.path.parent
    if segment.torn and segment.path.exists():
        segment.path.replace(segment.path.with_suffix(DAMAGED))  # whoever misses something can look
        for old in sorted(folder.glob("*" + DAMAGED), key=lambda path: path.stat().st_mtime)[:-MOST_DAMAGED]:
            old.unlink()
    else:
        segment.path.unlink(missing_ok=True)
    sync_folder(folder)  # one by one: no older segment outlives a newer one


def make_folder(folder: Path) -> None:
    """Make it, and those above it that are not there, so that they outlive a power cut."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Have what was made, renamed and deleted in it outlive a power cut; blocks on the disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
