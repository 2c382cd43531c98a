"""The work of an import, written for dlt as its documentation would have it: a CSV file is cast, judged by ten rules and loaded.

Arguments: `rows|arrow FOLDER HOME`. Reads the CSV files in FOLDER; runs in a venv of its own (`imports.txt`). `rows` reads by `read_csv` (pandas), casts by
its dtypes, judges by a filter in Python, and loads JSON lines; `arrow` reads by `read_csv_duckdb` into Arrow tables, judges them by pyarrow, and loads Parquet.
Both go to the filesystem destination, and all else is dlt's default. Prints JSON: rows, seconds, and those of each stage.
"""

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}

import dlt
import pyarrow as pa
import pyarrow.compute as pc
from dlt.sources.filesystem import filesystem, read_csv, read_csv_duckdb

EMAIL = re.compile(r"[^@ ]+@[^@ ]+")
STATES = ["new", "paid", "shipped", "returned"]
TYPES = {"id": "int64", "customer": "str", "email": "str", "amount": "float64", "quantity": "int64", "paid": "bool", "state": "str"}


def good(row: dict[str, Any]) -> bool:
    """Tell whether a row keeps all ten rules; columns that are required have a value, or their type would not be this one."""
    number, email = row["id"], row["email"]
    return (
        number is not None
        and number >= 0
        and email is not None
        and EMAIL.fullmatch(email) is not None
        and 0 <= row["amount"] <= 1_000_000
        and 1 <= row["quantity"] <= 100
        and 1 <= len(row["customer"]) <= 80
        and row["state"] in STATES
    )


def sifted(table: pa.Table) -> pa.Table:
    """Return the rows of a table that keep them."""
    lengths = pc.utf8_length(table["customer"])
    tests = [
        pc.greater_equal(table["id"], 0),
        pc.match_substring_regex(table["email"], f"^{EMAIL.pattern}$"),
        pc.and_(pc.greater_equal(table["amount"], 0), pc.less_equal(table["amount"], 1_000_000)),
        pc.and_(pc.greater_equal(table["quantity"], 1), pc.less_equal(table["quantity"], 100)),
        pc.and_(pc.greater_equal(lengths, 1), pc.less_equal(lengths, 80)),
        pc.is_in(table["state"], value_set=pa.array(STATES)),
    ]
    mask = tests[0]
    for test in tests[1:]:
        mask = pc.and_(mask, test)
    return table.filter(mask)


def main(way: str, folder: str, home: str) -> None:
    """Run it once."""
    files = filesystem(bucket_url=Path(folder).absolute().as_uri(), file_glob="*.csv")
    if way == "rows":
        source = (files | read_csv(chunksize=10_000, dtype=TYPES, parse_dates=["created_at"])).with_name("orders").add_filter(good)
    else:
        source = (files | read_csv_duckdb(chunk_size=50_000, use_pyarrow=True)).with_name("orders").add_map(sifted)
    target = dlt.destinations.filesystem((Path(home) / "out").absolute().as_uri())
    pipeline = dlt.pipeline("bench", destination=target, dataset_name="bench", pipelines_dir=str(Path(home) / "pipelines"))
    times = [time.monotonic()]
    for stage in (lambda: pipeline.extract(source), pipeline.normalize, pipeline.load):
        stage()
        times.append(time.monotonic())
    rows = pipeline.last_trace.last_normalize_info.row_counts["orders"]
    stages = {name: round(end - begin, 2) for name, begin, end in zip(("extract_s", "normalize_s", "load_s"), times, times[1:], strict=False)}
    print(json.dumps({"rows": rows, "seconds": round(times[-1] - times[0], 2), **stages}))


if __name__ == "__main__":
    main(*sys.argv[1:])
