"""`python -P -m deploy.local.loaded`: loads all that workers run, once, and forks each of them, for the supervisor at the socket that is its stdin.

A request has `arguments` (those of `xyra`) beside what every request has (`connectors.files.forks`). This one runs no flow, opens no client and has one thread.
A worker is told to leave in order when it dies, as if it were the supervisor; it ends when the supervisor lets go of it and the last worker is gone.
"""

import ctypes
import gc
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from connectors.files.forks import Forks
from deploy.local.processes import dying_with_parent

PR_SET_NAME: Final = 15


def load() -> Callable[[], None]:
    """Load what every worker needs, and return the command line's entry."""
    gc.disable()  # what is loaded stays
    from flows.core.fields import hasten  # noqa: PLC0415 - it comes before what it hastens

    hasten()
    from deploy.cli.main import run  # noqa: PLC0415 - as above
    from deploy.flows import FLOWS  # noqa: PLC0415 - as above

    for module in ("deploy.cli.worker", "flows.engine.worker", *FLOWS.values()):
        import_module(module)
    gc.freeze()  # no collection looks at it, so its pages stay those of all
    gc.enable()
    return run


def work(run: Callable[[], None], arguments: Sequence[str]) -> int:
    """Be `xyra` with these arguments, and return its exit code."""
    _, flow, _, slot, *_ = arguments
    ctypes.CDLL(None).prctl(PR_SET_NAME, f"{flow}/{slot}".encode())  # what `top` and `ps -o comm` show; the command line is this process's for all
    sys.argv = ["xyra", *arguments]
    try:
        run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def main() -> None:
    """Load, and serve."""
    run = load()
    dying_with_us = dying_with_parent()

    def begin(asked: Mapping[str, Any]) -> int:
        dying_with_us()
        return work(run, asked["arguments"])

    with socket.socket(fileno=os.dup(0)) as control:
        Forks(control, begin).serve()


if __name__ == "__main__":
    main()
