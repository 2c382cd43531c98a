"""What is fetched or made once per user and shared by every checkout: Kafka's jars and the JVM's AOT cache."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path


def user_cache(environ: Mapping[str, str]) -> Path:
    """Return the directory for it: `$XDG_CACHE_HOME/xyra`, or `~/.cache/xyra`. It is made when missing."""
    base = environ.get("XDG_CACHE_HOME", "")
    path = (Path(base) if base.startswith("/") else Path.home() / ".cache") / "xyra"  # the specification: a relative one is ignored
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold `lock` against other processes, so that only one makes what all of them use; blocks until it is free.

    The system lets go of it when the process ends, however it ends.
    """
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Hand out a temporary path that becomes `path` at the end of the block; after a crash or an error, `path` is what it was."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
