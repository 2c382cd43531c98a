"""How much of a file is read in one go."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from connectors.files.bounds import Limits
from connectors.files.child import Session
from connectors.files.encode import ids_of
from connectors.files.sources import PORTION_BYTES
from flows.core.files.frames import MOST_BYTES, Frame
from flows.core.imports.portion import Portion

FILE = "cd" * 32
ROWS = 60_000
WIDE = 2_000


def portions(form: str, path: Path, shape: str, rules: dict[str, Any]) -> Iterator[bytes]:
    """Read a file as a job does that asks for as many rows as there are, each portion as it crosses the pipe."""
    output = {"file": FILE, "shape": shape, "rows_per_record": 1, "key_columns": [], "most_bytes": 1 << 20}
    head = {"format": form, "source": {}, "rules": rules, "output": output, "at": 0, "line": 1, "ordinal": 0, "path": str(path)}
    session = Session(Limits(ratio=10_000))
    assert session.answer(Frame({"kind": "open", **head}, (b"", path.read_bytes()[:4096]))).head == {"kind": "opened"}
    over = False
    while not over:
        answer = session.answer(Frame({"kind": "rows", "most": ROWS}))
        assert answer.head == {"kind": "portion"}, answer.head
        yield answer.parts[0]
        over = orjson.loads(answer.parts[0].partition(b"\n")[0])["over"]


def written(form: str, path: Path) -> None:
    """Write rows that come to twice the most of a frame, in a small file."""
    frame = pl.DataFrame({"id": pl.int_range(ROWS, eager=True), "text": ["x" * WIDE] * ROWS})
    if form == "parquet":
        frame.write_parquet(path, row_group_size=5_000)
    elif form == "excel":
        frame.write_excel(path)
    else:
        path.write_bytes(gzip.compress(frame.write_csv().encode(), 1))


@pytest.mark.parametrize(
    ("form", "shape", "rules"),
    [("csv", "row", {}), ("csv", "row", {"required": ["nothing"]}), ("parquet", "row", {}), ("parquet", "arrow", {}), ("excel", "row", {})],
    ids=["csv", "rejects", "parquet", "arrow", "excel"],
)
def test_a_portion_of_large_rows_has_fewer_of_them(tmp_path: Path, form: str, shape: str, rules: dict[str, Any]) -> None:
    path = tmp_path / "file.gz"
    written(form, path)
    sizes, ids = list[int](), list[bytes]()
    for packed in portions(form, path, shape, rules):
        found = Portion.unpack(packed)
        sizes.append(len(packed))
        ids += found.ids if not rules else ids_of(FILE, [reject.ordinal for reject in found.rejects])
    assert ROWS * WIDE > 1.5 * MOST_BYTES
    assert max(sizes) < PORTION_BYTES + 1.25 * Limits().table_bytes  # and the table with which it was over
    assert sorted(ids) == sorted(ids_of(FILE, range(ROWS)))
