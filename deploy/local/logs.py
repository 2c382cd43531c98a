"""Children's logs: appended to by the children themselves, kept within bounds from outside."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of one log before it moves to `NAME.log.1`; so a part has at most twice this."""
TAIL_BYTES: Final = 4096


def trim(log: Path) -> None:
    """Move what is in `log` to `log.1` when it is large.

    It is copied and cut rather than renamed: the child keeps its open file, and since it appends, its next line is the first.
    Lines written between the copy and the cut are lost.
    """
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LARGEST:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)


def tail(log: Path, lines: int) -> str:
    """Return the last lines of a log; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
