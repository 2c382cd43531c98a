"""A logger that does not say the same thing again and again: a client says every 30 ms that its broker is away."""

import logging
import re
from time import monotonic
from typing import Final

AGAIN_S: Final = 10.0
"""How long a sentence is not repeated."""
MOST: Final = 256
"""Sentences remembered."""
_NUMBERS: Final = re.compile(r"\d+")


class Calm(logging.Filter):
    """Lets a sentence through once in `AGAIN_S` seconds, numbers aside, and says then how often it was left out."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        super().__init__()
        self._said: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is written."""
        text = record.getMessage()
        key = _NUMBERS.sub("#", text)
        at, left_out = self._said.get(key, (-AGAIN_S, 0))
        now = monotonic()
        if now - at < AGAIN_S:
            self._said[key] = (at, left_out + 1)
            return False
        if len(self._said) >= MOST:
            self._said.clear()
        self._said[key] = (now, 0)
        if left_out:
            record.msg, record.args = f"{text} (and {left_out} more like it)", ()
        return True


def calm_logger(name: str) -> logging.Logger:
    """Return the logger of that name, made calm."""
    logger = logging.getLogger(name)
    if not any(isinstance(found, Calm) for found in logger.filters):
        logger.addFilter(Calm())
    return logger
