"""What CEL does to JSON's objects and lists, as closures: select, index, `in`, literals and comprehensions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flows.core.expressions.operators import equal
from flows.core.expressions.scope import Evaluator, FailedError, MissingError, Scope, UnsureError, kind

CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value; a class of its own, so that a list of constants can be looked up in a set."""

    value: Any

    def __call__(self, scope: Scope) -> Any:  # noqa: ARG002  an evaluator's form
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Array:
    """`[a, b, c]`."""

    parts: list[Evaluator]

    def __call__(self, scope: Scope) -> list[Any]:
        """Return a new list."""
        return [part(scope) for part in self.parts]


def select(target: Evaluator, name: str) -> Evaluator:
    """`target.name`."""

    def evaluate(scope: Scope) -> Any:
        value = target(scope)
        if type(value) is not dict:
            raise _not_an_object(value, name)
        try:
            return value[name]
        except KeyError:
            raise MissingError(name) from None

    return evaluate


def has(target: Evaluator, name: str) -> Evaluator:
    """`has(target.name)`."""

    def evaluate(scope: Scope) -> bool:
        value = target(scope)
        if type(value) is not dict:
            raise _not_an_object(value, name)
        return name in value

    return evaluate


def _not_an_object(value: Any, name: str) -> FailedError:
    return FailedError(f"{name!r} is looked for in {kind(value)}, not in an object")


def at(target: Evaluator, place: Evaluator) -> Evaluator:
    """`target[place]`."""

    def evaluate(scope: Scope) -> Any:
        value, key = target(scope), place(scope)
        if type(value) is dict and type(key) is str:
            if key not in value:
                raise MissingError(key)
            return value[key]
        if type(value) is list and type(key) is int:
            if not 0 <= key < len(value):
                raise MissingError(str(key))
            return value[key]
        raise UnsureError

    return evaluate


def among(left: Evaluator, right: Evaluator) -> Evaluator:
    """`left in right`; a list of constant texts is looked up at once, however long it is."""
    texts = _constant_texts(right)

    def evaluate(scope: Scope) -> bool:
        value = left(scope)
        if texts is not None:
            return type(value) is str and value in texts
        held = right(scope)
        if type(held) is dict and type(value) is str:
            return value in held
        if type(held) is not list:
            raise UnsureError
        scope.spend(len(held))
        return any(equal(value, item) for item in held)

    return evaluate


def _constant_texts(right: Evaluator) -> frozenset[str] | None:
    parts = right.parts if isinstance(right, Array) else []
    texts = [part.value for part in parts if isinstance(part, Constant) and type(part.value) is str]
    return frozenset(texts) if texts and len(texts) == len(parts) else None


def size(target: Evaluator) -> Evaluator:
    """`size(target)`; of a text, as the library counts it: bytes of UTF-8."""

    def evaluate(scope: Scope) -> int:
        value = target(scope)
        if type(value) is str:
            return len(value) if value.isascii() else len(value.encode())
        if type(value) is list or type(value) is dict:
            return len(value)
        raise UnsureError

    return evaluate


def record(keys: Sequence[Evaluator], values: Sequence[Evaluator]) -> Evaluator:
    """`{key: value}`, keys in the order they are written."""

    def evaluate(scope: Scope) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in zip(keys, values, strict=True):
            name = key(scope)
            if type(name) is not str or name in made:
                raise UnsureError
            made[name] = value(scope)
        return made

    return evaluate


def comprehension(name: str, target: Evaluator, variable: str, parts: list[Evaluator], *, weight: int) -> Evaluator:
    """`target.map(variable, part)` and its like; `weight` is what one element costs."""
    run = _MACROS[name]
    condition, value = (parts[0], parts[-1]) if len(parts) > 1 else (None, parts[0])

    def evaluate(scope: Scope) -> Any:
        held = target(scope)
        if type(held) is not list and type(held) is not dict:
            raise FailedError(f"{name}() goes through a list or an object, not {kind(held)}")
        scope.spend(len(held) * weight)
        try:
            return run(_elements(held, variable, scope, condition), value, scope)
        finally:
            scope.pop(variable, None)

    return evaluate


def _elements(held: Any, variable: str, scope: Scope, condition: Evaluator | None) -> Iterator[Any]:
    for element in held:
        scope[variable] = element
        if condition is None or _truth(condition(scope)):
            yield element


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise UnsureError
    return value


def _exists(elements: Iterator[Any], test: Evaluator, scope: Scope) -> bool:
    return any(_truth(test(scope)) for _ in elements)


def _all(elements: Iterator[Any], test: Evaluator, scope: Scope) -> bool:
    return all(_truth(test(scope)) for _ in elements)


def _exists_one(elements: Iterator[Any], test: Evaluator, scope: Scope) -> bool:
    return sum(_truth(test(scope)) for _ in elements) == 1


def _filter(elements: Iterator[Any], test: Evaluator, scope: Scope) -> list[Any]:
    return [element for element in elements if _truth(test(scope))]


def _map(elements: Iterator[Any], value: Evaluator, scope: Scope) -> list[Any]:
    return [value(scope) for _ in elements]


_MACROS: Final[dict[str, Callable[[Iterator[Any], Evaluator, Scope], Any]]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
}
