"""What a job remembers of the columns that it tells rows by: which they are, and of which types."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.files.marks import digests
from connectors.files.plan import Sifted
from connectors.testing import ManualClock
from flows.core import topics
from flows.core.imports.jobs import JOB, JobDefinition, StoredJob
from flows.core.imports.progress import Report
from flows.core.imports.recall import DIGEST, Lot
from flows.core.imports.run import CHECK, Run
from flows.engine.batch import Batch
from flows.engine.contents import Taken
from flows.engine.definitions import Definitions
from flows.engine.share import Share
from flows.steps.jobs import read_job
from flows.steps.memory import Memory
from tests.kit.state import opened

BOTH: dict[str, Any] = {"unique": [{"columns": ["id", "no"], "across_runs": True}]}
SAME = "in earlier runs of jobs of this name; give it that type, or the job another name, under which all rows are new."


class Name:
    """A name of jobs and its memory."""

    def __init__(self, home: Path) -> None:
        self.clock = ManualClock()
        self.share = Share("imports", opened(home, self.clock), 0, 1)

    def remembered(self, rules: dict[str, Any], data_format: str = "csv", phase: str = "reading", **over: Any) -> str:
        """Let one row through in a run of a job with these rules; returns why it cannot be."""
        told = {"name": "n", "job_type": "one_time", "data_format": data_format, "source_config": {"upload_id": "u"}, "transformation_rules": rules, **over}
        order = StoredJob(job_id="j", definition=JobDefinition.model_validate(told), by="test", created_at_ms=0, updated_at_ms=0)
        self.share.state.now_ms = self.clock.now_ms()
        batch = Batch(Taken({}), {0: self.share}, Definitions({JOB: read_job}), lambda _: 1 << 20, self.clock.now_ms())
        memory = Memory(batch, 0, order, Run(Report(job_id="j", phase=phase), "u"))
        lots = [Lot("rows", b"k" * 2 * DIGEST, b"\0", b"")] if "incremental" in over else [Lot("runs", b"k" * DIGEST, b"\0", b"")]
        memory.known(lots)
        trouble = memory.remember(lots)
        self.share.state.apply(0)
        return trouble


@pytest.fixture
def name(tmp_path: Path) -> Iterator[Name]:
    made = Name(tmp_path)
    yield made
    made.share.close()


def test_a_column_that_rows_are_told_by_over_runs_keeps_its_type(name: Name) -> None:
    assert name.remembered(BOTH | {"data_types": {"id": "int64"}}) == ""
    assert name.remembered(BOTH) == f"The column 'id' is of type string, and was int64 {SAME}"
    assert name.remembered(BOTH | {"data_types": {"id": {"type": "int64"}, "no": "date"}}) == f"The column 'no' is of type date, and was string {SAME}"
    turned = {"unique": [{"columns": ["no", "id"], "across_runs": True}], "data_types": {"id": "decimal"}}
    assert name.remembered(turned) == f"The column 'id' is of type decimal, and was int64 {SAME}"
    assert name.remembered(BOTH | {"data_types": {"id": "int64", "other": "date"}}) == ""


def test_a_column_whose_type_nobody_says_is_not_compared(name: Name) -> None:
    assert name.remembered(BOTH, "parquet") == ""
    assert name.remembered(BOTH | {"data_types": {"id": "int64"}}, "ndjson") == ""
    assert name.remembered(BOTH, "parquet") == ""
    assert name.remembered(BOTH | {"data_types": {"id": "string"}}, "parquet") == f"The column 'id' is of type string, and was int64 {SAME}"
    made = BOTH | {"data_types": {"id": "int64"}, "constants": {"no": 1}}
    assert name.remembered(made) == ""
    assert name.remembered(made | {"data_types": {"id": "int64", "no": "int64"}}) == ""


def test_so_does_the_key_under_which_rows_are_unchanged(name: Name) -> None:
    assert name.remembered({"data_types": {"id": "int64"}}, incremental={"key": ["id"]}) == ""
    assert name.remembered({}, incremental={"key": ["id"]}) == f"The column 'id' is of type string, and was int64 {SAME}"


def test_a_file_that_is_only_checked_leaves_no_types(name: Name) -> None:
    assert name.remembered(BOTH, phase=CHECK) == ""
    assert name.remembered(BOTH | {"data_types": {"id": "int64"}}) == ""
    assert name.remembered(BOTH, phase=CHECK).startswith("The column 'id'")


def test_types_are_forgotten_with_the_keys(name: Name) -> None:
    assert name.remembered(BOTH) == ""
    name.clock.advance(91 * topics.DAY_MS)
    assert name.remembered(BOTH | {"data_types": {"id": "int64"}}) == ""


def test_a_key_is_the_same_in_whatever_order_its_columns_are_named() -> None:
    sifted = Sifted(pl.DataFrame({"no": [1, None, 2], "id": ["a", "b", "c"]}), None, frozenset(), [])
    found = digests(sifted, ("id", "no"))
    assert found == digests(sifted, ("no", "id"))
    assert [digest is None for digest in found] == [False, True, False]
    assert found[0] != found[2]
