"""What a worker and the process that reads for it take of memory, looked at while they run."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

LOOK_S: Final = 0.05
MIB: Final = 2**20


class Watch:
    """The most that was seen: PSS, in which a page that two share is counted half in each."""

    def __init__(self, pid: int) -> None:
        """Take the worker."""
        self._pid = pid
        self._over = threading.Event()
        self.together = self.worker = self.reader = 0.0
        """MiB: the most of both at one moment, and the most of each."""
        self.seen: list[tuple[float, float]] = []
        """When, on the monotonic clock, and both together."""

    @classmethod
    @contextmanager
    def over(cls, pid: int) -> Iterator["Watch"]:
        """Look on while the block runs."""
        watch = cls(pid)
        thread = threading.Thread(target=watch._run, daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            watch._over.set()
            thread.join()

    def until(self, share: float) -> float:
        """Return the most of both within the first part of the time."""
        begin, end = self.seen[0][0], self.seen[-1][0]
        return max(size for at, size in self.seen if at <= begin + share * (end - begin))

    def as_json(self) -> dict[str, float]:
        """Return it for a note, in MiB."""
        return {"together_mib": round(self.together), "worker_mib": round(self.worker), "reader_mib": round(self.reader)}

    def _run(self) -> None:
        parent = psutil.Process(self._pid)
        while not self._over.wait(LOOK_S):
            try:
                children = [child.pid for child in parent.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            worker, reader = pss(self._pid), sum(map(pss, children))
            self.together = max(self.together, worker + reader)
            self.worker, self.reader = max(self.worker, worker), max(self.reader, reader)
            self.seen.append((time.monotonic(), worker + reader))


def pss(pid: int) -> float:
    """Return what a process has of memory, in MiB; 0 once it has ended."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(row.split()[1]) / 1024 for row in rows if row.startswith("Pss:")), 0.0)
