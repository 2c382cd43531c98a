"""Pointers: what was put is got, and writing and reading a pointer are inverse."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flows.core import pointer

TOKENS = st.one_of(st.text(max_size=5), st.sampled_from(["0", "1", "-", "~", "/", "~1", "01", "a"]))
PATHS = st.lists(TOKENS, max_size=5).map(tuple)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TOKENS, inner, max_size=3),
    max_leaves=10,
)


@given(PATHS)
def test_text_and_parse_are_inverse(path: pointer.Path) -> None:
    assert pointer.parse(pointer.text(path)) == path


@given(VALUES, PATHS, VALUES)
def test_what_was_put_is_got(root: Any, path: pointer.Path, value: Any) -> None:
    try:
        root = pointer.put(root, path, value)
    except pointer.Blocked:
        return
    if "-" not in path:
        assert pointer.get(root, path) == value


@given(VALUES, PATHS)
def test_get_never_raises(root: Any, path: pointer.Path) -> None:
    pointer.get(root, path)
