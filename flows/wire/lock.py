"""A lock on a worker slot, held for as long as the process lives."""

import fcntl
import os
from pathlib import Path

from flows.core.errors import Busy


class SlotLock:
    """A file that one process holds locked; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path, what: str) -> None:
        """Take the lock; does not block.

        Args:
            path: the file; its directory is made.
            what: names what is locked, for the error.

        Raises:
            Busy: another process holds it; the text names its pid.

        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            pid = self._file.read().strip() or "unknown"
            self._file.close()
            raise Busy(f"{what} runs already, as process {pid}. Stop that one (`kill {pid}`), or start this one with another --slot.") from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let go; releasing twice is allowed."""
        self._file.close()
