"""`python -m ingress`: the ingress alone, settings from the environment."""

import gc
import os
import sys

from flows.core.errors import XyraError, ending
from flows.core.settings import load
from flows.wire.logs import log_to_stderr


def main() -> int:
    """Serve, and return the exit code: 0 after a drain, else that of the error."""
    gc.disable()  # all that is loaded stays: looking through it again and again is a tenth of the start; `serve` enables it
    try:
        from ingress.serve import run  # noqa: PLC0415  it comes behind the line above

        settings = load(os.environ)
        log_to_stderr(settings.log_level, "ingress")
        return run(settings)
    except XyraError as error:
        sys.stderr.write(f"{error}\n")
        return ending(error)[0]


if __name__ == "__main__":
    sys.exit(main())
