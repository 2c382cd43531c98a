"""A name for a process that outlives it: the same after a restart, different from every other that runs beside it."""

import fcntl
import secrets
from pathlib import Path
from typing import Final, TextIO

from flows.core.errors import Busy
from flows.wire.vault import load_or_make_key

MOST: Final = 64


class Instance:
    """One of the names that belong to a data directory, held by a file lock until the process ends, however it ends."""

    def __init__(self, data_dir: Path, kind: str) -> None:
        """Take the first name of `kind` that no running process holds.

        Raises:
            Busy: all of them are held.
            WrongSetting: the data directory cannot be written.

        """
        base = load_or_make_key(data_dir / f"{kind}.id", lambda: secrets.token_hex(4)).text
        for number in range(MOST):
            held = _lock(data_dir / f"{kind}.{number}.lock")
            if held is not None:
                self._held = held
                self.name = f"{base}-{number}"
                """The name: the data directory's own, and a number."""
                return
        raise Busy(f"All {MOST} places for a process of kind {kind} in {data_dir} are held. Stop one, or set INTEGRATION_DATA_DIR to another directory.")

    def close(self) -> None:
        """Let the name go."""
        self._held.close()


def _lock(path: Path) -> TextIO | None:
    file = path.open("w", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
