"""`python -P -m connectors.files MEMORY_BYTES CPU_SECONDS FILE_BYTES`: read a file for whoever is at stdin and stdout."""

import gc
import os
import sys

from connectors.files.limits import Limits, allow, bind


def main(memory: str, seconds: str, file: str) -> None:
    """Bind this process, keep stdout for frames alone, and serve."""
    limits = Limits(int(memory), int(seconds), int(file))
    bind(limits)
    allow(limits.cpu_seconds)
    frames = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    gc.disable()  # what is loaded stays
    from flows.core.fields import hasten  # noqa: PLC0415 - libraries allocate while they load, and that is bound too

    hasten()
    from connectors.files import child  # noqa: PLC0415 - as above
    from connectors.files.bounds import Limits as Bounds  # noqa: PLC0415 - as above

    gc.freeze()
    gc.enable()
    session = child.Session(Bounds(inflated_bytes=limits.file_bytes))
    child.serve(sys.stdin.buffer, frames, session, lambda: allow(limits.cpu_seconds))


if __name__ == "__main__":
    main(*sys.argv[1:4])
