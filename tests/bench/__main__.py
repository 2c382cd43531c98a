"""Measure what the project promises: `python -m tests.bench [NAME ...] [--quick]`.

Exit codes: 0 every bar is reached, 1 one is missed, 2 a name is unknown.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.status import Status
from rich.table import Table

from tests.bench import chart, deliveries, egress, engine, isolation, latency, life, restore, spill, stack, stops, web
from tests.bench.imports import kills, memory, parse, path
from tests.bench.place import HOME, Place, place
from tests.bench.results import RESULTS, Result

MEASURES: Final[dict[str, Callable[[Place], Iterator[Result]]]] = {
    "stateless": engine.stateless,
    "count": engine.count,
    "latency": latency.engine,
    "webhook": web.webhook,
    "path": web.whole_path,
    "spill": spill.spill,
    "stops": stops.stops,
    "restore": restore.restore,
    "stack": stack.stack,
    "life-kept": life.kept,
    "life-dropped": life.dropped,
    "egress": egress.egress,
    "deliveries": deliveries.deliveries,
    "isolation": isolation.isolation,
    "timers": deliveries.timers,
    "imports": path.imports,
    "imports-bad": path.bad_rows,
    "imports-memory": memory.memory,
    "imports-parse": parse.parse,
    "imports-kill": kills.kills,
}


def main() -> int:
    """Measure, write the results down, show them."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what the project promises, beside its peers, on this machine.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(MEASURES)}")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs; results go to .bench/results")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in MEASURES]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there is {', '.join(MEASURES)}")
    console = Console()
    results = measure(chosen.names or list(MEASURES), console, quick=chosen.quick)
    chart.draw(HOME / "results" if chosen.quick else RESULTS)
    console.print(table(results))
    return 0 if all(result.holds for result in results) else 1


def measure(names: list[str], console: Console, *, quick: bool) -> list[Result]:
    """Run the measurements one after the other, each with a broker of its own, and write each result as soon as it is there."""
    folder: Path = HOME / "results" if quick else RESULTS
    results, start = [], time.monotonic()
    with console.status("") as status:
        for name in names:
            with place(quick=quick, say=_saying(status, start)) as here:
                for result in MEASURES[name](here):
                    result.write(folder, quick=quick)
                    results.append(result)
                    console.print(line(result), highlight=False)
    return results


def _saying(status: Status, start: float) -> Callable[[str], None]:
    def say(text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - start), 60)
        status.update(f"{minutes}:{seconds:02} {text}")
        if not status.console.is_terminal:
            status.console.print(f"{minutes}:{seconds:02} {text}", highlight=False)

    return say


def line(result: Result) -> str:
    """Return a result in one line."""
    return f"{'[green]holds[/]' if result.holds else '[red]missed[/]'}  {result.figure.name}: {shown(result)}"


def shown(result: Result) -> str:
    """Return what was measured, in words."""
    own = f"{result.ours.median:,.4g}" if result.ours.median < 1000 else f"{result.ours.median:,.0f}"
    if result.peer is None:
        return f"{own} {result.figure.unit}"
    return f"{own} {result.figure.unit} against {result.peer.median:,.0f}: {result.ratio:.2f} x"


def table(results: list[Result]) -> Table:
    """Return all results as a table."""
    made = Table("figure", "measured", "bar", "holds")
    for result in results:
        figure = result.figure
        bar = f"{figure.sense} {figure.bar:g} {'x' if figure.peer else figure.unit}"
        made.add_row(figure.name, shown(result), bar, "[green]yes[/]" if result.holds else "[red]no[/]")
    return made


if __name__ == "__main__":
    raise SystemExit(main())
