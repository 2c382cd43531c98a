"""Records a second of a worker, read off its committed offsets: nothing is asked of the worker itself."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.processes import check, running, usage
from tests.bench.topics import PARTITIONS
from tests.kit.topics import Progress

SAMPLE_S: Final = 0.05
FROM, TO = 0.10, 0.95
"""Between these shares of the records is measured: behind the start with its just-in-time compilation, before the end."""


@dataclass(frozen=True, slots=True)
class Work:
    """One contestant: what is run, under which group its offsets are found."""

    name: str
    command: Sequence[str]
    group: str
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """What came of one run."""

    records_per_s: float
    cpu_us_per_record: float
    rss_mib: float
    seconds: float
    """How long was measured."""


def measure(work: Work, bootstrap: str, topic: str, records: int, log: Path, *, limit_s: float = 120.0) -> Rate:
    """Run `work` over the first `records` records of `topic` and stop it.

    Raises:
        EndedEarly: the worker ended by itself.
        TimeoutError: it did not come through within `limit_s` seconds.

    """
    progress = Progress(bootstrap, work.group, topic, PARTITIONS)
    try:
        with running(work.command, log, work.env) as process:
            deadline = time.monotonic() + limit_s
            low: tuple[int, float, float] | None = None
            rss = 0
            while time.monotonic() < deadline:
                done, now, used = progress.committed(), time.monotonic(), usage(process)
                rss = max(rss, used.rss)
                if low is None and done >= FROM * records:
                    low = (done, now, used.cpu_s)
                if low is not None and done >= TO * records and done > low[0]:
                    return Rate((done - low[0]) / (now - low[1]), 1e6 * (used.cpu_s - low[2]) / (done - low[0]), rss / 2**20, now - low[1])
                check(process, log)
                time.sleep(SAMPLE_S)
    finally:
        progress.close()
    msg = f"{work.name} came {'no way' if low is None else 'part of the way'} on {topic} within {limit_s:.0f} s; its output is in {log}"
    raise TimeoutError(msg)
