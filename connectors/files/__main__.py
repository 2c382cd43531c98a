"""`python -P -m connectors.files`: loads what files are read with, once, and forks a process for each file, for whoever is at the socket that is its stdin.

A request has `limits` (memory, CPU seconds, bytes of a file) beside what every request has (`forks`). This one never sees a file: what is read in a process
dies with it. It ends when nobody is at its stdin any more, and its last process is gone.
"""

import gc
import os
import socket
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from connectors.files.forks import Forks
from connectors.files.limits import Limits, allow, bind


def read_file(child: ModuleType, limits: Limits) -> None:
    """Bind this process, keep stdout for frames alone, and serve."""
    bind(limits)
    allow(limits.cpu_seconds)
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    session = child.Session(child.Limits(inflated_bytes=limits.file_bytes))
    child.serve(questions, answers, session, lambda: allow(limits.cpu_seconds))


def main() -> None:
    """Load, and serve."""
    gc.disable()  # what is loaded stays
    from flows.core.fields import hasten  # noqa: PLC0415 - it comes before what it hastens

    hasten()
    from connectors.files import child  # noqa: PLC0415 - as above

    def read(asked: Mapping[str, Any]) -> int:
        read_file(child, Limits(*asked["limits"]))
        return 0

    gc.freeze()  # no collection looks at it, so its pages stay those of all
    gc.enable()
    with socket.socket(fileno=os.dup(0)) as control:
        Forks(control, read).serve()


if __name__ == "__main__":
    main()
