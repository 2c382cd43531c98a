"""Columns that a job speaks of and its file does not have: what is refused, what is told, and that neither depends on which process reads."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.files.bounds import Limits
from connectors.files.child import Session
from flows.core.files.frames import Frame
from flows.core.imports.named import named
from flows.core.imports.portion import Portion
from flows.core.imports.rules import TransformationRules

CSV = b"id,name\n1,a\n2,b\n"
RULES: dict[str, Any] = {
    "column_mapping": {"id": "key", "zz": "y"},
    "data_types": {"key": "int64", "t": "int64"},
    "trim": ["tr"],
    "case": {"c": "lower"},
    "regex": {"r": "a"},
    "min": {"t": 1},
    "length": {"l": {"max": 3}},
    "enum": {"e": ["a"]},
    "drop_columns": ["d", "name"],
    "defaults": {"made": "x"},
    "constants": {"also": 1},
}


def opening(form: str, rules: dict[str, Any], *, state: bytes = b"", at: int = 0, ordinal: int = 0, path: Path | None = None, **more: Any) -> Frame:
    output = {"file": "ab" * 32, "shape": "row", "rows_per_record": 1, "key_columns": [], "most_bytes": 1000}
    head = {"kind": "open", "format": form, "source": {}, "rules": rules, "output": output, "at": at, "line": 1, "ordinal": ordinal}
    return Frame({**head, "path": str(path) if path else None, **more}, (state, path.read_bytes()[:1000] if path else CSV))


def session(*args: Any, **more: Any) -> Session:
    made = Session(Limits())
    assert made.answer(opening(*args, **more)).head == {"kind": "opened"}
    return made


def pieces(data: bytes, start: int = 0, first: int = 0, *, last: bool = True) -> Frame:
    return Frame({"kind": "pieces", "places": [[start, 1, first, data.count(b"\n"), "records"]], "last": last}, (data,))


def portion(answer: Frame) -> Portion:
    assert answer.head == {"kind": "portion"}, answer.head
    return Portion.unpack(answer.parts[0])


def told(answer: Frame) -> list[str]:
    found: list[str] = portion(answer).told.get("unknown_columns", [])
    return found


def test_columns_that_rules_make_are_not_looked_for_in_the_file() -> None:
    found = named(TransformationRules.model_validate(RULES), "at", ("key", "made"), ("also", "k"))
    assert list(found.mapping) == ["id", "zz"]
    assert found.after == ("t", "tr", "c", "r", "l", "e", "d", "name", "at", "k")
    assert found.needed == (("incremental.key", "key"), ("incremental.key", "made"), ("incremental.cursor_column", "at"))


def test_columns_that_only_an_expression_reads_are_looked_for() -> None:
    expression = {
        "columns": {"sum": "row.id + row.one", "twice": "row.sum * 2 + row['tw\\u006f']"},
        "filter": "has(row.three) && row.name.startsWith('row.no') && row.key.size() > 0",
        "checks": {"deep": "row.four.no.no[0] == 1 || 'five' in row"},
    }
    answer = session("csv", {"column_mapping": {"id": "key"}, "expression": expression}).answer(pieces(CSV))
    assert told(answer) == ["id", "one", "two", "three", "four", "five"]


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "excel"])
def test_what_no_row_of_a_file_of_fixed_columns_can_have_is_told_with_its_first_rows(tmp_path: Path, form: str) -> None:
    wanted = ["zz", "t", "tr", "c", "r", "l", "e", "d"]
    if form in {"csv", "tsv"}:
        answer = session(form, RULES).answer(pieces(CSV.replace(b",", b"\t") if form == "tsv" else CSV, last=False))
    else:
        frame, path = pl.DataFrame({"id": range(1, 2001), "name": ["a"] * 2000}), tmp_path / "file.xlsx"
        frame.write_parquet(path, row_group_size=500) if form == "parquet" else frame.write_excel(path)
        answer = session(form, RULES, path=path).answer(Frame({"kind": "rows", "most": 500}))
    assert told(answer) == wanted
    assert portion(answer).values[0] == b'{"key":1,"made":"x","also":1}'


@pytest.mark.parametrize(("form", "data"), [("csv", CSV), ("tsv", CSV.replace(b",", b"\t"))])
@pytest.mark.parametrize(
    ("rules", "memory", "rule"),
    [
        ({"unique": ["zz"]}, {}, "unique"),
        ({"unique": [{"columns": ["id", "zz"], "across_runs": True}]}, {}, "unique"),
        ({}, {"key": ["zz"]}, "incremental.key"),
        ({"data_types": {"zz": "int64"}}, {"cursor_column": "zz"}, "incremental.cursor_column"),
        ({"column_mapping": {"zz": "y"}, "unique": ["y"]}, {}, "unique"),
        ({"column_mapping": {"id": "y"}, "unique": ["id"]}, {}, "unique"),
        ({"expression": {"filter": "row.zz > 1 || row.id > 0"}}, {}, "expression.filter"),
        ({"expression": {"filter": "!has(row.id) && row['zz'] == '1'"}}, {}, "expression.filter"),
    ],
)
def test_a_rule_that_tells_rows_by_a_column_that_is_not_there_fails_the_file(
    form: str, data: bytes, rules: dict[str, Any], memory: dict[str, Any], rule: str
) -> None:
    answer = session(form, rules, memory=memory).answer(pieces(data))
    assert (answer.head["kind"], answer.head.get("code")) == ("failed", "no_such_column")
    missing, has = ("id", "y, name") if "id" in rules.get("column_mapping", {}) else ("y" if "column_mapping" in rules else "zz", "id, name")
    assert answer.head["detail"] == f"There is no column '{missing}' for {rule} to tell rows by: rows have {has}. Rules go by names after mapping."
    watched = session(form, rules, memory=memory, watch=True)
    assert portion(watched.answer(pieces(data))).rows_read == 2
    assert [*map(tuple, watched.answer(Frame({"kind": "columns"})).head["missing"])] == [(rule, missing)]


@pytest.mark.parametrize(
    "rules",
    [
        {"unique": ["zz"], "defaults": {"zz": "x"}},
        {"unique": ["zz"], "expression": {"columns": {"zz": "row.id"}}},
        {"unique": ["name"], "drop_columns": ["name"]},
        {"unique": ["zz"], "constants": {"zz": 1}},
        {"expression": {"columns": {"sum": "row.one"}, "filter": "row.sum == null"}},
        {"defaults": {"zz": "x"}, "expression": {"filter": "row.zz == 'x'"}},
        {"expression": {"filter": "!has(row.zz) || row.zz > 1"}},
        {"expression": {"filter": "'zz' in row ? row.zz > 1 : true"}},
    ],
)
def test_rows_may_be_told_by_a_column_that_rules_make_or_drop(rules: dict[str, Any]) -> None:
    assert portion(session("csv", rules).answer(pieces(CSV))).rows_read == 2


def test_a_file_without_a_row_says_nothing_of_its_columns() -> None:
    assert told(session("csv", {"unique": ["zz"], "trim": ["t"]}).answer(pieces(b"id\n"))) == []


JSON = (b'{"id": 1, "a": 1}\n', b'{"id": 2, "b": 1}\n', b'{"id": 3}\n')


@pytest.mark.parametrize("form", ["ndjson", "json", "xml"])
def test_where_a_column_may_come_later_it_is_told_at_the_end(tmp_path: Path, form: str) -> None:
    data = {
        "ndjson": b"".join(JSON),
        "json": b"[" + b",".join(JSON) + b"]",
        "xml": b"<rows><row><id>1</id><a>1</a></row><row><id>2</id><b>1</b></row><row><id>3</id></row></rows>",
    }[form]
    (tmp_path / "file").write_bytes(data)
    rules = {"trim": ["a", "b", "c"], "unique": ["zz"], "column_mapping": {"id": "key", "x": "y"}}
    made = Session(Limits())
    assert made.answer(Frame(opening(form, rules, path=tmp_path / "file").head, (b"", data))).head == {"kind": "opened"}
    found = portion(made.answer(Frame({"kind": "rows", "most": 100})))
    assert (found.rows_read, found.over, found.told["unknown_columns"]) == (3, True, ["x", "c", "zz"])


def test_a_process_that_goes_on_in_the_middle_knows_what_the_one_before_has_seen() -> None:
    rules = {"trim": ["a", "b", "c"]}
    whole, alone = session("ndjson", rules), list[list[str]]()
    at, ordinal, state = 0, 0, b""
    for data in JSON:
        last = data == JSON[-1]
        once, twice = (session("ndjson", rules, state=state, at=at, ordinal=ordinal).answer(pieces(data, at, ordinal, last=last)) for _ in range(2))
        assert portion(once) == portion(twice), "a portion that is read again comes to something else"
        alone.append(told(once))
        assert alone[-1] == told(whole.answer(pieces(data, at, ordinal, last=last)))
        at, ordinal, state = at + len(data), ordinal + 1, portion(once).place.state
    assert alone == [[], [], ["c"]]


def test_a_portion_without_rows_at_the_end_of_a_file_tells_what_those_before_it_did() -> None:
    first = portion(session("csv", {"trim": ["t"]}).answer(pieces(CSV, last=False)))
    at = len(CSV)
    behind = session("csv", {"trim": ["t"]}, state=first.place.state, at=at, ordinal=2)
    assert told(behind.answer(Frame({"kind": "pieces", "places": [], "last": True}))) == ["t"]


def test_of_other_rules_in_the_middle_of_a_file_only_what_is_certain_is_told() -> None:
    first = portion(session("ndjson", {"trim": ["a", "c"]}).answer(pieces(JSON[0], last=False)))
    at = len(JSON[0])
    assert told(session("ndjson", {"trim": ["c", "new"]}, state=first.place.state, at=at, ordinal=1).answer(pieces(JSON[1], at, 1))) == ["c"]


def test_a_rule_of_many_columns_is_told_of_by_the_first() -> None:
    assert len(told(session("csv", {"trim": [f"t{n}" for n in range(500)]}).answer(pieces(CSV)))) == 20
