"""The quick path of expressions gives exactly what the CEL library gives."""

from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core.expressions import Scope, compile_expression
from flows.core.expressions.scope import UnsureError

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1]),
    st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.0, 1e300, 9007199254740992.0]),
    st.sampled_from(["", "a", "b", "ab", "é", "type"]),
)
NAMES = st.sampled_from(["a", "b", "c", "type"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)
BODIES = st.dictionaries(NAMES, VALUES, max_size=4) | VALUES

LITERALS = st.sampled_from(
    ["1", "0", "2", "-1", "1.5", "2.0", "0x2", "'a'", '"ab"', "''", "'\\u00e9'", "true", "false", "null", "9007199254740993", "2u", "b'a'"]
)


def extend(inner: st.SearchStrategy[str], elements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Build larger expressions out of smaller ones."""
    binary = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "&&", "||", "&&", "||", "+", "-", "*", "/", "%"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("{} {} {}".format, inner, binary, inner),
        st.builds("!({})".format, inner),
        st.builds("-({})".format, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({}).{}".format, inner, NAMES),
        st.builds("has(({}).{})".format, inner, NAMES),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{'a': {}, 'b': {}}}".format, inner, inner),
        st.builds("size({})".format, inner),
        st.builds("({}).size()".format, inner),
        st.builds("({}).{}({})".format, inner, st.sampled_from(["startsWith", "endsWith", "contains"]), inner),
        st.builds("({}).{}(x, {})".format, inner, st.sampled_from(["all", "exists", "exists_one", "filter", "map"]), elements),
    )


PLACES = st.sampled_from(["body", "body.a", "body.b", "body.c", "body.a.b", "body.type", "type", "body['a']", "body.c[0]", "headers.a"])
ELEMENTS = st.recursive(
    st.sampled_from(["x", "x.a", "x.b", "1", "'a'", "true", "body.a", "has(x.a)"]), lambda inner: extend(inner, st.just("true")), max_leaves=3
)
SOURCES = st.recursive(PLACES | LITERALS, lambda inner: extend(inner, ELEMENTS), max_leaves=6)


def scope(body: Any) -> Scope:
    """Give the variables of a record with this body."""
    return Scope({"body": body, "type": "a", "headers": {"a": "b"}, "id": "1", "endpoint": "e", "received_at": "2030-01-01T00:00:00Z"})


def outcome(run: Any) -> tuple[str, Any]:
    """Say how an evaluation ended, with the value's kinds made visible: 1, 1.0 and true are three things."""
    try:
        return "value", repr(ordered(run()))
    except UnsureError:
        return "unsure", None
    except Exception:  # noqa: BLE001  the library raises many classes; which of two errors comes first is not promised
        return "none", None


def ordered(value: Any) -> Any:
    """Sort the keys of objects: the library keeps no order."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=1000)
@given(SOURCES, BODIES)
def test_closures_agree_with_the_library(source: str, body: Any) -> None:
    """A value is the same value, and where one has none the other has none."""
    try:
        compiled = compile_expression(source)
    except ValueError:
        return
    quick = compiled.quick
    if quick is None:
        return
    ours = outcome(lambda: quick(scope(body)))
    if ours[0] == "unsure":
        return
    theirs = outcome(lambda: cel.compile(source).execute(dict(scope(body))))
    assert ours == theirs


@pytest.mark.parametrize("source", ["body.amount > 100", "has(body.a) && body.a in ['x', 'y']", "body.items.exists(i, i.qty > 3)"])
def test_plain_expressions_take_the_quick_path(source: str) -> None:
    """What people write most is what is quick."""
    assert compile_expression(source).quick is not None
