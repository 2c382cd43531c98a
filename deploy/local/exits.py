"""What an exit code means, in words; the codes are those of `flows.core.errors`."""

import signal
from typing import Final

from flows.core.errors import AWAY, Busy, Fatal, WrongSetting, XyraError

MEANINGS: Final = {0: "it ended by itself", 1: "it failed", AWAY: "Kafka, the disk or another part it needs was not ready"} | {
    kind.exit_code: kind.title[0].lower() + kind.title[1:] for kind in (WrongSetting, Busy, Fatal)
}
LASTING: Final = frozenset({WrongSetting.exit_code, Busy.exit_code})
"""Codes that another start does not mend."""
SHELL_SIGNAL: Final = 128
"""A program that a signal ended may leave with this and the signal's number, as Java does."""


def meaning(code: int) -> str:
    """Say why a process ended: the signal's name, or the exit code and what it stands for."""
    number = -code if code < 0 else code - SHELL_SIGNAL
    if number in set(signal.Signals):
        return f"killed by {signal.Signals(number).name}"
    return f"exit code {code}: {MEANINGS.get(code, 'it failed')}"


def error_for(code: int, text: str) -> XyraError:
    """Return the error to report when a part's exit code ends the whole start."""
    kind = next((kind for kind in (WrongSetting, Busy) if kind.exit_code == code), Fatal)
    return kind(text)
