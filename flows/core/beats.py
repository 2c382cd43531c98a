"""Signs of life on `xyra.status`: a process that has nothing to tell says that it is there, so that silence means that it is not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

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
    can: tuple[str, ...] | None = None
    """What its installation can that not every one can, such as the stores it reads; None: it says nothing of that."""


def text(now_ms: int, *, last: bool = False, can: Sequence[str] | None = None) -> bytes:
    """Write a sign, given at a time; `last`: a goodbye; `can`: what this installation can, where there is something to say."""
    return orjson.dumps({"at_ms": now_ms} | ({"last": True} if last else {}) | ({} if can is None else {"can": can}))


def read(content: Mapping[str, Any], now_ms: int) -> Sign:
    """Return a sign, none given later than now; raises KeyError, TypeError or ValueError for what is none."""
    can = content.get("can")
    return Sign(min(int(content["at_ms"]), now_ms), content.get("last") is True, None if can is None else tuple(map(str, can)))


def abilities(signs: Iterable[Sign], now_ms: int) -> frozenset[str] | None:
    """Return what some worker can of those that are there; None where there is none, or one says nothing of what it can."""
    told = [sign.can for sign in signs if not sign.last and now_ms - sign.at_ms < GONE_MS]
    known = [can for can in told if can is not None]
    return frozenset().union(*known) if known and len(known) == len(told) else None


def ended(signs: Iterable[Sign]) -> bool:
    """Tell, by the latest sign of each of its workers, whether a flow was ended: those that ran at the end have all said goodbye.

    One that had been silent for so long that it counted as gone has no say any more.
    """
    latest = [*signs]
    end_ms = max((sign.at_ms for sign in latest), default=0)
    return bool(latest) and all(sign.last for sign in latest if end_ms - sign.at_ms < GONE_MS)
