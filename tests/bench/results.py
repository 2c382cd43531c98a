"""What came of a figure, on which machine, at which commit; one JSON file each."""

import datetime as dt
import json
import math
import os
import platform
import re
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from deploy.local import java

RESULTS: Final = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One promise: what is measured, in which unit, and the bar it must reach."""

    name: str
    what: str
    unit: str
    bar: float
    sense: Literal["at least", "at most"]
    peer: str = ""
    """Against whom: then the bar is on the ratio of the medians, ours over the peer's."""
    worst: bool = False
    """Held against the bar is the worst run and not the median."""


@dataclass(frozen=True, slots=True)
class Series:
    """Values of several runs, in the order they were made."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.runs)

    def as_json(self) -> dict[str, Any]:
        """Return runs, median, min and max, rounded to what was measured."""
        return {"median": short(self.median), "min": short(min(self.runs)), "max": short(max(self.runs)), "runs": [short(r) for r in self.runs]}


@dataclass(frozen=True, slots=True)
class Result:
    """A figure with what was measured."""

    figure: Figure
    ours: Series
    peer: Series | None = None
    notes: tuple[tuple[str, Any], ...] = ()
    beside: tuple[tuple[str, float], ...] = ()
    """Medians of others in the same run, who are shown and not judged against."""

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return self.ours.median / self.peer.median if self.peer else None

    @property
    def judged(self) -> float:
        """What is held against the bar."""
        if self.ratio is not None:
            return self.ratio
        if self.figure.worst:
            return max(self.ours.runs) if self.figure.sense == "at most" else min(self.ours.runs)
        return self.ours.median

    @property
    def holds(self) -> bool:
        """Whether the bar is reached."""
        return self.judged >= self.figure.bar if self.figure.sense == "at least" else self.judged <= self.figure.bar

    def as_json(self, machine: dict[str, Any], *, quick: bool) -> dict[str, Any]:
        """Return everything, as it is written down."""
        figure = asdict(self.figure)
        bar = {"bar": self.figure.bar, "sense": self.figure.sense, "on": "ratio" if self.peer else "worst" if self.figure.worst else "median"}
        measured: dict[str, Any] = {"ours": self.ours.as_json()}
        if self.peer and self.ratio:
            measured |= {"peer": {"name": self.figure.peer, **self.peer.as_json()}, "ratio": round(self.ratio, 2)}
        if self.beside:
            measured["beside"] = {name: short(value) for name, value in self.beside}
        head = {"figure": figure["name"], "what": figure["what"], "unit": figure["unit"], **bar, "holds": self.holds, "quick": quick}
        return head | measured | dict(self.notes) | {"machine": machine, **_commit(), "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds")}

    def write(self, folder: Path, *, quick: bool) -> None:
        """Write it to `<folder>/<name>.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.figure.name}.json").write_text(json.dumps(self.as_json(machine(), quick=quick), indent=2) + "\n")


def short(value: float) -> float:
    """Round to four digits that mean something: a throughput to a whole number, a latency to the microsecond."""
    return float(f"{value:.4g}") if abs(value) < 1000 else float(round(value))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    release = (java.java(Path(), ()).program.parent.parent / "release").read_text()
    version = re.search(r'JAVA_VERSION="(.+)"', release)
    return {
        "cpu": model[1] if model else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "java": version[1] if version else "",
    }


def _commit() -> dict[str, Any]:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=RESULTS.parent)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", ":/flows", ":/ingress", ":/deploy")
    return {"commit": git("rev-parse", "--short=12", "HEAD"), "commit_clean": not changed}
