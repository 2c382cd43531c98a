"""The plain part of CEL as Python closures: what the library decides in 110 µs for a body of 1 KB is decided here in one or two.

The rule that keeps both the same: a closure answers only where it is sure of the library's answer, and raises `UnsureError` everywhere else.
`tests/property/test_expressions.py` holds the two against each other.
"""

from collections.abc import Callable, Iterator
from typing import Any

from flows.core.expressions import containers, operators
from flows.core.expressions.scope import Evaluator, UnsureError
from flows.core.expressions.tokens import END, MACROS, RESERVED, Token


def build(tokens: tuple[Token, ...], variables: frozenset[str], literal: Callable[[str], Any]) -> Evaluator | None:
    """Compile an expression that the library has already accepted; None when it uses more than the plain part.

    Args:
        tokens: the expression's.
        variables: names a record gives.
        literal: reads a number or a text as the library does; `UnsureError` for kinds that are not plain.

    """
    parser = _Parser(tokens, variables, literal)
    try:
        made = parser.ternary()
    except (UnsureError, RecursionError):  # hundreds of `? :` in one another are no plain part either
        return None
    return made if parser.token == END else None


class _Parser:
    """Recursive descent over CEL's grammar, lowest precedence first; each method returns the closure of what it has read."""

    def __init__(self, tokens: tuple[Token, ...], variables: frozenset[str], literal: Callable[[str], Any]) -> None:
        self._tokens = (*tokens, END)
        self._at = 0
        self._names = variables
        self._literal = literal
        self._selection: tuple[Evaluator, Evaluator, str] | None = None  # the last `target.name`, for has()

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> str | None:
        """Pass over a sign or name when it is one of `texts`, and return it."""
        kind, text = self.token
        if text in texts and kind in ("sign", "name"):
            self._at += 1
            return text
        return None

    def _need(self, text: str) -> None:
        if self._take(text) is None:
            raise UnsureError(text)

    def ternary(self) -> Evaluator:
        condition = self._chain(("||",), lambda: self._chain(("&&",), self._relation))
        if not self._take("?"):
            return condition
        yes = self._chain(("||",), lambda: self._chain(("&&",), self._relation))
        self._need(":")
        return operators.choose(condition, yes, self.ternary())

    def _chain(self, signs: tuple[str, ...], part: Callable[[], Evaluator]) -> Evaluator:
        """Read `part (sign part)*`, grouped from the left."""
        left = part()
        while sign := self._take(*signs):
            left = _BINARY[sign](left, part())
        return left

    def _relation(self) -> Evaluator:
        return self._chain(("==", "!=", "<", "<=", ">", ">=", "in"), self._sum)

    def _sum(self) -> Evaluator:
        return self._chain(("+", "-"), lambda: self._chain(("*", "/", "%"), self._unary))

    def _unary(self) -> Evaluator:
        sign = self._take("!", "-")
        if sign is None:
            return self._member()
        if self.token.text == sign:
            raise UnsureError(sign)  # the library folds a row of them in its own way
        operand = self._member()
        return operators.negate(operand) if sign == "-" else operators.invert(operand)

    def _member(self) -> Evaluator:
        value = self._primary()
        while True:
            if self._take("."):
                kind, name = self.token
                if kind != "name":
                    raise UnsureError(name)
                self._at += 1
                if self._take("("):
                    value = self._call(value, name)
                else:
                    target, value = value, containers.select(value, name)
                    self._selection = value, target, name
            elif self._take("["):
                value = containers.at(value, self.ternary())
                self._need("]")
            else:
                return value

    def _call(self, target: Evaluator, name: str) -> Evaluator:
        if name in MACROS:
            return self._macro(target, name)
        arguments = list(self._until(")"))
        if name == "size" and not arguments:
            return containers.size(target)
        if name in operators.TEXT_TESTS and len(arguments) == 1:
            return operators.text_test(target, name, arguments[0])
        raise UnsureError(name)

    def _macro(self, target: Evaluator, name: str) -> Evaluator:
        kind, variable = self.token
        if kind != "name" or variable in RESERVED or variable in self._names:
            raise UnsureError(variable)  # shadowing is left to the library
        self._at += 1
        self._need(",")
        outer, start = self._names, self._at
        self._names = outer | {variable}
        parts = list(self._until(")"))
        self._names = outer
        if len(parts) != 1 and not (name == "map" and len(parts) == 2):  # noqa: PLR2004  map(x, condition, value)
            raise UnsureError(name)
        return containers.comprehension(name, target, variable, parts, weight=self._at - start)

    def _until(self, closing: str) -> Iterator[Evaluator]:
        """Read expressions with commas between them, and pass over the closing bracket."""
        while not self._take(closing):
            yield self.ternary()
            if not self._take(","):
                self._need(closing)
                return

    def _primary(self) -> Evaluator:
        kind, text = self.token
        self._at += 1
        if kind in ("number", "text"):
            return containers.Constant(self._literal(text))
        if kind == "name":
            return self._name(text)
        if text == "(":
            inner = self.ternary()
            self._need(")")
            return inner
        if text == "[":
            return containers.Array(list(self._until("]")))
        if text == "{":
            return self._object()
        raise UnsureError(text)

    def _name(self, name: str) -> Evaluator:
        if name in containers.CONSTANTS:
            return containers.Constant(containers.CONSTANTS[name])
        if self._take("("):
            return self._function(name)
        if name not in self._names:
            raise UnsureError(name)
        return lambda scope: scope[name]

    def _function(self, name: str) -> Evaluator:
        if name == "has":
            value = self._member()
            self._need(")")
            if self._selection is None or self._selection[0] is not value:
                raise UnsureError(name)
            return containers.has(*self._selection[1:])
        arguments = list(self._until(")"))
        if name == "size" and len(arguments) == 1:
            return containers.size(arguments[0])
        raise UnsureError(name)

    def _object(self) -> Evaluator:
        keys: list[Evaluator] = []
        values: list[Evaluator] = []
        while not self._take("}"):
            keys.append(self.ternary())
            self._need(":")
            values.append(self.ternary())
            if not self._take(","):
                self._need("}")
                break
        return containers.record(keys, values)


_BINARY = {**operators.BINARY, "in": containers.among}
