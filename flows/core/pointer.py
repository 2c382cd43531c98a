"""JSON pointers (RFC 6901): read a place in a value, and build a value place by place."""

from typing import Any, Final

Path = tuple[str, ...]
ABSENT: Final = object()
"""What `get` answers where nothing stands; JSON's null is a value of its own."""
MAX_INDEX: Final = 255
"""Highest array place a target may name: a value is never stretched further than this."""


class Blocked(ValueError):
    """A value cannot be put where the path leads, since something else stands in the way."""


def parse(pointer: str) -> Path:
    """Split a pointer into its unescaped tokens; the empty pointer, the whole value, has none.

    Raises:
        ValueError: the text is no pointer.

    """
    if not pointer:
        return ()
    if not pointer.startswith("/"):
        msg = f"{pointer!r} is no JSON pointer: it must begin with /"
        raise ValueError(msg)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))


def text(path: Path | list[str | int]) -> str:
    """Join tokens into a pointer: the inverse of `parse`."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in path)


def index(token: str) -> int | None:
    """Read a token as an array index; None for anything but digits without a leading zero."""
    if token.isascii() and token.isdecimal() and (token == "0" or token[0] != "0") and len(token) < 10:  # noqa: PLR2004  no array is longer
        return int(token)
    return None


def get(value: Any, path: Path) -> Any:
    """Return what stands at `path`, or `ABSENT`; never raises, whatever `value` is."""
    for token in path:
        if type(value) is dict:
            value = value.get(token, ABSENT)
        elif type(value) is list:
            at = index(token)
            value = value[at] if at is not None and at < len(value) else ABSENT
        else:
            return ABSENT
    return value


def put(root: Any, path: Path, value: Any) -> Any:
    """Put `value` at `path` under `root`, changing `root` in place, and return the new root.

    What is missing on the way is made: an array where the next token is a number or `-` (its end), else an object. An array is filled up with nulls to
    reach an index, to `MAX_INDEX` at most.

    Raises:
        Blocked: a scalar, or a container of the other kind, stands in the way; `root` may have grown empty containers by then.

    """
    if not path:
        return value
    if root is None:
        root = _container(path[0])
    here = root
    for depth, token in enumerate(path[:-1]):
        there = _child(here, token, path, depth)
        if there is ABSENT or there is None:
            there = _container(path[depth + 1])
            _store(here, token, there, path, depth)
        here = there
    _store(here, path[-1], value, path, len(path) - 1)
    return root


def _container(token: str) -> dict[str, Any] | list[Any]:
    return [] if token == "-" or index(token) is not None else {}


def _child(here: Any, token: str, path: Path, depth: int) -> Any:
    if type(here) is dict or type(here) is list:
        return get(here, (token,))
    raise Blocked(_in_the_way(here, path, depth))


def _store(here: Any, token: str, value: Any, path: Path, depth: int) -> None:
    if type(here) is dict:
        here[token] = value
        return
    if type(here) is not list:
        raise Blocked(_in_the_way(here, path, depth))
    at = len(here) if token == "-" else index(token)
    if at is None or at > max(MAX_INDEX, len(here)):
        msg = f"{text(path[:depth]) or 'the root'} is an array, and {token!r} is no place in it (0 to {MAX_INDEX}, or - for its end)"
        raise Blocked(msg)
    here.extend([None] * (at + 1 - len(here)))
    here[at] = value


def _in_the_way(here: Any, path: Path, depth: int) -> str:
    return f"{text(path[:depth]) or 'the root'} is {_KIND.get(type(here), 'a value')}, so nothing can be put at {text(path)}"


_KIND: Final = {str: "a text", int: "a number", float: "a number", bool: "true or false"}
