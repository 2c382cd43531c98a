"""What an expression is evaluated in, and the three ways it can have no value."""

from collections.abc import Callable
from typing import Any, Final

BUDGET: Final = 500_000
"""Elements a record's comprehensions may go through, times the tokens in each one's body: about 0.1 s."""


class UnsureError(Exception):
    """The closures leave this to the library."""


class MissingError(Exception):
    """A field or an array place that is not there was read."""


class FailedError(Exception):
    """The expression has no value for this record; the text says why."""


class Scope(dict[str, Any]):
    """The variables of one record. `late` makes those that are seldom read; `budget` is what comprehensions may still go through."""

    __slots__ = ("body_bytes", "budget", "late")

    def __init__(self, values: dict[str, Any], *, body_bytes: int = 0, late: Callable[[str], Any] | None = None) -> None:
        """Take the values at hand, the body's size in bytes, and what makes the others."""
        super().__init__(values)
        self.body_bytes = body_bytes
        self.late = late
        self.budget = BUDGET

    def __missing__(self, name: str) -> Any:
        """Make a variable on its first use."""
        if self.late is None:
            raise KeyError(name)
        value = self[name] = self.late(name)
        return value

    def spend(self, steps: int) -> None:
        """Account for work that grows with the record.

        Raises:
            FailedError: the record's budget is used up.

        """
        self.budget -= steps
        if self.budget < 0:
            raise FailedError("the lists it goes through are too long for it")


Evaluator = Callable[[Scope], Any]
"""A compiled part of an expression."""


def kind(value: Any) -> str:
    """Name a value's kind in words."""
    return _KINDS.get(type(value), "null")


_KINDS: Final = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
