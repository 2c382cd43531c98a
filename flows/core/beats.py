"""Signs of life on `xyra.status`: a process that has nothing to tell says that it is there, so that silence means that it is not."""

from typing import Final

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


def text(now_ms: int) -> bytes:
    """Write a sign, given at a time."""
    return orjson.dumps({"at_ms": now_ms})
