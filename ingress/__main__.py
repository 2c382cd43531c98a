"""`python -m ingress`: the ingress alone, settings from the environment."""

import os
import sys

from flows.core.errors import XyraError
from flows.core.settings import load
from flows.wire.logs import log_to_stderr
from ingress.serve import run


def main() -> int:
    """Serve, and return the exit code: 0 after a drain, else that of the error."""
    try:
        settings = load(os.environ)
        log_to_stderr(settings.log_level, "ingress")
        return run(settings)
    except XyraError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
