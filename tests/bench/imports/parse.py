"""Reading alone, without rules and without Kafka: our readers of each format beside others', each in a process of its own."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from flows.wire.readers import ENVIRONMENT
from tests.bench.contestants import venv_of
from tests.bench.imports import data
from tests.bench.place import Place
from tests.bench.results import Figure, Result, Series

HOW: Final = "read alone, from pieces as they lie on the log where it is cut"
FILES: Final[dict[str, tuple[Callable[[Path, int], int], int, float, tuple[str, ...]]]] = {
    "csv": (data.csv, 2_000_000, 3_000_000, ("polars", "pyarrow")),
    "ndjson": (data.ndjson, 1_000_000, 1_200_000, ("polars", "pyarrow")),
    "json": (data.json, 1_000_000, 1_500_000, ("ijson", "polars")),
    "parquet": (data.parquet, 4_000_000, 4_000_000, ("polars", "pyarrow")),
    "xml": (data.xml, 400_000, 300_000, ("lxml",)),
    "excel": (data.excel, 200_000, 120_000, ("openpyxl", "calamine")),
}
"""By format what writes a file, its rows, the bar in rows/s, and who reads it besides."""
SLOW: Final = {"openpyxl": 20, "ijson": 5}
"""These are measured on such a part of the file."""


def parse(place: Place) -> Iterator[Result]:
    """Read each file by turns."""
    ijson = venv_of(place, "imports", "ijson")
    for form, (write, full, bar, peers) in FILES.items():
        rows, path = place.amount(full), place.data / f"orders.{data.EXTENSIONS.get(form, form)}"
        place.say(f"reading alone: writing {rows:,} rows of {form}")
        size = write(path, rows)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in ("ours", *peers)}
        for number in range(place.rounds()):
            for name, found in runs.items():
                place.say(f"reading alone, round {number + 1}: {form}, {name}")
                found.append(_run(place, ijson if name == "ijson" else Path(sys.executable), name, form, path, rows, write))
        path.unlink()
        figure = Figure(f"imports-parse-{form}", f"{form} of 8 columns, {size / rows:.0f} bytes a row, {HOW}", "rows/s", bar, "at least")
        rates = {name: [run["rows"] / run["seconds"] for run in found] for name, found in runs.items()}
        beside = tuple((name, statistics.median(rates[name])) for name in peers)
        memory = {name: round(max(run["rss_mib"] for run in found)) for name, found in runs.items()}
        cpu = {name: round(1e6 * sum(run["cpu_s"] for run in found) / sum(run["rows"] for run in found), 2) for name, found in runs.items()}
        yield Result(figure, Series(tuple(rates["ours"])), None, (("rss_mib", memory), ("cpu_us_per_row", cpu)), beside)


def _run(place: Place, python: Path, name: str, form: str, path: Path, rows: int, write: Callable[[Path, int], int]) -> dict[str, float]:
    if part := SLOW.get(name):
        short = path.with_stem(f"{path.stem}-{name}")
        if not short.exists():
            write(short, rows // part)
        path = short
    program = Path(__file__).parent / "readers.py" if name != "ours" else Path(__file__).parent / "our_readers.py"
    command = [str(python), str(program), name, form, str(path)] if name != "ours" else [str(python), "-m", "tests.bench.imports.our_readers", form, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env={**ENVIRONMENT, "PATH": ""}, cwd=place.home.parent)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
