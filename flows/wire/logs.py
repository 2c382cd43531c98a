"""What our processes log: one form of line, whichever process says it."""

import logging
import os
import sys
import time


def log_to_stderr(level: str, who: str) -> None:
    """Have this process log to standard error, a line each: time (RFC 3339, UTC, milliseconds), level, `who` and process, what says it, what it says."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter(f"%(asctime)s.%(msecs)03dZ %(levelname)s {who} {os.getpid()} %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler])
