"""What the importing worker takes of memory, whatever the file, and its reading process beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.bench import topics
from tests.bench.imports import data
from tests.bench.imports.office import Done, office, target
from tests.bench.place import Place
from tests.bench.results import Figure, Result, Series

FIRST: Final = 0.25
"""What was taken in the first part of a run is told beside the whole: of a file four times as large it is the same."""
HOW: Final = "the worker (PSS), one record a row, worst moment"
FILES: Final[dict[str, tuple[Callable[[Path, int], int], int, float]]] = {
    "csv": (data.csv, 5_600_000, 200),
    "ndjson": (data.ndjson, 2_800_000, 200),
    "json": (data.json, 2_800_000, 200),
    "xml": (data.xml, 2_000_000, 200),
    "excel": (data.excel, 1_000_000, 200),
    "parquet": (data.parquet, 5_600_000, 350),
}
"""By format what writes a file, its rows (half a gigabyte of the first four; of a sheet as many as there can be), and the bar in MiB."""


def memory(place: Place) -> Iterator[Result]:
    """Import a large file of each format, each with a worker of its own."""
    for form, (write, full, bar) in FILES.items():
        rows, path = place.amount(full), place.data / f"orders.{data.EXTENSIONS.get(form, form)}"
        place.say(f"memory of imports: writing {rows:,} rows of {form}")
        size = write(path, rows)
        with office(place, f"memory-{form}") as here:
            upload_id = here.upload(path, form)
            path.unlink()
            here.fresh()
            place.say(f"memory of imports: {form}")
            topic = target()
            done = here.run(upload_id, form, watched=True, transformation_rules=data.RULES, target_topic=topic)
            topics.delete(place.bootstrap, topic)
        yield _result(form, size, bar, done)


def _result(form: str, size: int, bar: float, done: Done) -> Result:
    figure = Figure(f"imports-memory-{form}", f"memory of an import of {size / 1e6:,.0f} MB of {form}: {HOW}", "MiB", bar, "at most", worst=True)
    told = {"rows": done.report["rows_read"], "rows_per_s": round(done.rows_per_s), "cpu_us_per_row": round(done.cpu_us_per_row, 2)}
    assert done.watch is not None
    peaks = done.watch.as_json() | {"first_quarter_mib": round(done.watch.until(FIRST))}
    return Result(figure, Series((done.watch.worker,)), None, (("peaks", peaks), ("run", told)))
