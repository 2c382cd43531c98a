"""Signs of life on `xyra.status`: a process that has nothing to tell says that it is there, so that silence means that it is not."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import orjson

PREFIX: Final = "beat/"
PARTS: Final = 3
EVERY_S: Final = 10.0
"""How often a worker gives one."""
GONE_MS: Final = 35_000
"""A flow of which nothing was heard for so long is run by nobody: three signs are missing, and half a one for a slow commit."""


def key(who: str, which: str) -> str:
    """Return the key of a process's signs: a flow and the worker's slot, or the ingress and its instance."""
    return f"{PREFIX}{who}/{which}"


class Sign(NamedTuple):
    """The latest of one process."""

    at_ms: int
    last: bool
    """Whether it was to be its last: the process has drained, and somebody wanted that."""


def text(now_ms: int, *, last: bool = False) -> bytes:
    """Write a sign, given at a time; `last`: a goodbye."""
    return orjson.dumps({"at_ms": now_ms} | ({"last": True} if last else {}))


def ended(signs: Iterable[Sign]) -> bool:
    """Tell, by the latest sign of each of its workers, whether a flow was ended: those that ran at the end have all said goodbye.

    One that had been silent for so long that it counted as gone has no say any more.
    """
    latest = [*signs]
    end_ms = max((sign.at_ms for sign in latest), default=0)
    return bool(latest) and all(sign.last for sign in latest if end_ms - sign.at_ms < GONE_MS)
