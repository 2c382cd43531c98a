"""Transforms: the event's value put together from places of the body, expressions and constants."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson

from flows.core import pointer
from flows.core.errors import FieldError
from flows.core.expressions import Expression, FailedError, MissingError, Scope, compile_expression
from flows.core.resources import Transform
from flows.core.verdict import Reason

MAX_BYTES: Final = 64 * 1024 * 1024
"""Largest value a transform may make: what a topic takes."""


class _Target(NamedTuple):
    """One place of the value, and what it is made of: a path of the body, an expression, or a value."""

    path: pointer.Path
    source: pointer.Path | Expression | None
    constant: Any = None


class Shape:
    """A compiled transform."""

    __slots__ = ("_keep_rest", "_targets", "expressions")

    def __init__(self, targets: list[_Target], *, keep_rest: bool) -> None:
        """Take the targets, each with a path that is no other's prefix; the value's fields come in their order."""
        self._targets = tuple(targets)
        self._keep_rest = keep_rest
        self.expressions = tuple(target.source for target in targets if isinstance(target.source, Expression))

    @property
    def reads_body(self) -> bool:
        """Whether the body has to be JSON."""
        return self._keep_rest or any(type(t.source) is tuple or (isinstance(t.source, Expression) and "body" in t.source.names) for t in self._targets)

    def apply(self, scope: Scope) -> bytes | tuple[Reason, ...]:
        """Make the event's value, JSON as bytes, or say everything that prevents it. May change `scope["body"]`.

        A source that is absent, also one an expression reads, leaves its target out: a schema is where fields are demanded.
        """
        reasons: list[Reason] = []
        found = [(target, value) for target in self._targets if (value := self._value(target, scope, reasons)) is not pointer.ABSENT]
        root = scope["body"] if self._keep_rest else None
        for target, value in found:
            try:
                root = pointer.put(root, target.path, value)
            except pointer.Blocked as error:
                reasons.append(_failed(target, str(error)))
        if reasons:
            return tuple(reasons)
        return _dump({} if root is None and not self._keep_rest else root)

    def _value(self, target: _Target, scope: Scope, reasons: list[Reason]) -> Any:
        if target.source is None:
            value = target.constant
        elif isinstance(target.source, Expression):
            try:
                value = target.source.evaluate(scope)
            except MissingError:
                return pointer.ABSENT
            except FailedError as error:
                reasons.append(_failed(target, str(error)))
                return pointer.ABSENT
        else:
            value = pointer.get(scope["body"], target.source)
        if type(value) is dict or type(value) is list:
            # As bytes: a part of the body stands in two places now, and what is put inside the one must not show in the other.
            dumped = _dump(value)
            if type(dumped) is tuple:
                reasons.extend(_failed(target, reason.detail) for reason in dumped)
                return pointer.ABSENT
            return orjson.Fragment(dumped)
        return value


def _failed(target: _Target, detail: str) -> Reason:
    return Reason("transform_failed", f"{pointer.text(target.path)}: {detail}", pointer.text(target.path))


def _dump(value: Any) -> bytes | tuple[Reason, ...]:
    try:
        dumped = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        return (Reason("transform_failed", f"the value cannot be written as JSON: {error}"),)
    if len(dumped) > MAX_BYTES:
        return (Reason("transform_failed", f"the value has {len(dumped)} bytes; {MAX_BYTES} are allowed"),)
    return dumped


def compile_transform(transform: Transform) -> tuple[Shape, tuple[FieldError, ...]]:
    """Compile a transform; the errors' pointers begin at the transform. With errors, the shape is not to be used."""
    errors: list[FieldError] = []
    targets: list[_Target] = []
    for name in ("mapping", "expressions", "constants"):
        for target, source in getattr(transform, name).items():
            place = pointer.text([name, target])
            try:
                targets.append(_target(name, pointer.parse(target), source))
            except ValueError as error:
                errors.append(FieldError(place, "invalid_" + name.removesuffix("s"), f"{error}"))
    errors.extend(_conflicts([target.path for target in targets]))
    if not (targets or errors or transform.keep_rest):
        errors.append(FieldError("", "empty_transform", "makes an empty object of every event; give mapping, expressions or constants"))
    return Shape(targets, keep_rest=transform.keep_rest), tuple(errors)


def _target(name: str, path: pointer.Path, source: Any) -> _Target:
    if name == "mapping":
        return _Target(path, pointer.parse(source))
    if name == "expressions":
        return _Target(path, compile_expression(source))
    orjson.dumps(source)
    return _Target(path, None, source)


def _conflicts(paths: list[pointer.Path]) -> Iterator[FieldError]:
    """Find targets that cannot all be put: one twice, one inside another, or an array that is also an object."""
    whole: set[pointer.Path] = set()
    arrays: dict[pointer.Path, bool] = {}
    for path in paths:
        if path in whole:
            yield FieldError("", "conflict", f"{pointer.text(path)} is made twice; give each target once")
        whole.add(path)
    for path in sorted(whole):
        for depth in range(len(path)):
            if depth and path[:depth] in whole:
                yield FieldError("", "conflict", f"{pointer.text(path)} stands inside {pointer.text(path[:depth])}, which is a target too; keep one")
            at = pointer.index(path[depth])
            array = path[depth] == "-" or at is not None
            if arrays.setdefault(path[:depth], array) is not array:
                where = pointer.text(path[:depth]) or "the root"
                yield FieldError("", "conflict", f"{where} would be an array and an object: {path[depth]!r} stands beside other kinds of name")
            if at is not None and at > pointer.MAX_INDEX:
                yield FieldError("", "conflict", f"{pointer.text(path)} names an array place above {pointer.MAX_INDEX}")
