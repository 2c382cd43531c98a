"""Directories for processes that read files: one each, cleared away behind them, and behind those whose owner has died."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flows.core.errors import Unavailable
from flows.core.settings import Settings


def scratch(home: Path) -> Path:
    """Make a directory for one reading process, which `clear` knows."""
    home.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"reader-{os.getpid()}-", dir=home))


def room(settings: Settings) -> Path:
    """Make one for a request that is being answered.

    Raises:
        Unavailable: it cannot be made.

    """
    try:
        return scratch(settings.batch_import_upload_dir)
    except OSError as error:
        detail = f"No directory can be made in {settings.batch_import_upload_dir} ({error.strerror}). See INTEGRATION_BATCH_IMPORT_UPLOAD_DIR."
        raise Unavailable(detail, retry_after_s=30) from error


def clear(home: Path) -> None:
    """Remove the directories of reading processes whose owner is not alive any more."""
    for path in _ownerless(home):
        shutil.rmtree(path, ignore_errors=True)


def left(home: Path) -> bool:
    """Tell whether there are such directories: somebody ended in the middle of a file."""
    return any(True for _ in _ownerless(home))


def _ownerless(home: Path) -> Iterator[Path]:
    for path in home.glob("reader-*-*"):
        pid = path.name.split("-")[1]
        if not (pid.isdigit() and _lives(int(pid))):
            yield path


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # it lives, and is somebody else's
    return True
