"""A plan comes to what the row-wise rules of `tests.kit.row_rules` come to: the same good rows, the same rejects."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files.rules import compile_rules
from connectors.files.table import Place, Table
from flows.core.imports.check import check_rules
from flows.core.imports.rules import TransformationRules
from tests.kit.row_rules import Json, decide

NUMBERS = """0 1 -1 +5 007 -0 12 1_000 0x1f ٣ 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 1.5 1.50 1.0 1. .5
 -.5 . + - 1e5 1E+5 1e999 -1e999 1e-999 e5 1e nan NaN inf -Infinity 1,5 1,50 1.234,5 1.234.567 1,234 1,234.5 12,34 1'000 0.1 0.10 1.005 1.0050
 12345678901234567890123456789012345678 123456789012345678901234567890123456789 1234567890123456789012345678901234567.8 0.12345678901234567890123456789012345678
 000000000000000000000000000000000000000000000000001 99999999999999999999999999999999999999.99 1.5f 2**3""".split()
TIMES = """2024-02-29 2024-02-30 2023-02-29 2024-2-9 20240229 0000-01-01 0001-01-01 9999-12-31 2024-13-01 2024-02-29T10:00 2024-02-29T10:00:00
 2024-02-29T10:00:00Z 2024-02-29T10:00:00+02:00 2024-02-29T10:00:00-0530 2024-02-29T10:00:00+24:00 2024-02-29T10:00:60Z 2024-02-29T24:00:00
 2024-02-29T10:00:00.1 2024-02-29T10:00:00.123Z 2024-02-29T10:00:00.123456Z 2024-02-29T10:00:00.123456789+01:00 2024-03-31T02:30:00 2024-10-27T02:30:00
 2024-10-27T02:59:59.999999 2024-03-10T02:30:00 2024-11-03T01:30:00 0001-01-01T00:00:00+01:00 9999-12-31T23:59:59-01:00 29.02.2024 9.2.2024 31.3.24
 02/13/2024 13/02/2024 01/02/2024 2024-02-29t10:00:00z""".split()
SPACED = [
    "2024-02-29 10:00",
    "2024-02-29 10:00:00.5 ",
    "29.02.2024 02:30",
    "31.03.2024 02:30",
    "27.10.2024 02:30",
    "Feb 29 2024 12:05 AM",
    "feb 30 2024 01:05 pm",
]
WORDS = [
    "",
    " ",
    " 12 ",
    "12 ",
    "\u00a07\u3000",
    "\x1c5",
    "a",
    "abc",
    "ABC",
    "aB1",
    "ß",
    "İ",
    "ΑΣ",
    "e\u0301",
    "é",
    "n/a",
    "NULL",
    "null",
    "-",
    "a\nb",
    "a\n",
    "🎉🎉",
]
TRUTHS = ["true", "True", "TRUE", "t", "yes", "Y", "1", "0", "no", "FALSE", "f", "2", "wahr", "Falsch", "ON"]
JSONS = ['{"a": 1}', "[1,\n2]", '"x"', "{", "01", "1e400", "nul", "NaN", '{"a":1}x']
TEXTS = st.sampled_from(NUMBERS + TIMES + SPACED + WORDS + TRUTHS + JSONS)
PURE = {
    **dict.fromkeys(["int64", "float64", "decimal"], NUMBERS),
    **dict.fromkeys(["date", "datetime"], TIMES + SPACED),
    "bool": TRUTHS,
    "json": [*JSONS, "1", "true"],
}
FRAGMENTS = st.one_of(
    st.sampled_from(
        ["null", "true", "false", "0", "1", "-1", "5.0", "5.00", "1.5", "1e3", "9223372036854775808", "20240229", "{}", '{"a":1}', "[1]", "-0", "1E2"]
    ),
    st.sampled_from(['"a"', '""', '"\\u0061bc"', '"a\\"b"', '" 12 "', '"\\ud83c\\udf89"', '"12"', '"true"', '"n/a"', '"2024-02-29T10:00:00Z"', '"\\n"']),
).map(Json)
TYPED: dict[str, tuple[pl.DataType, st.SearchStrategy[Any]]] = {
    "int": (pl.Int64(), st.sampled_from([0, 1, -1, 5, 2**53 + 1, 2**63 - 1, -(2**63)])),
    "float": (pl.Float64(), st.sampled_from([0.0, 1.0, 1.5, -2.25, 1e15, 2.0**62, 2.0**63, -(2.0**63)])),
    "bool": (pl.Boolean(), st.booleans()),
}
FORMATS = [("%d.%m.%Y",), ("%-d.%-m.%y", "%Y%m%d"), ("%d/%m/%Y", "%m/%d/%Y")]
TIME_FORMATS = [("%d.%m.%Y %H:%M",), ("%b %-d %Y %I:%M %p", "%Y-%m-%d"), ("%Y-%m-%d %H:%M:%S.%f ", "%Y-%m-%d %H:%M")]
NUMERIC = st.fixed_dictionaries(
    {"type": st.sampled_from(["int64", "float64", "decimal"])},
    optional={"decimal_comma": st.booleans(), "thousands_separator": st.sampled_from([",", ".", "'", " "])},
)
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "UTC", "Asia/Kathmandu"])
KINDS = st.one_of(
    st.none(),
    st.sampled_from(["int64", "float64", "decimal", "string", "bool", "date", "datetime", "json"]).map(lambda kind: {"type": kind}),
    NUMERIC,
    st.fixed_dictionaries({"type": st.just("decimal"), "scale": st.sampled_from([0, 2, 10, 38])}, optional={"decimal_comma": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("bool"), "true_values": st.just(["Wahr", "on"]), "false_values": st.just(["falsch", ""])}),
    st.fixed_dictionaries({"type": st.just("date"), "formats": st.sampled_from(FORMATS)}),
    st.fixed_dictionaries(
        {"type": st.just("datetime")},
        optional={"formats": st.sampled_from(TIME_FORMATS), "timezone": ZONES, "ambiguous_time": st.sampled_from(["reject", "earliest", "latest"])},
    ),
    st.fixed_dictionaries({"type": st.sampled_from(["string", "int64"]), "null_values": st.sampled_from([[], ["n/a"], ["", "-", "0"]])}),
)
BOUNDS: dict[str | None, list[Any]] = {
    "int64": [0, 5, -0.5, 2**63],
    "float64": [0, 1.5, -1e300],
    "decimal": [0, "1.5", 0.1, -0.055],
    "date": ["2024-02-29", "2000-01-01"],
    "datetime": ["2024-02-29T10:00:00Z", "2024-01-01T00:00:00+05:45"],
}
USUAL: dict[str, Any] = {
    "int64": 7,
    "float64": 0.5,
    "decimal": "1.00",
    "string": "x",
    "bool": True,
    "date": "2020-01-01",
    "datetime": "2020-01-01T00:00:00Z",
    "json": {"a": None},
}


@st.composite
def cases(draw: st.DrawFn) -> tuple[TransformationRules, dict[str, Any]]:
    """Draw rules and a table of columns."""
    said: dict[str, Any] = {"data_types": {}, "column_mapping": {}}
    columns: dict[str, Any] = {}
    height = draw(st.integers(1, 8))
    for source in draw(st.sampled_from([["a"], ["a"], ["a", "b"]])):
        name = source
        if draw(st.booleans()):
            name = said["column_mapping"][source] = source.upper()
        kind = draw(KINDS)
        texts = TEXTS | st.sampled_from(PURE.get(kind["type"] if kind else "", WORDS))
        values, typed = draw(st.sampled_from([(texts, None)] * 4 + [(FRAGMENTS, None)] * 2 + [(values, dtype) for dtype, values in TYPED.values()]))
        columns[source] = (draw(st.lists(st.none() | values, min_size=height, max_size=height)), "json" if values is FRAGMENTS else typed or pl.String())
        if kind is not None:
            said["data_types"][name] = kind
        _rules(draw, said, name, None if kind is None else kind["type"], text=typed is None)
    common = {"trim": True, "null_values": ["", "n/a"], "decimal_comma": True, "thousands_separator": "'"}
    said |= {key: value for key, value in common.items() if draw(st.integers(0, 3)) == 0}
    if draw(st.integers(0, 4)) == 0:
        said["constants"] = {draw(st.sampled_from(["a", "z"])): 5}
    return TransformationRules.model_validate(said), columns


def _rules(draw: st.DrawFn, said: dict[str, Any], name: str, kind: str | None, *, text: bool) -> None:
    def put(rule: str, value: Any) -> None:
        if draw(st.integers(0, 3)) == 0:
            said.setdefault(rule, {})[name] = value

    if draw(st.integers(0, 3)) == 0:
        said.setdefault("required", []).append(draw(st.sampled_from([name, name, name, "nowhere"])))
    if kind is not None or text:
        put("defaults", USUAL[kind or "string"])
    put("case", draw(st.sampled_from(["lower", "upper"])))
    if kind in BOUNDS:
        put(draw(st.sampled_from(["min", "max"])), draw(st.sampled_from(BOUNDS[kind])))
    if kind in (None, "string"):
        put("regex", draw(st.sampled_from(["[a-z]+", "a|ab", "a", ".", "(?s).*", "[0-9]+"])))
        put("length", draw(st.sampled_from([{"min": 1}, {"max": 2}, {"min": 1, "max": 2}])))
        put("enum", ["a", "abc", "12"])
    if kind == "int64":
        put("enum", [0, 1, 12])


@settings(max_examples=800)
@given(cases())
def test_a_plan_comes_to_what_rows_alone_come_to(case: tuple[TransformationRules, dict[str, Any]]) -> None:
    rules, columns = case
    if check_rules(rules):
        return
    table = _table(columns)
    plan = compile_rules(rules)
    sifted = plan.apply(table)
    parts = [plan.apply(_part(table, at, 3)) for at in range(0, table.frame.height, 3)]
    assert [one for part in parts for one in part.rejects] == sifted.rejects  # wherever a file is cut
    assert pl.concat([part.frame for part in parts]).equals(sifted.frame)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*(_values(*column) for column in columns.values()), strict=True)]
    decisions = [decide(rules, row) for row in rows]
    found = sorted((one.ordinal, one.column, one.code) for one in sifted.rejects)
    assert found == sorted((at, *reason) for at, decision in enumerate(decisions) for reason in decision.reasons)
    good = [at for at, decision in enumerate(decisions) if decision.good is not None]
    assert (list(range(table.frame.height)) if sifted.rows is None else sifted.rows.to_list()) == good
    got = [{name: _json(name, value, sifted.fragments) for name, value in row.items()} for row in sifted.frame.to_dicts()]
    assert repr([_sorted(row) for row in got]) == repr([_sorted(decisions[at].good or {}) for at in good])


@settings(max_examples=400)
@given(st.text("ab()[]{}|*+?\\\\dpwxubLG&~^$.,-123:<>=!iP\n", min_size=1, max_size=12))
def test_a_pattern_that_is_taken_can_be_run(pattern: str) -> None:
    rules = TransformationRules.model_validate({"regex": {"a": pattern}})
    if not check_rules(rules):
        compile_rules(rules).apply(_table({"a": (["a", "ab1"], pl.String())}))


def _table(columns: dict[str, Any]) -> Table:
    frame = pl.DataFrame(
        [
            pl.Series(name, [value.text if isinstance(value, Json) else value for value in values], dtype=pl.String() if dtype == "json" else dtype)
            for name, (values, dtype) in columns.items()
        ]
    )
    fragments = frozenset(name for name, (_, dtype) in columns.items() if dtype == "json")
    return Table(frame, range(frame.height), lambda at: Place(at, at + 1, at, b""), fragments)


def _json(name: str, value: Any, fragments: frozenset[str]) -> Any:
    return Json(value) if value is not None and name in fragments else value


def _part(table: Table, start: int, size: int) -> Table:
    return table._replace(frame=table.frame[start : start + size], place=lambda at: table.place(start + at))


def _values(values: list[Any], dtype: Any) -> list[Any]:
    """A value that is not there in a column of JSON is null."""
    return [Json("null") if value is None and dtype == "json" else value for value in values]


def _sorted(row: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted((name, _comparable(value)) for name, value in row.items())


def _comparable(value: Any) -> Any:
    """Make equal what means the same: a time with whichever zone object, a decimal with however many zeros at its end."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.normalize() + 0 if isinstance(value, Decimal) else value
