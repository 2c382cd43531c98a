"""Finds out what a file is, in a process of its own: the libraries that read files stay out of this one."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson

from flows.core.files.guess import Cut

PATIENCE_S: Final = 5.0
_PROGRAM: Final = """
import sys
from connectors.files.limits import Limits, bind
bind(Limits(1 << 30, 5))
import orjson
from connectors.files.detect import detect
sys.stdout.buffer.write(orjson.dumps(detect(sys.stdin.buffer.read(), sys.argv[1])))
"""


def detect(sample: bytes, name: str, how: str) -> Mapping[str, Any]:
    """Return `format`, `encoding`, `dialect`, `columns` and more of a file that begins with `sample`; blocks for 5 s at most, and never raises.

    Where the process fails, what the choice of the cutter (`how`) was made on is told, and no columns.
    """
    try:
        done = subprocess.run(  # noqa: S603  a program and an argument of ours; no shell reads them
            [sys.executable, "-P", "-c", _PROGRAM, name], input=sample, capture_output=True, timeout=PATIENCE_S, check=True
        )
        found: Mapping[str, Any] = orjson.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        cut = Cut.of(how) if how else Cut()
        return {"format": cut.data_format, "compression": cut.compression, "encoding": cut.options.get("encoding"), "dialect": None, "columns": []}
    return found
