"""What CEL's operators do to JSON's scalars, as closures; unsure wherever the kinds are not the ordinary ones."""

import operator
from collections.abc import Callable
from typing import Any, Final

from flows.core.expressions.scope import Evaluator, FailedError, MissingError, Scope, UnsureError, kind

Operator = Callable[[Evaluator, Evaluator], Evaluator]

EXACT: Final = 1 << 53
"""Whole numbers up to here are the same as a double."""
INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1
_NUMBERS: Final = frozenset({int, float})


def equal(left: Any, right: Any) -> bool:
    """CEL's equality of two scalars: numbers by value, other kinds never equal one another."""
    a, b = type(left), type(right)
    if a is list or a is dict or b is list or b is dict:
        raise UnsureError
    if a is b:
        return bool(left == right)
    if (a is int and b is float and -EXACT <= left <= EXACT) or (a is float and b is int and -EXACT <= right <= EXACT):
        return bool(left == right)
    if a in _NUMBERS and b in _NUMBERS:
        raise UnsureError
    return False


def _equals(left: Evaluator, right: Evaluator) -> Evaluator:
    return lambda scope: equal(left(scope), right(scope))


def _differs(left: Evaluator, right: Evaluator) -> Evaluator:
    return lambda scope: not equal(left(scope), right(scope))


def _ordered(compare: Callable[[Any, Any], bool], sign: str) -> Operator:
    def make(left: Evaluator, right: Evaluator) -> Evaluator:
        def evaluate(scope: Scope) -> bool:
            a, b = left(scope), right(scope)
            one, other = type(a), type(b)
            if one is other and (one is int or one is str or one is bool):
                return bool(compare(a, b))
            if one in _NUMBERS and other in _NUMBERS:
                if -EXACT <= a <= EXACT and -EXACT <= b <= EXACT:  # false for NaN, too
                    return bool(compare(a, b))
                raise UnsureError
            raise FailedError(f"{kind(a)} {sign} {kind(b)} cannot be decided")

        return evaluate

    return make


def both(left: Evaluator, right: Evaluator) -> Evaluator:
    """`left && right`: false where either is, even if the other has no value."""
    return _logic(left, right, decides=False)


def either(left: Evaluator, right: Evaluator) -> Evaluator:
    """`left || right`: true where either is, even if the other has no value."""
    return _logic(left, right, decides=True)


def _logic(left: Evaluator, right: Evaluator, *, decides: bool) -> Evaluator:
    def evaluate(scope: Scope) -> bool:
        failure: Exception | None = None
        value: object
        try:
            value = left(scope)
        except (MissingError, FailedError) as error:
            value, failure = None, error
        if value is decides:
            return decides
        other: object = right(scope) if failure is None else _or_failure(right, scope, failure)
        if other is decides:
            return decides
        if failure is not None:
            raise failure
        if type(value) is not bool or type(other) is not bool:
            raise UnsureError
        return other

    return evaluate


def _or_failure(right: Evaluator, scope: Scope, failure: Exception) -> Any:
    try:
        return right(scope)
    except (MissingError, FailedError):
        raise failure from None


def invert(operand: Evaluator) -> Evaluator:
    """`!operand`."""

    def evaluate(scope: Scope) -> bool:
        value = operand(scope)
        if type(value) is not bool:
            raise FailedError(f"! takes true or false, not {kind(value)}")
        return not value

    return evaluate


def negate(operand: Evaluator) -> Evaluator:
    """`-operand`."""

    def evaluate(scope: Scope) -> Any:
        value = operand(scope)
        if type(value) is float or (type(value) is int and INT_MIN < value <= INT_MAX):
            return -value
        raise UnsureError

    return evaluate


def choose(condition: Evaluator, yes: Evaluator, no: Evaluator) -> Evaluator:
    """`condition ? yes : no`."""

    def evaluate(scope: Scope) -> Any:
        value = condition(scope)
        if type(value) is not bool:
            raise FailedError(f"? takes true or false, not {kind(value)}")
        return yes(scope) if value else no(scope)

    return evaluate


def _arithmetic(apply: Callable[[Any, Any], Any], *, joins: bool = False) -> Operator:
    def make(left: Evaluator, right: Evaluator) -> Evaluator:
        def evaluate(scope: Scope) -> Any:
            a, b = left(scope), right(scope)
            one = type(a)
            if one is not type(b):
                raise UnsureError
            if one is int:
                return _whole(a, b, apply(a, b))
            if one is float:
                return apply(a, b)
            if joins and (one is str or one is list):
                scope.spend(len(a) + len(b) >> (6 if one is str else 0))  # 64 characters are copied as fast as one element
                return apply(a, b)
            raise UnsureError

        return evaluate

    return make


def _division(whole: Callable[[int, int], int], real: Callable[[float, float], float] | None = None) -> Operator:
    """Make `/` or `%`: whole numbers are cut towards zero, where Python cuts towards minus infinity."""

    def make(left: Evaluator, right: Evaluator) -> Evaluator:
        def evaluate(scope: Scope) -> Any:
            a, b = left(scope), right(scope)
            if type(a) is int and type(b) is int and b != 0:
                return _whole(a, b, whole(a, b))
            if type(a) is float and type(b) is float and b != 0 and real is not None:
                return real(a, b)
            raise UnsureError

        return evaluate

    return make


def _whole(a: int, b: int, result: int) -> int:
    if INT_MIN <= a <= INT_MAX and INT_MIN <= b <= INT_MAX and INT_MIN <= result <= INT_MAX:
        return result
    raise UnsureError


TEXT_TESTS: Final[dict[str, Callable[[str, str], bool]]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}


def text_test(target: Evaluator, name: str, argument: Evaluator) -> Evaluator:
    """`target.startsWith(argument)` and its like."""
    test = TEXT_TESTS[name]

    def evaluate(scope: Scope) -> bool:
        value, wanted = target(scope), argument(scope)
        if type(value) is not str or type(wanted) is not str:
            raise FailedError(f"{name}() takes two texts, not {kind(value)} and {kind(wanted)}")
        return test(value, wanted)

    return evaluate


BINARY: Final[dict[str, Operator]] = {
    "||": either,
    "&&": both,
    "==": _equals,
    "!=": _differs,
    "<": _ordered(operator.lt, "<"),
    "<=": _ordered(operator.le, "<="),
    ">": _ordered(operator.gt, ">"),
    ">=": _ordered(operator.ge, ">="),
    "+": _arithmetic(operator.add, joins=True),
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _division(lambda a, b: abs(a) // abs(b) * (1 if (a < 0) is (b < 0) else -1), operator.truediv),
    "%": _division(lambda a, b: abs(a) % abs(b) * (-1 if a < 0 else 1)),
}
"""Sign to operator; `in` is among the containers."""
