"""`python -m ingress`: the ingress alone, settings from the environment."""

import logging
import os
import sys

from flows.core.errors import XyraError
from flows.core.settings import load
from ingress.serve import run


def main() -> int:
    """Serve, and return the exit code: 0 after a drain, else that of the error."""
    try:
        settings = load(os.environ)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
        return run(settings)
    except XyraError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
