"""CEL expressions over a record: bounded when they are defined, quick where they are plain, never a danger to the process that runs them.

An expression is first tried by closures (`closures`) that decide what is plain at a tenth of the library's cost. Whatever they are not sure
of, they leave to the library, so that the library's answer is always the answer.
"""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from flows.core.expressions import closures, tokens
from flows.core.expressions.library import Program, compile_source
from flows.core.expressions.scope import Evaluator, FailedError, MissingError, Scope, UnsureError
from flows.core.foreign import guarded

VARIABLES: Final = frozenset({"body", "type", "id", "endpoint", "headers", "received_at"})
LARGE: Final = frozenset({"body", "row"})
"""Variables that are as large as what came in."""
FUNCTIONS: Final = frozenset(
    "size contains startsWith endsWith matches string int uint double bytes timestamp duration type dyn "
    "getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds".split()
)
LIBRARY_BODY_BYTES: Final = 512 * 1024
"""Largest body handed to the library: turning one into its values takes about 0.15 s a MiB."""
LIBRARY_WORK: Final = 8_000_000
"""Most work the library is given: comprehensions times bytes of body times its longest list (once for each level of nesting). Its `filter` copies all it
has found so far with each element, so that this takes 0.1 s, and 10,000 objects took 75 s."""

__all__ = ["VARIABLES", "Expression", "FailedError", "MissingError", "Scope", "compile_condition", "compile_expression", "fields"]


class Expression:
    """A compiled expression; safe to use for any number of records, by one thread at a time."""

    __slots__ = ("_names", "_program", "_shape", "quick", "source")

    def __init__(self, source: str, variables: frozenset[str] = VARIABLES) -> None:
        """Compile `source` over `variables`; `compile_expression` says what is raised."""
        read = tokens.tokenize(source)
        self._shape = shape = tokens.measure(read)
        self.source = source
        self._program = guarded(lambda: compile_source(source), _syntax)
        self._names = frozenset(self._program.variables()) & variables
        _known(self._program, variables, shape.variables)
        _patterns(read)
        self.quick: Evaluator | None = closures.build(read, variables, _literal)
        """The closure that decides it, and leaves to the library what is in doubt; None where all of it is the library's."""

    @property
    def names(self) -> frozenset[str]:
        """Which of the variables it reads."""
        return self._names

    @property
    def constant(self) -> bool:
        """Whether it is the same for every record, as can be told without going through lists."""
        return not self._names and not self._shape.comprehensions

    def evaluate(self, scope: Scope) -> Any:
        """Return the expression's value for one record, as JSON has it (times as RFC 3339, durations as `90s`, bytes in base64).

        Raises:
            MissingError: it reads a field or an array place that is not there.
            FailedError: it cannot be decided for this record; the text says why.

        """
        if self.quick is not None:
            try:
                return self.quick(scope)
            except (UnsureError, RecursionError):
                pass
        return self._by_library(scope)

    def _by_library(self, scope: Scope) -> Any:
        if scope.body_bytes > LIBRARY_BODY_BYTES and self._names & LARGE:
            raise FailedError(f"the body has {scope.body_bytes} bytes, and this expression takes bodies up to {LIBRARY_BODY_BYTES}")
        values = {name: scope[name] for name in self._names}
        shape = self._shape
        if shape.comprehensions and shape.comprehensions * scope.body_bytes * _longest(values) ** shape.depth > LIBRARY_WORK:
            raise FailedError("the body holds lists too long to go through with this expression")
        try:
            return _plain(guarded(lambda: self._program.execute(values), FailedError, let=(KeyError, IndexError)))
        except (KeyError, IndexError) as error:
            raise MissingError(str(error.args[0])) from error


def compile_expression(source: str, variables: frozenset[str] = VARIABLES) -> Expression:
    """Compile an expression over `variables` and check all that can be known before a record is there.

    Raises:
        TooCostlyError: it goes over a bound.
        ValueError: it is not CEL, or names a variable or a function that is not there; the text says which and what there is.

    """
    return Expression(source, variables)


def compile_condition(source: str, variables: frozenset[str] = VARIABLES) -> Expression:
    """Compile an expression that is to be true or false, and refuse one that is neither whatever comes: it would bury every record.

    Raises:
        ValueError: as `compile_expression`; or it reads no variable and its value is another.

    """
    found = compile_expression(source, variables)
    if found.constant:
        try:
            value = found.evaluate(Scope({}))
        except (MissingError, FailedError) as error:
            raise ValueError(f"has no answer for any record: {error}") from error
        if type(value) is not bool:
            raise ValueError(f"is {value!r:.100} for every record, and must be true or false")
    return found


def fields(source: str, variable: str, *, needed: bool = False) -> tuple[str, ...]:
    """Return which fields of a variable an expression that compiles asks for by name, each once: `row.a`, `row["a"]` and `"a" in row`, in `has` too.

    A name that is made while it is evaluated is not among them. Never raises.

    Args:
        source: the expression.
        variable: the variable's name.
        needed: leave out those of which it asks whether they are there.

    """
    read = (tokens.END, tokens.END, *tokens.tokenize(source), tokens.END, tokens.END, tokens.END)
    found, tested = dict[str, None](), set[str]()
    for at, token in enumerate(read):
        if token != ("name", variable) or read[at - 1].text == ".":
            continue
        sign, part, behind = read[at + 1 : at + 4]
        named: dict[str, None] = {}
        if sign.text == "." and behind.text != "(":  # there it is a function's name
            named = {part.text: None}
        elif sign.text == "[" and part.kind == "text" and behind.text == "]":
            named = _text(part)
        elif sign.text not in {".", "["} and read[at - 1] == ("name", "in") and read[at - 2].kind == "text":
            named = _text(read[at - 2])
            tested.update(named)
        if read[at - 2] == ("name", "has"):
            tested.update(named)
        found.update(named)
    return () if variable in tokens.measure(read).variables else tuple(name for name in found if not (needed and name in tested))


def _text(token: tokens.Token) -> dict[str, None]:
    """Return the one name that a text is; none of bytes."""
    try:
        value = _literal(token.text)
    except UnsureError:
        return {}
    return {value: None}


def _syntax(detail: str) -> Exception:
    place = re.search(r"ERROR: <input>:\d+:(\d+): (.*)", detail)
    return ValueError(f"is not CEL: {place[2]} (character {place[1]})" if place else f"is not CEL: {detail}")


def _known(program: Program, variables: frozenset[str], bound: frozenset[str]) -> None:
    if strange := sorted(set(program.variables()) - variables - bound):
        raise ValueError(f"names {strange[0]!r}, which is no variable; there are {', '.join(sorted(variables))}")
    named = [name for name in program.functions() if name.isidentifier()]
    if strange := sorted(set(named) - FUNCTIONS):
        raise ValueError(f"calls {strange[0]!r}, which is no function; there are {', '.join(sorted(FUNCTIONS))}")


def _patterns(read: tuple[tokens.Token, ...]) -> None:
    """Let `matches` take a pattern written in the expression only, so that it is known to be valid and of bounded size."""
    for at, token in enumerate(read):
        if token == ("name", "matches") and read[at + 1 : at + 2] == (("sign", "("),):
            pattern = read[at + 2 : at + 4]
            if len(pattern) < 2 or pattern[0].kind != "text" or pattern[1].text != ")":  # noqa: PLR2004  the pattern and its bracket
                raise ValueError("gives matches() something else than a text: write the pattern itself, in quotes")
            _alone(f"''.matches({pattern[0].text})", ValueError)


def _literal(text: str) -> Any:
    """Read a text or a number as the library does; `UnsureError` for what JSON does not have."""
    value = _alone(text, UnsureError)
    if type(value) not in (str, int, float) or text[-1] in "uU":
        raise UnsureError(text)
    return value


def _alone(source: str, failure: Callable[[str], Exception]) -> Any:
    """Let the library evaluate an expression that reads no variables."""
    return guarded(lambda: compile_source(source).execute({}), failure)


def _longest(value: Any) -> int:
    """Return the size of the largest list or object in a value; its depth does not matter."""
    longest, todo = 0, [value]
    while todo:
        here = todo.pop()
        if type(here) is dict or type(here) is list:
            longest = max(longest, len(here))
            todo.extend(here.values() if type(here) is dict else here)
    return longest


def _plain(value: Any) -> Any:
    """Turn what the library returned into JSON's kinds; objects come out in the order of their keys, since the library keeps none."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        if not all(type(key) is str for key in value):
            raise FailedError("an object with keys other than texts is not JSON")
        return {key: _plain(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return f"{orjson.dumps(value.total_seconds()).decode().removesuffix('.0')}s"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise FailedError(f"its value is a {type(value).__name__}, which JSON does not have")
