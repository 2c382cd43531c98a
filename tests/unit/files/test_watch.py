"""A plan that is looked at: what it says of the columns that went through it."""

from typing import Any

import polars as pl

from connectors.files.codes import Code
from connectors.files.plan import AsRead
from connectors.files.rules import compile_rules
from connectors.files.table import Place, Table
from connectors.files.watch import MOST_COLUMNS, Watched
from flows.core.files.rejects import Reject
from flows.core.imports.codes import CODES
from flows.core.imports.damage import DAMAGE, message
from flows.core.imports.rules import TransformationRules


def table(**columns: list[Any]) -> Table:
    frame = pl.DataFrame(columns)
    return Table(frame, range(frame.height), lambda row: Place(row, 0, -1, b""))


def test_types_are_guessed_of_texts_and_told_of_all_else() -> None:
    watched = Watched(AsRead())
    watched.apply(table(a=["1", None, "2"], b=["x", "", "y"], c=[1.5, 2.0, None], d=["2024-01-01"] * 3))
    watched.apply(table(a=["3"], b=["1"], c=[1.0], d=[None]))
    told = watched.told()
    assert [(one["name"], one["type"], one["samples"][:2]) for one in told["found"]] == [
        ("a", "int64", ["1", "2"]),
        ("b", "string", ["x", ""]),
        ("c", "float64", ["1.5", "2.0"]),
        ("d", "date", ["2024-01-01", "2024-01-01"]),
    ]


def test_a_column_that_is_not_alike_everywhere_is_json() -> None:
    watched = Watched(AsRead())
    watched.apply(table(a=[1]))
    watched.apply(table(a=["x"]))
    assert watched.told()["found"][0]["type"] == watched.told()["published"][0]["type"] == "json"


def test_rules_show_in_what_is_published_and_columns_are_bounded() -> None:
    rules = TransformationRules.model_validate({"column_mapping": {"c0": "id"}, "data_types": {"id": "int64"}})
    watched = Watched(compile_rules(rules))
    watched.apply(table(**{f"c{n}": ["1"] for n in range(MOST_COLUMNS + 5)}))
    told = watched.told()
    assert told["published"][0] == {"name": "id", "type": "int64"}
    assert (len(told["found"]), len(told["published"]), told["left_off"]) == (MOST_COLUMNS, MOST_COLUMNS, 5)


def test_every_code_of_damage_has_a_sentence() -> None:
    known = {one.code for one in DAMAGE}
    tokenizer = {"unterminated_quote", "junk_after_quote", "record_too_long", "invalid_encoding", "nul_byte", "too_few_columns", "too_many_columns"}
    assert {code.value for code in Code} | tokenizer | {"bad_cell", "value_too_large", "row_too_large"} == known
    assert not known & {one.code for one in CODES}


def test_a_message_says_what_is_wrong_and_what_to_do() -> None:
    said = message(Reject(0, 1, 0, "amount", "not_int64", "int64", "x", b"x"))
    assert said.startswith("amount: is no whole number. To mend it, write digits")
    assert message(Reject(0, 1, 0, "", "nul_byte", "", "", b"\0")).startswith("The row has a NUL")
    assert message(Reject(0, 1, 0, "", "new_code", "", "", b"")) == "The row was turned away with new_code."
