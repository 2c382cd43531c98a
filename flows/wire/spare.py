"""A reading process that is there before anybody asks for it: what it loads takes longer than all else a worker does before it goes on with a file."""

import shutil
from pathlib import Path
from threading import Lock, Timer
from typing import Final, Self

from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.child import Child
from flows.wire.scratch import left, scratch

KEPT_S: Final = 60.0
"""Nothing has asked for it after this, so nothing will soon; it holds some fifty megabytes."""


def begin(settings: Settings) -> tuple[Path, Child]:
    """Start a reading process in a directory of its own, which is the caller's to clear away.

    Raises:
        Unavailable: no process can be started.

    """
    place = scratch(settings.batch_import_upload_dir)
    try:
        return place, Child(settings, place)
    except Unavailable:
        place.rmdir()
        raise


class Spare:
    """One process, taken once, by whichever thread comes first; ended if nobody does. Its limits are those of any other."""

    def __init__(self, settings: Settings, kept_s: float = KEPT_S) -> None:
        """Start it; does not wait until it has loaded.

        Raises:
            Unavailable: no process can be started.

        """
        self._lock = Lock()
        self._held: tuple[Path, Child] | None = begin(settings)
        self._later = Timer(kept_s, self.close)
        self._later.daemon, self._later.name = True, "spare"
        self._later.start()

    @classmethod
    def where_left(cls, settings: Settings) -> Self | None:
        """Start one where a worker has ended in the middle of a file, which is then gone on with; None elsewhere, or where none can be started."""
        if not left(settings.batch_import_upload_dir):
            return None
        try:
            return cls(settings)
        except Unavailable:
            return None  # who asks for a process will be told

    def take(self) -> tuple[Path, Child] | None:
        """Return the process and its directory, the caller's from now on; None when it was taken, or has ended."""
        with self._lock:
            held, self._held = self._held, None
        self._later.cancel()
        if held is not None and not held[1].lives:
            _end(*held)
            return None
        return held

    def close(self) -> None:
        """End it, if nobody has taken it."""
        held = self.take()
        if held is not None:
            _end(*held)


def _end(place: Path, child: Child) -> None:
    child.close()
    shutil.rmtree(place, ignore_errors=True)
