"""The whole path: a file that was uploaded is cast, judged by ten rules and published, beside dlt; and what bad rows cost."""

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.bench import topics
from tests.bench.contestants import PEERS, venv_of
from tests.bench.imports import data
from tests.bench.imports.office import Done, Office, committed, office, target
from tests.bench.place import Place
from tests.bench.results import Figure, Result, Series

ROWS: Final = 1_000_000
"""Also of the file that dlt reads, which is the same."""
BAD_ROWS: Final = 800_000
BLOCK: Final = 1000
DLT: Final = "dlt 1.31.0, read_csv to its filesystem destination"
WHAT: Final = "CSV of 8 columns, five casts, ten rules"
TO_KAFKA: Final = "to Kafka in transactions, job ordered to last row committed"

CSV: Final = Figure("imports-csv", f"{WHAT}, one record a row {TO_KAFKA}", "rows/s", 150_000, "at least")
CSV_DLT: Final = Figure("imports-csv-dlt", f"{WHAT}, whole path", "rows/s", 6, "at least", DLT)
NDJSON: Final = Figure("imports-blocks-ndjson", f"{WHAT}, records of {BLOCK:,} rows as NDJSON {TO_KAFKA}", "rows/s", 500_000, "at least")
ARROW: Final = Figure("imports-blocks-arrow", f"{WHAT}, records of {BLOCK:,} rows as Arrow {TO_KAFKA}", "rows/s", 500_000, "at least")

BAD: Final[dict[str, tuple[str, data.Bad]]] = {
    "value": ("a value that is no number", data.value),
    "ragged": ("a field too few", data.ragged),
    "quote": ("a quote that nothing closes", data.unterminated),
    "junk": ("junk behind a closing quote", data.junk),
}


def imports(place: Place) -> Iterator[Result]:
    """Import one file in turns with dlt, row by row and in blocks."""
    rows, path = place.amount(ROWS), place.data / "in" / "orders.csv"
    path.parent.mkdir()
    place.say(f"imports: writing {rows:,} rows")
    data.csv(path, rows)
    row_by_row, ndjson, arrow, dlt = [], [], [], []
    with office(place) as here:
        upload_id = here.upload(path, "csv")
        one = partial(_import, place, here, upload_id, rows)
        for number in range(place.rounds()):
            place.say(f"imports, round {number + 1}: a record a row")
            row_by_row.append(one())
            place.say(f"imports, round {number + 1}: blocks")
            ndjson.append(one(rows_per_record=BLOCK))
            arrow.append(one(rows_per_record=BLOCK, block_format="arrow"))
            if number < place.rounds(2):
                place.say(f"imports, round {number + 1}: dlt")
                dlt.append(_dlt(place, path, "rows"))
    place.say("imports: dlt, Arrow tables")
    beside = _dlt(place, path, "arrow")
    yield Result(CSV, _rates(row_by_row), None, (("cost", _cost(row_by_row)),))
    yield Result(CSV_DLT, _rates(row_by_row), _peer(dlt), (("peer_stages", dlt), ("dlt_arrow_tables", beside)))
    yield Result(NDJSON, _rates(ndjson), None, (("cost", _cost(ndjson)),))
    yield Result(ARROW, _rates(arrow), None, (("cost", _cost(arrow)),))


def bad_rows(place: Place) -> Iterator[Result]:
    """Import files with one bad row in a hundred in turns with one that has none."""
    rows, path = place.amount(BAD_ROWS), place.data / "orders.csv"
    uploads: dict[str, str] = {}
    none: list[Done] = []
    found: dict[str, list[Done]] = {name: [] for name in BAD}
    with office(place) as here:
        for name, bad in {"none": None, **{name: bad for name, (_, bad) in BAD.items()}}.items():
            place.say(f"imports: writing {rows:,} rows, bad ones: {name}")
            data.csv(path, rows, bad)
            uploads[name] = here.upload(path, "csv")
        for number in range(place.rounds()):
            place.say(f"imports of bad rows, round {number + 1}")
            none.append(_import(place, here, uploads["none"], rows))
            for name in BAD:
                found[name].append(_import(place, here, uploads[name], rows, rejected=rows // data.BAD_EVERY))
    for name, (what, _) in BAD.items():
        figure = Figure(f"imports-bad-{name}", f"CSV import with 1 % of its rows bad: {what}", "rows/s", 0.8, "at least", "the same file without bad rows")
        yield Result(figure, _rates(found[name]), _rates(none), (("cost", {"ours": _cost(found[name]), "peer": _cost(none)}),))


def _import(place: Place, here: Office, upload_id: str, rows: int, rejected: int = 0, **fields: Any) -> Done:
    """Import it once more, to a topic of its own; raises RuntimeError where not every row has come to what it should."""
    topic = target()
    done = here.run(upload_id, "csv", transformation_rules=data.RULES, target_topic=topic, **fields)
    counts = tuple(done.report[name] for name in ("rows_read", "rows_accepted", "rows_rejected"))
    records = committed(place.bootstrap, topic, lambda _: None)
    topics.delete(place.bootstrap, topic)
    if counts != (rows, rows - rejected, rejected) or (not fields and records != rows - rejected):
        raise RuntimeError(f"of {rows:,} rows with {rejected:,} bad ones came {counts} and {records:,} records: {done.report['errors_by_code']}")
    return done


def _dlt(place: Place, path: Path, way: str) -> dict[str, float]:
    python = venv_of(place, "imports", "dlt")
    home = place.data / f"dlt-{way}"
    done = subprocess.run([str(python), str(PEERS / "dlt_peer.py"), way, str(path.parent), str(home)], check=True, capture_output=True, text=True, timeout=600)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _peer(runs: list[dict[str, float]]) -> Series:
    return Series(tuple(run["rows"] / run["seconds"] for run in runs))


def _rates(runs: list[Done]) -> Series:
    return Series(tuple(done.rows_per_s for done in runs))


def _cost(runs: list[Done]) -> dict[str, float]:
    """Return what a row cost the worker and its reading process."""
    cpu = sum(done.cpu_us_per_row for done in runs) / len(runs)
    return {"cpu_us_per_row": round(cpu, 2), "seconds": round(sum(done.seconds for done in runs), 1)}
