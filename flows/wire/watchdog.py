"""Ends the process when a call into a client does not come back: a client can wait for ever, whatever time-out it was given."""

import logging
import os
import time
from threading import Thread
from typing import Final

from flows.core.errors import UnknownOutcome

LOG: Final = logging.getLogger(__name__)
LOOK_S: Final = 0.25


class Watchdog:
    """Bounds what happens inside `with watchdog:`; one thread that looks four times a second, however often that is.

    For a thread that stands inside a client's C code: nothing can be raised there, and nothing else would end it.
    """

    def __init__(self, seconds: float, sentence: str) -> None:
        """Take how long it may take, and what is logged before the process ends with `UnknownOutcome`'s exit code."""
        self._seconds = seconds
        self._sentence = sentence
        self._until: float | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> None:
        """Begin to count."""
        self._until = time.monotonic() + self._seconds
        if self._thread is None:
            self._thread = Thread(target=self._watch, name="watchdog", daemon=True)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        """It came back."""
        self._until = None

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_S)
            until = self._until
            if until is not None and time.monotonic() > until:
                LOG.error("%s: %s", UnknownOutcome.code, self._sentence)
                os._exit(UnknownOutcome.exit_code)
