"""The slow work that looks for the files of a run: those that a pattern finds under the folders that may be read, in the order of their names."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from flows.core.errors import Refused
from flows.core.imports.history import at_path
from flows.core.settings import Settings
from flows.engine import Task
from flows.wire.roots import Roots

MOST_FILES: Final = 1_000
MOST_BYTES: Final = 256 * 1024
"""Of all their paths: they stand in one entry of state while the run goes on."""
LINK: Final = "A link is not followed; put the file or folder itself there, or write the pattern without it."


class Found(NamedTuple):
    """The paths, or a sentence that ends the run."""

    paths: Sequence[str]
    failed: str | None = None
    passed: Sequence[str] = ()
    """A sentence on each of the first links that the pattern meets, and that are not followed."""

    def pack(self) -> bytes:
        """Write it as JSON."""
        return orjson.dumps(self._asdict())

    @classmethod
    def unpack(cls, data: bytes) -> "Found":
        """Read what `pack` wrote."""
        return cls(**orjson.loads(data))


class Finder:
    """The handler."""

    def __init__(self, settings: Settings) -> None:
        """Take which folders may be read."""
        self._roots = Roots(settings.import_roots, settings.batch_import_max_file_size)

    def __call__(self, task: Task) -> bytes:
        """Look for files: a pattern in, `Found` out; blocks for as long as the disk takes."""
        pattern = task.payload.decode()
        try:
            matches = self._roots.find(pattern, MOST_FILES)
        except Refused as error:
            return Found((), error.detail).pack()
        paths = [found.path for found in matches.files]
        unwritable = [path for path in paths if not _is_text(path)]
        if unwritable:
            return Found((), f"{pattern} finds {_shown(unwritable[0])}, whose name is no text of UTF-8; rename it.").pack()
        size = sum(len(path.encode()) for path in paths)
        if size > MOST_BYTES:
            told = f"{pattern} finds {len(paths):,} files whose paths have {size:,} bytes, and a run keeps {MOST_BYTES:,}; write it so that it finds fewer."
            return Found((), told).pack()
        return Found(paths, passed=[at_path(LINK, _shown(link)) for link in matches.links]).pack()


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # the system's bytes are no UTF-8, and stand there as surrogates
        return False
    return True
