"""What `transformation_rules` may say, and what they make of the rows of a table."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from connectors.files.plan import Sifted
from connectors.files.rules import compile_rules
from connectors.files.table import Place, Table
from flows.core.errors import InvalidFields
from flows.core.imports.check import check_rules
from flows.core.imports.codes import CODES
from flows.core.imports.rules import TransformationRules
from ingress.fields import errors_of
from ingress.jobs import rule_faults

EXAMPLE = {
    "column_mapping": {"customer_id": "id", "customer_name": "name"},
    "data_types": {"id": "int64", "created_at": "datetime", "price": {"type": "decimal", "scale": 2, "decimal_comma": True, "thousands_separator": "."}},
    "trim": True,
    "case": {"email": "lower"},
    "null_values": ["", "n/a"],
    "defaults": {"country": "DE"},
    "constants": {"source": "crm"},
    "required": ["id"],
    "regex": {"email": "[^@ ]+@[^@ ]+"},
    "min": {"price": 0},
    "length": {"name": {"max": 80}},
    "enum": {"country": ["DE", "FR"]},
    "unique": ["id"],
    "expression": {"filter": "row.country != 'FR'", "columns": {"label": "row.name + ' (' + row.country + ')'"}, "checks": {"named": "size(row.name) > 0"}},
    "drop_columns": ["note"],
}


def rules(**said: Any) -> TransformationRules:
    return TransformationRules.model_validate(said)


def table(columns: dict[str, Any], fragments: Sequence[str] = ()) -> Table:
    frame = pl.DataFrame(columns)
    return Table(frame, range(frame.height), lambda at: Place(at + 100, at + 2, at * 10, b"row %d" % at), frozenset(fragments))


def sift(said: dict[str, Any], columns: dict[str, Any], fragments: Sequence[str] = ()) -> Sifted:
    return compile_rules(rules(**said)).apply(table(columns, fragments))


def reasons(said: dict[str, Any], columns: dict[str, Any], fragments: Sequence[str] = ()) -> list[tuple[int, str, str]]:
    return [(one.ordinal - 100, one.column, one.code) for one in sift(said, columns, fragments).rejects]


def wrong(**said: Any) -> list[tuple[str, str]]:
    found = check_rules(rules(**said))
    assert all(error.detail for error in found)
    return [(error.pointer, error.code) for error in found]


def test_the_example_of_the_docs_and_the_seeds_rules_are_fine_and_come_back_as_they_were_given() -> None:
    seed = {"column_mapping": {"customer_id": "id", "customer_name": "name"}, "data_types": {"id": "int64", "created_at": "datetime"}}
    assert wrong(**EXAMPLE) == wrong(**seed) == []
    assert rules(**seed).model_dump(mode="json", exclude_unset=True) == seed


def test_everything_that_is_wrong_is_said_at_once_with_its_place() -> None:
    found = wrong(
        column_mapping={"a": "x", "b": "x"},
        data_types={"t": {"type": "date", "formats": ["%d.%m.%Y", "%H:%M"]}, "z": {"type": "datetime", "timezone": "Mars/Base"}, "n": "int64"},
        thousands_separator=".",
        defaults={"n": "7", "free": 1},
        min={"free": 1, "n": "low"},
        max={"z": "tomorrow"},
        regex={"r": "(", "look": "(?=a)", "big": "a{1000}{1000}", "comment": "(?x) a # b", "n": "1"},
        enum={"n": ["1"]},
        expression={"filter": "row.a >", "checks": {"c": "body.a"}},
    )
    assert found == [
        ("/column_mapping/b", "conflict"),
        ("/thousands_separator", "conflict"),
        ("/data_types/t/formats/1", "invalid_format"),
        ("/data_types/z/timezone", "unknown_timezone"),
        ("/defaults/n", "wrong_default"),
        ("/defaults/free", "wrong_default"),
        ("/min/free", "not_of_type"),
        ("/min/n", "wrong_bound"),
        ("/max/z", "wrong_bound"),
        ("/regex/n", "not_of_type"),
        ("/enum/n/0", "wrong_choice"),
        *((f"/regex/{name}", "invalid_regex") for name in ("r", "look", "big", "comment")),
        ("/expression/filter", "invalid_expression"),
        ("/expression/checks/c", "invalid_expression"),
    ]
    assert wrong(data_types={"n": "int64"}, min={"n": 2}, max={"n": 1}) == [("/max/n", "empty_range")]
    assert wrong(expression={"filter": "1 + 1", "checks": {"c": "'a'"}, "columns": {"two": "1 + 1"}}) == [
        ("/expression/filter", "invalid_expression"),
        ("/expression/checks/c", "invalid_expression"),
    ]
    with pytest.raises(InvalidFields, match="/regex/r is no pattern of Rust's regex syntax: unclosed group"):
        compile_rules(rules(regex={"r": "("}))


@pytest.mark.parametrize(
    "form", ["%Y", "%Y-%m-%d %H", "%Y-%m-%d %H:%M %p", "%Y-%m-%d %I:%M", "%Y-%y-%m-%d", "%Y-%m-%d %Q", "%Y-%m-%d %H:%M.%f", "%Y-%m-%d\t%H:%M", "%"]
)
def test_a_form_of_times_that_says_too_little_or_too_much_is_refused(form: str) -> None:
    assert wrong(data_types={"t": {"type": "datetime", "formats": [form]}}) == [("/data_types/t/formats/0", "invalid_format")]


def test_a_misspelt_field_is_named_with_the_near_one() -> None:
    body = {
        "data_types": {"a": {"type": "date", "format": ["%Y"]}, "b": "int46"},
        "unique": [{"colums": ["a"]}],
        "requierd": ["a"],
        "length": {"c": {"mx": 1}},
        "qqq": 1,
    }
    with pytest.raises(ValidationError) as caught:
        rules(**body)
    found = errors_of([{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()], body, TransformationRules)
    said = {error.pointer: error.detail for error in found}
    assert said["/data_types/a/format"] == "there is no field format; did you mean formats?"
    assert said["/unique/0/colums"] == "there is no field colums; did you mean columns?"
    assert said["/requierd"] == "there is no field requierd; did you mean required?"
    assert all(name in said["/qqq"] for name in TransformationRules.model_fields), "which keys there are is not said"
    assert said["/length/c/mx"].startswith("there is no field mx; did you mean ")
    assert [detail for place, detail in said.items() if place.startswith("/data_types/b")] == [
        "give 'int64', 'float64', 'decimal', 'string', 'bool', 'date', 'datetime' or 'json'"
    ]


def test_a_type_that_is_left_out_is_told_with_those_there_are() -> None:
    (found,) = rule_faults({"data_types": {"a": {"scale": 2}}})
    assert (found.pointer, found.code) == ("/transformation_rules/data_types/a/type", "missing")
    kinds = "'int64', 'float64', 'decimal', 'string', 'bool', 'date', 'datetime', 'json'"
    assert found.detail == f"give this field: What values are to be. It is one of {kinds}."


def test_each_code_is_there_once_and_says_what_to_do() -> None:
    assert len({code.code for code in CODES}) == len(CODES) > 20
    assert all(code.sentence and code.remedy for code in CODES)


def test_a_whole_example() -> None:
    columns = {
        "customer_id": ["1", "x", "1", "4", ""],
        "customer_name": [" Ann ", "Bob", "Cy", "Di", "Ed"],
        "created_at": ["2024-02-29T10:00:00+02:00", "2024-02-30", "2024-01-01", "2024-01-01", "n/a"],
        "price": ["1.234,5", "1,234", "2", "-1", "5"],
        "country": [None, "DE", "DE", "FR", "XX"],
        "email": ["A@B.C", "no", "c@d", "d@e", "e@f"],
        "note": ["", "", "", "", ""],
    }
    sifted = sift(EXAMPLE, columns)
    assert sifted.frame.to_dicts() == [
        {
            "id": 1, "name": "Ann", "created_at": datetime(2024, 2, 29, 8, tzinfo=UTC), "price": Decimal("1234.50"), "country": "DE",
            "email": "a@b.c", "source": "crm", "label": '"Ann (DE)"',
        },
        {
            "id": 1, "name": "Cy", "created_at": datetime(2024, 1, 1, tzinfo=UTC), "price": Decimal("2.00"), "country": "DE",
            "email": "c@d", "source": "crm", "label": '"Cy (DE)"',
        },
    ]  # fmt: skip  # unique is for `marks`, which sees the whole portion
    assert sifted.fragments == {"label"}
    assert sifted.skipped == 1  # the row of FR, although its price is wrong: the filter comes before checks
    assert sifted.rows is not None
    assert sifted.rows.to_list() == [0, 2]
    assert sifted.whole.columns[-2:] == ["source", "label"]
    assert "note" in sifted.whole.columns
    assert [(one.ordinal, one.line, one.offset, one.column, one.code, one.rule, one.value, one.raw) for one in sifted.rejects] == [
        (101, 3, 10, "id", "not_int64", 'data_types: "int64"', "x", b"row 1"),
        (101, 3, 10, "created_at", "not_datetime", 'data_types: "datetime"', "2024-02-30", b"row 1"),
        (101, 3, 10, "price", "too_precise", 'data_types: {"decimal_comma":true,"thousands_separator":".","type":"decimal","scale":2}', "1,234", b"row 1"),
        (101, 3, 10, "email", "no_match", 'regex: "[^@ ]+@[^@ ]+"', "no", b"row 1"),
        (104, 6, 40, "id", "missing", "required", "", b"row 4"),
        (104, 6, 40, "country", "not_one_of", 'enum: ["DE","FR"]', "XX", b"row 4"),
    ]


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("int64", " 12 ", "not_int64"),
        ("int64", "1_000", "not_int64"),
        ("int64", "0x1f", "not_int64"),
        ("int64", "٣", "not_int64"),  # a digit, but not one of ASCII
        ("int64", "9223372036854775808", "out_of_range"),
        ("float64", "nan", "not_float64"),
        ("float64", "inf", "not_float64"),
        ("float64", "1e999", "out_of_range"),
        ("float64", "1,5", "not_float64"),
        ("decimal", "1e5", "not_decimal"),
        ("decimal", "9" * 39, "out_of_range"),
        ("bool", "2", "not_bool"),
        ("date", "2024-02-30", "not_date"),
        ("date", "2024-2-9", "not_date"),
        ("datetime", "2024-02-29T10:00:60Z", "not_datetime"),
        ("json", "{", "not_json"),
    ],
)
def test_a_text_that_is_no_value_of_its_type(kind: str, value: str, code: str) -> None:
    assert reasons({"data_types": {"a": kind}}, {"a": [value, None]}) == [(0, "a", code)]


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        ("int64", "-9223372036854775808", -(2**63)),
        ("float64", "1E+5", 1e5),
        ("decimal", "+00" + "9" * 38, "9" * 38),
        ("decimal", "1.50", "1.50"),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("datetime", "2024-02-29 10:00:00.123456789", datetime(2024, 2, 29, 10, 0, 0, 123456, UTC)),
        ("json", '{"a":\n1}', '{"a": 1}'),
        ("int64", "", None),
        ("string", "", ""),
    ],
)
def test_a_text_that_is_a_value_of_its_type(kind: str, value: str, becomes: Any) -> None:
    assert sift({"data_types": {"a": kind}}, {"a": [value]}).frame["a"].to_list() == [becomes]


def test_hours_that_clocks_skip_or_show_twice() -> None:
    berlin = {"type": "datetime", "timezone": "Europe/Berlin"}
    texts = {"a": ["2024-03-31T02:30:00", "2024-10-27T02:30:00", "2024-10-27T02:30:00+01:00"]}
    assert reasons({"data_types": {"a": berlin}}, texts) == [(0, "a", "nonexistent_time"), (1, "a", "ambiguous_time")]
    for which, hour in (("earliest", 0), ("latest", 1)):
        found = sift({"data_types": {"a": {**berlin, "ambiguous_time": which}}}, texts).frame["a"].to_list()
        assert found == [datetime(2024, 10, 27, hour, 30, tzinfo=UTC), datetime(2024, 10, 27, 1, 30, tzinfo=UTC)]


def test_a_text_of_a_json_column_is_told_as_what_it_stands_for() -> None:
    found = sift({"data_types": {"a": "int64"}}, {"a": ['"x"', '"a\\"b"', "[1]", "1.5"]}, fragments=["a"])
    assert [one.value for one in found.rejects] == ["x", 'a"b', "[1]", "1.5"]


def test_a_pattern_has_to_match_the_whole_text_and_never_backtracks() -> None:
    assert reasons({"regex": {"a": "a|ab"}}, {"a": ["a", "ab", "b", "xa", "a\n"]}) == [(at, "a", "no_match") for at in (2, 3, 4)]
    assert reasons({"regex": {"a": "(a+)+b"}}, {"a": ["a" * 50_000]}) == [(0, "a", "no_match")]


def test_what_had_a_type_in_the_file_is_cast_value_by_value() -> None:
    said = {"data_types": {"a": "int64"}}
    assert sift(said, {"a": ['"5"', "5.0", "null", "6"]}, ["a"]).frame["a"].to_list() == [5, 5, None, 6]
    assert reasons(said, {"a": ["5.5", "true", "[5]", '"\\ud800"', "1e3"]}, ["a"]) == [(at, "a", "not_int64") for at in range(5)]
    assert reasons(said, {"a": [1.0, 1.5, 1e300, float("nan")]}) == [(at, "a", "not_int64") for at in (1, 2, 3)]
    assert reasons(said, {"a": pl.Series([2**63, 1], dtype=pl.UInt64)}) == [(0, "a", "out_of_range")]
    texts = {"a": pl.Series([[1, 2], None]), "b": [date(2024, 2, 29), None], "c": [datetime(2024, 2, 29, 10), None], "d": [Decimal("1.50"), None]}  # noqa: DTZ001  a file's own
    sifted = sift({"data_types": {"a": "json", "b": "datetime", "c": "string", "d": "decimal"}}, texts)
    assert sifted.frame.rows() == [("[1,2]", datetime(2024, 2, 29, tzinfo=UTC), "2024-02-29T10:00:00", "1.50"), (None, None, None, None)]
    assert reasons({"data_types": {"a": "string", "c": "date"}}, texts) == [(0, "a", "not_text"), (0, "c", "not_date")]
    assert reasons({"regex": {"a": "x"}}, {"a": ['"x"', "5", '"y"', "null"]}, ["a"]) == [(1, "a", "not_text"), (2, "a", "no_match")]


def test_columns_that_are_not_there() -> None:
    sifted = sift({"defaults": {"b": 1}, "data_types": {"b": "int64"}, "required": ["c"]}, {"a": ["x"]})
    assert [(one.column, one.code) for one in sifted.rejects] == [("c", "missing")]
    assert sift({"defaults": {"b": 1}, "data_types": {"b": "int64"}}, {"a": ["x", "y"]}).frame["b"].to_list() == [1, 1]
    assert reasons({"column_mapping": {"a": "b"}}, {"a": ["x"], "b": ["y"]}) == [(0, "b", "column_conflict")]
    assert sift({"column_mapping": {"a": "b", "b": "a"}}, {"a": ["x"], "b": ["y"]}).frame.to_dicts() == [{"b": "x", "a": "y"}]
    assert sift(EXAMPLE, {"customer_id": pl.Series([], dtype=pl.String)}).frame.height == 0


def test_expressions_fail_for_their_row_only() -> None:
    said = {
        "data_types": {"n": "int64", "half": "float64"},
        "expression": {"columns": {"half": "double(row.n) / 2.0", "more": "row.half + 1.0"}, "checks": {"even": "row.n % 2 == 0"}},
        "max": {"half": 3},
    }
    sifted = sift(said, {"n": ["2", "x", "3", "", "8"]})
    assert sifted.frame.to_dicts() == [{"n": 2, "half": 1.0, "more": "2.0"}]
    assert [(one.ordinal - 100, one.column, one.code) for one in sifted.rejects] == [
        (1, "n", "not_int64"),
        (2, "", "check_failed"),
        (3, "half", "expression_failed"),
        (3, "more", "expression_failed"),
        (3, "", "expression_failed"),
        (4, "half", "too_large"),
    ]


@pytest.mark.parametrize("said", [{"column_mapping": {"id": "a\0b"}}, {"column_mapping": {"a\x07": "id"}}, {"required": ["a\0b"]}, {"constants": {"\x1b": 1}}])
def test_names_of_columns_have_no_control_characters(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as raised:
        TransformationRules.model_validate(said)
    assert [error.detail for error in errors_of(raised.value.errors(), said, TransformationRules)] == [
        "give text without control characters other than tabs and line breaks"
    ]
