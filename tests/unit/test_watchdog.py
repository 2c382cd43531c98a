"""A process whose client does not come back."""

import subprocess
import sys

from flows.wire.watchdog import Watchdog

HANGING = """
import threading
from flows.wire.watchdog import Watchdog
with Watchdog(0.3, "It went away."):
    threading.Event().wait()
"""


def test_a_call_that_does_not_come_back_ends_the_process_with_a_sentence() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (4, "unknown_outcome: It went away.\n")


def test_a_call_that_comes_back_in_time_does_not() -> None:
    dog = Watchdog(60, "")
    for _ in range(3):
        with dog:
            pass
