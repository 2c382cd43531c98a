"""Others' readers: `readers.py NAME FORMAT PATH` reads a file and prints JSON: rows, seconds, CPU seconds, the most of memory. Loads only what it measures."""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Final

BATCH: Final = 50_000


def polars_csv(path: str) -> int:
    """All columns as texts, as ours."""
    import polars as pl  # noqa: PLC0415  in the process that measures it

    return sum(frame.height for frame in pl.scan_csv(path, infer_schema=False).collect_batches(chunk_size=BATCH))


def polars_ndjson(path: str) -> int:
    """Columns typed by the first rows."""
    import polars as pl  # noqa: PLC0415  as above

    return sum(frame.height for frame in pl.scan_ndjson(path).collect_batches(chunk_size=BATCH))


def polars_json(path: str) -> int:
    """The whole file at once: there is no other way."""
    import polars as pl  # noqa: PLC0415  as above

    return pl.read_json(path).height


def polars_parquet(path: str) -> int:
    """Batch by batch."""
    import polars as pl  # noqa: PLC0415  as above

    return sum(frame.height for frame in pl.scan_parquet(path).collect_batches(chunk_size=BATCH))


def pyarrow_csv(path: str) -> int:
    """All columns as texts, with line ends in quotes, as ours."""
    from pyarrow import csv, string  # noqa: PLC0415  as above

    with open(path, "rb") as file:  # noqa: PTH123  a path is a text here
        names = file.readline().decode().strip().split(",")
    convert = csv.ConvertOptions(column_types=dict.fromkeys(names, string()))
    reader = csv.open_csv(path, csv.ReadOptions(block_size=4 << 20), csv.ParseOptions(newlines_in_values=True), convert)
    return sum(batch.num_rows for batch in reader)


def pyarrow_ndjson(path: str) -> int:
    """Columns typed by the first block."""
    from pyarrow import json as reader  # noqa: PLC0415  as above

    return sum(batch.num_rows for batch in reader.open_json(path, reader.ReadOptions(block_size=4 << 20)))


def pyarrow_parquet(path: str) -> int:
    """Batch by batch, nothing read ahead."""
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415  as above

    return sum(batch.num_rows for batch in ParquetFile(path).iter_batches(BATCH))


def ijson_json(path: str) -> int:
    """Element by element, by its fastest backend."""
    from ijson.backends import yajl2_c  # type: ignore[import-not-found]  # noqa: PLC0415  as above; it stands in the peers' venv

    with open(path, "rb") as file:  # noqa: PTH123  as above
        return sum(1 for _ in yajl2_c.items(file, "item", use_float=True))


def lxml_xml(path: str) -> int:
    """Element by element, with what was read cleared away."""
    from lxml import etree  # noqa: PLC0415  as above

    rows = 0
    for _, element in etree.iterparse(path, tag="order", resolve_entities=False):
        rows += bool({cell.tag: cell.text for cell in element})
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
    return rows


def openpyxl_excel(path: str) -> int:
    """Row by row, read only."""
    import openpyxl  # noqa: PLC0415  as above

    return sum(1 for _ in openpyxl.load_workbook(path, read_only=True).active.iter_rows(values_only=True)) - 1


def calamine_excel(path: str) -> int:
    """The whole sheet at once."""
    from python_calamine import load_workbook  # noqa: PLC0415  as above

    return sum(1 for _ in load_workbook(path).get_sheet_by_index(0).iter_rows()) - 1


def measured(read: Callable[[], int]) -> dict[str, Any]:
    """Read once, and return what that took."""
    cpu, begin = time.process_time(), time.monotonic()
    rows = read()
    seconds, cpu = time.monotonic() - begin, time.process_time() - cpu
    return {"rows": rows, "seconds": seconds, "cpu_s": cpu, "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    chosen: Callable[[str], int] = globals()[f"{sys.argv[1]}_{sys.argv[2]}"]
    print(json.dumps(measured(lambda: chosen(sys.argv[3]))))
