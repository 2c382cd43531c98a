"""Finds out what a file is, in a process of its own: the libraries that read files stay out of this one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flows.core.errors import Unavailable
from flows.core.files.guess import Cut
from flows.wire.child import ReaderDied
from flows.wire.readers import Readers

PATIENCE_S: Final = 5.0


def detect(readers: Readers, sample: bytes, name: str, how: str, stated: str = "") -> Mapping[str, Any]:
    """Return `format`, `encoding`, `dialect`, `columns` and more of a file that begins with `sample`; blocks for 5 s at most, and never raises.

    `stated`: the format that its sender says it is of. Where the process fails, what the choice of the cutter (`how`) was made on is told, and no columns.
    """
    try:
        child = readers.begin(Path("/"))
        try:
            found: Mapping[str, Any] = child.ask({"kind": "detect", "name": name, "stated": stated}, (sample,), PATIENCE_S).head["found"]
        finally:
            child.close()
    except (ReaderDied, Unavailable):
        cut = Cut.of(how) if how else Cut()
        return {"format": cut.data_format, "compression": cut.compression, "encoding": cut.options.get("encoding"), "dialect": None, "columns": []}
    return found
