"""Parquet is read back as it was written, group by group, and goes on behind every portion."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
import polars as pl
import pyarrow as pa
import pytest

from connectors.files.bounds import Limits
from connectors.files.parquet import Parquet
from connectors.files.whole import Portion
from flows.core.files.kept import shown
from tests.kit.zoo_sheets import parquet

ZURICH: Final = ZoneInfo("Europe/Zurich")
NARROW: Final = replace(Limits(), table_rows=70)


def _columns(rows: int) -> dict[str, list[Any]]:
    start = datetime(2024, 3, 31, tzinfo=UTC)
    return {
        "id": list(range(rows)),
        "text": [f"é {n}" if n % 3 else None for n in range(rows)],
        "share": [n / 7 for n in range(rows)],
        "amount": [Decimal(n).scaleb(-2) for n in range(rows)],
        "flag": [n % 2 == 0 for n in range(rows)],
        "day": [date(1969, 12, 1) + timedelta(days=n) for n in range(rows)],
        "at": [(start + timedelta(minutes=n)).astimezone(ZURICH) for n in range(rows)],
        "few": [f"kind {n % 4}" for n in range(rows)],
    }


def _read(path: Path, limits: Limits = Limits(), at: bytes | None = None) -> list[Portion]:  # noqa: B008  it is frozen
    return list(Parquet(limits).tables(path, at))


def _table(rows: int) -> pa.Table:
    kinds = {"amount": pa.decimal128(12, 2), "at": pa.timestamp("us", "Europe/Zurich")}
    return pa.table({name: pa.array(values, kinds.get(name)) for name, values in _columns(rows).items()})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"compression": "zstd", "row_group_size": 100},
        {"use_dictionary": False, "version": "1.0"},
        {"data_page_version": "2.0"},
    ],
)
def test_types_are_kept(settings: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(parquet(_table(250), **settings))
    frame = pl.concat([portion.table.frame for portion in _read(path)])
    assert frame.to_dict(as_series=False) == _columns(250)
    assert frame.dtypes[3:7] == [pl.Decimal(12, 2), pl.Boolean, pl.Date, pl.Datetime("us", "Europe/Zurich")]


def test_what_polars_wrote_is_read_back_equal(tmp_path: Path) -> None:
    frame = pl.DataFrame(_columns(300)).with_columns(pl.col("few").cast(pl.Categorical), pl.col("id").cast(pl.UInt64).alias("big"))
    frame.write_parquet(tmp_path / "file", row_group_size=64)
    read = pl.concat([portion.table.frame for portion in _read(tmp_path / "file")])
    assert read.to_dict(as_series=False) == frame.to_dict(as_series=False)


def test_it_goes_on_behind_every_portion(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(parquet(_table(500), row_group_size=180))
    whole = _read(path, NARROW)
    assert [portion.table.frame.height for portion in whole] == [70, 70, 40, 70, 70, 40, 70, 70]
    for index, portion in enumerate(whole):
        rest = _read(path, NARROW, portion.after)
        assert pl.concat([one.table.frame for one in whole[: index + 1] + rest]).to_dict(as_series=False) == _columns(500)
        assert [ordinal for one in rest for ordinal in one.table.ordinals] == list(range(portion.table.ordinals[-1] + 1, 500))
    assert whole[3].table.place(1)[:3] == (181, 0, -1)
    assert orjson.loads(shown("parquet", whole[3].table.place(1).raw))["id"] == 181


def test_what_is_nested_is_json_and_binary_is_base64(tmp_path: Path) -> None:
    path = tmp_path / "file"
    nested = {
        "list": [[1, None], None],
        "struct": [{"a": b"\0\1", "b": Decimal("1.50")}, {"a": None, "b": None}],
        "raw": [b"\xff\0", None],
        "map": [[("k", 1)], []],
    }
    kinds = {"map": pa.map_(pa.string(), pa.int64())}
    path.write_bytes(parquet(pa.table({name: pa.array(values, kinds.get(name)) for name, values in nested.items()})))
    ((table, rejects, _),) = _read(path)
    assert not rejects
    assert table.fragments == {"list", "struct", "map"}
    assert table.frame.rows() == [("[1,null]", '{"a":"AAE=","b":"1.50"}', "/wA=", '{"k":1}'), (None, '{"a":null,"b":null}', None, "{}")]


def test_a_wide_dictionary_is_unfolded_a_table_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "file"
    words = pa.array([letter * 100_000 for letter in "abc"])
    path.write_bytes(parquet(pa.table({"n": range(300), "text": pa.DictionaryArray.from_arrays(pa.array([n % 3 for n in range(300)], pa.int32()), words)})))
    limits = replace(Limits(), table_bytes=2_000_000)
    portions = _read(path, limits)
    assert max(portion.table.frame.estimated_size() for portion in portions) < 3_000_000
    assert [n for portion in portions for n in portion.table.frame["n"].to_list()] == list(range(300))
    assert {(text[0], len(text)) for text in portions[-1].table.frame["text"].to_list()} <= {("a", 100_000), ("b", 100_000), ("c", 100_000)}
    half = portions[len(portions) // 2]
    assert _read(path, limits, half.after)[0].table.ordinals[0] == half.table.ordinals[-1] + 1
