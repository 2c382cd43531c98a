"""JSON pointers: RFC 6901's own examples, and building values place by place."""

from typing import Any

import pytest

from flows.core import pointer

DOCUMENT = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "m~n": 8, " ": 7, "null": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [("", DOCUMENT), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/m~0n", 8), ("/ ", 7), ("/null", None)],
)
def test_reads_what_the_rfc_says(text: str, value: Any) -> None:
    assert pointer.get(DOCUMENT, pointer.parse(text)) == value


@pytest.mark.parametrize("text", ["/foo/2", "/foo/-", "/foo/01", "/foo/x", "/nope", "/null/x", "/foo/0/x", "/foo/99999999999999999999"])
def test_what_is_not_there_is_absent(text: str) -> None:
    assert pointer.get(DOCUMENT, pointer.parse(text)) is pointer.ABSENT


def test_a_pointer_begins_with_a_slash() -> None:
    with pytest.raises(ValueError, match="must begin with /"):
        pointer.parse("foo")


def put_all(*pairs: tuple[str, Any], root: Any = None) -> Any:
    for text, value in pairs:
        root = pointer.put(root, pointer.parse(text), value)
    return root


def test_makes_what_is_missing_on_the_way() -> None:
    assert put_all(("/a/b/c", 1), ("/a/d", 2)) == {"a": {"b": {"c": 1}, "d": 2}}
    assert put_all(("/items/0/id", 1), ("/items/2/id", 3), ("/items/-", 4)) == {"items": [{"id": 1}, None, {"id": 3}, 4]}
    assert put_all(("/0", "a"), ("/1", "b")) == ["a", "b"]
    assert put_all(("", 5)) == 5


def test_a_null_on_the_way_is_replaced() -> None:
    assert put_all(("/a/b", 1), root={"a": None}) == {"a": {"b": 1}}


def test_an_object_takes_numbers_as_names() -> None:
    assert put_all(("/a/0", 1), root={"a": {}}) == {"a": {"0": 1}}


@pytest.mark.parametrize(
    ("root", "text", "says"),
    [
        ({"a": 1}, "/a/b", "/a is a number"),
        ({"a": "x"}, "/a/b/c", "/a is a text"),
        ([1], "/x", "the root is an array"),
        ({"a": []}, "/a/256", "no place in it"),
        ({"a": [True]}, "/a/0/x", "/a/0 is true or false"),
    ],
)
def test_nothing_is_put_over_what_stands_in_the_way(root: Any, text: str, says: str) -> None:
    with pytest.raises(pointer.Blocked, match=says):
        put_all((text, 1), root=root)
