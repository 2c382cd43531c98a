"""What a reading process may use; it binds itself before it reads a byte.

Polars reserves far more address space than it uses (RLIMIT_AS would have to be gigabytes), so memory is bounded as RLIMIT_DATA: private writable
pages, jemalloc's among them.
"""

import faulthandler
import resource
import sys
from typing import Final, NamedTuple

DESCRIPTORS: Final = 64


class Limits(NamedTuple):
    """Bounds of one process."""

    data_bytes: int
    cpu_seconds: int
    """For one message."""
    file_bytes: int
    """Most of a file it writes; 0: it writes none."""


def bind(limits: Limits) -> None:
    """Bind this process for good: no core dumps, few descriptors, so much memory. Crashes tell where on stderr."""
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
        (resource.RLIMIT_DATA, limits.data_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
    ):
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
    faulthandler.enable(sys.stderr)


def allow(seconds: int) -> None:
    """Let this process compute for so many seconds from now on, on all its threads; the system ends it then."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))
