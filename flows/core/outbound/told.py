"""What was told of a breaker when it last moved, read later.

Nobody tells anything when an opening ends: the breaker moves with the next call, and where nothing waits there may be none for days.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flows.core.outbound import breaker
from flows.core.outbound.breaker import Phase


class Told(NamedTuple):
    """A breaker as it is now."""

    phase: Phase
    since_ms: int
    until_ms: int | None
    """Open: when probing begins."""


def read(content: Mapping[str, Any], now_ms: int) -> Told | None:
    """Return what a `breaker.View`, as JSON has it, says now: an opening that is over is half open. None where nothing was told."""
    if "state" not in content:
        return None
    phase, since_ms, until_ms = content["state"], int(content.get("since_ms") or 0), content.get("until_ms")
    if phase == "open" and until_ms is not None and breaker.over(int(until_ms), now_ms):
        return Told("half_open", int(until_ms), None)
    return Told(phase, since_ms, until_ms)


def in_trouble(phase: Phase, waiting: int) -> bool:
    """Tell whether a target keeps events waiting: it is not to be called, or is being tried while some wait for it.

    A half-open one for which nothing waits is tried by the next event; until then there is nothing to do about it.
    """
    return phase == "open" or (phase == "half_open" and waiting > 0)
