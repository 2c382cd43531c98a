"""What was found out about a file stands in its job's report, whatever it was; and what a file had before it broke off is published once."""

import io
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from flows.core.files.cutters import Format
from tests.kit.importer import importer


def _book() -> bytes:
    file = io.BytesIO()
    pl.DataFrame({"a": [1]}).write_excel(file, worksheet="Orders")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "data_format", "wanted"),
    [
        (b"a;b\n1;'x;y'\n2;'y'\n3;'z'\n4;'z'\n", "csv", {"delimiter": ";", "quote": "'", "encoding": "utf-8", "header": True}),
        ("a\tb\n1\t2\n".encode("utf-16"), "tsv", {"delimiter": "\t", "encoding": "utf-16-le"}),
        (b"<orders><order><a>1</a></order></orders>", "xml", {"record_path": "orders/order", "encoding": "utf-8"}),
        (_book(), "excel", {"sheet": "Orders"}),
    ],
    ids=["csv", "tsv", "xml", "excel"],
)
def test_a_report_says_how_its_file_is_read(kafka: str, tmp_path: Path, data: bytes, data_format: str, wanted: dict[str, Any]) -> None:
    made = importer(kafka, tmp_path)
    (report,) = made.run(made.job(data, data_format, form=Format.RAW))
    assert (report.status, report.trouble) == ("completed", "")
    assert {name: report.read_as.get(name) for name in wanted} == wanted


XML = b"<rows><row><a>1</a></row><row><a>2</b></row><row><a>3</a></row>"
BROKE_OFF = (
    "The file ends at byte 23, and record 3 is not closed: a quote or bracket in it is missing, or the rest of the file. "
    "Mend that record, or write the file again, to its end, and import that."
)


@pytest.mark.parametrize("more", [{}, {"all_or_nothing": True}], ids=["as it comes", "all or nothing"])
@pytest.mark.parametrize(
    ("name", "data", "source", "told"),
    [
        ("rows.json", b'[{"a":1},{"a":2,},{"a":3}', {}, "ends at byte 25, behind record 3, and its array is not closed: the rest is missing. Write"),
        ("rows.json", b'[{"a":1},{"a":2,},{"a":3}]\n{"a":4}\n', {}, "At byte 27, behind record 3 and the end of the array, something else stands"),
        ("rows.xml", XML, {"record_path": "rows/row"}, "ends at byte 63, behind record 3, and <rows> is not closed: the rest is missing. Write"),
        ("rows.xml", XML + b"<x><row><a>4</a></row></rows>", {"record_path": "rows/row"}, "<x> is opened among the records and never closed"),
    ],
)
def test_what_a_file_of_the_workers_machine_had_before_it_broke_off_is_published(
    kafka: str, tmp_path: Path, name: str, data: bytes, source: dict[str, str], told: str, more: dict[str, Any]
) -> None:
    made = importer(kafka, tmp_path)
    (tmp_path / "in" / name).write_bytes(data)
    job_id = f"torn-{tmp_path.name}"
    made.order(job_id, name.rpartition(".")[2], source={"file_path": f"{tmp_path}/in/{name}"} | source, **more)
    (report,) = made.run(job_id)
    wanted = (0, 1, 2) if more else (2, 1, 0)
    assert (report.status, report.rows_accepted, report.rows_rejected, report.rows_skipped) == ("failed", *wanted)
    assert told in report.trouble
    assert sorted(int(orjson.loads(row.value or b"")["a"]) for row in made.rows(job_id)) == ([] if more else [1, 3])


def test_what_a_file_had_before_it_broke_off_is_published_once(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    job_id = made.job(b'[{"a":1},\n{"a":2},\n{"a"', "json", form=Format.RAW)
    (report,) = made.run(job_id)
    assert (report.status, report.rows_accepted, report.rows_rejected) == ("failed", 2, 1)
    assert report.trouble == BROKE_OFF
    source = made.orders[job_id].definition.source_config.model_dump(exclude_none=True)
    made.order(job_id, "json", turn=2, source=source)
    (again,) = made.run(job_id, turn=2)
    assert (again.status, again.turn, again.rows_accepted) == ("failed", 2, 2)
    assert sorted(orjson.loads(row.value or b"")["a"] for row in made.rows(job_id)) == [1, 2]


def test_a_file_of_several_pieces_goes_on_in_another_process(kafka: str, tmp_path: Path) -> None:
    made = importer(kafka, tmp_path)
    lines = b"".join(b'{"a":%d,"s":"%0100d"},\n' % (n, n) for n in range(20_000))
    job_id = made.job(b"[" + lines + b'{"a":1', "json", form=Format.RAW, source={"chunk_size": 100})
    (report,) = made.run(job_id)
    assert (report.status, report.rows_accepted, report.rows_rejected) == ("failed", 20_000, 1)
    source = made.orders[job_id].definition.source_config.model_dump(exclude_none=True)
    made.order(job_id, "json", turn=2, source=source)
    (again,) = made.run(job_id, turn=2)
    assert (again.status, again.trouble) == ("failed", report.trouble)
    assert sorted(orjson.loads(row.value or b"")["a"] for row in made.rows(job_id)) == list(range(20_000))
