"""`python -P -m connectors.files MEMORY_BYTES CPU_SECONDS`: read a file for whoever is at stdin and stdout."""

import os
import sys

from connectors.files.limits import Limits, bind


def main(memory: str, seconds: str) -> None:
    """Bind this process, keep stdout for frames alone, and serve."""
    bind(Limits(int(memory), int(seconds)))
    frames = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    from connectors.files import child  # noqa: PLC0415 - its libraries allocate while they load, and that is bound too

    child.serve(sys.stdin.buffer, frames, child.Session(child.READERS, child.as_read))


if __name__ == "__main__":
    main(*sys.argv[1:3])
