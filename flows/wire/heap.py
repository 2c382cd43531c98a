"""The C library's heap in a process with many threads."""

import ctypes
from typing import Final

ARENAS: Final = 2
_ARENA_MAX: Final = -8
"""`M_ARENA_MAX` of glibc's `malloc.h`."""


def share(arenas: int = ARENAS) -> None:
    """Let all threads share so many heaps: each of its own keeps what it has freed, and a client of Kafka has a dozen threads.

    Heaps that there are already stay. Other C libraries have one heap anyway, and are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, arenas)
