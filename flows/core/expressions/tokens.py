"""CEL read as tokens, and its cost bounded before it is ever run.

The CEL library has no cost limit, and its `map` and `filter` take time with the square of their list. So an expression is bounded when it is
defined: length, tokens, nesting, comprehensions and how deep they stand in one another.
"""

import re
from typing import Final, NamedTuple

MAX_LENGTH: Final = 4096
MAX_TOKENS: Final = 1024
MAX_NESTING: Final = 32
"""Brackets inside one another."""
MAX_COMPREHENSIONS: Final = 8
MAX_COMPREHENSION_NESTING: Final = 2
MAX_JOINS: Final = 64
"""`+` signs: each may double a text or a list."""
MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map"})
RESERVED: Final = frozenset("as break const continue else for function if import in let loop namespace package return true false null var void while".split())
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}

_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
      | (?P<text>(?:[rR][bB]?|[bB][rR])(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n\r]*"|'[^'\n\r]*')
        |[bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n\r])*"|'(?:\\.|[^'\\\n\r])*'))
      | (?P<number>(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?|0x[0-9a-fA-F]+[uU]?|[0-9]+[uU]?))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """One token: what kind it is of (`text`, `number`, `name`, `sign`, `end`) and how it is written."""

    kind: str
    text: str


END: Final = Token("end", "")


class TooCostlyError(ValueError):
    """An expression goes over one of the bounds; the text says which."""


def tokenize(source: str) -> tuple[Token, ...]:
    """Split an expression into tokens, spaces and comments left out; takes time in proportion to its length.

    Raises:
        TooCostlyError: it is too long or has too many tokens.
        ValueError: a character that begins no token.

    """
    if len(source) > MAX_LENGTH:
        raise TooCostlyError(f"is {len(source)} characters long; {MAX_LENGTH} are allowed")
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise ValueError(f"cannot be read from character {at + 1} on: {source[at : at + 20]!r}")
        at = found.end()
        if found.lastgroup != "space":
            tokens.append(Token(found.lastgroup or "", found.group()))
    if len(tokens) > MAX_TOKENS:
        raise TooCostlyError(f"has {len(tokens)} tokens; {MAX_TOKENS} are allowed")
    return tuple(tokens)


class Shape(NamedTuple):
    """What the bounds were counted on."""

    comprehensions: int
    depth: int
    """How deep comprehensions stand in one another; 0 without any."""
    variables: frozenset[str]
    """Names that comprehensions bind."""


def measure(tokens: tuple[Token, ...]) -> Shape:
    """Count what makes an expression costly.

    Raises:
        TooCostlyError: one of the bounds is passed.

    """
    opened: list[bool] = []  # for each open bracket: does it belong to a comprehension?
    comprehensions = depth = 0
    bound: set[str] = set()
    for at, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        if token.text in _OPEN:
            macro = token.text == "(" and at > 1 and tokens[at - 1].text in MACROS and tokens[at - 2].text == "."
            opened.append(macro)
            if macro:
                comprehensions += 1
                depth = max(depth, sum(opened))
                bound.update(t.text for t in tokens[at + 1 : at + 2] if t.kind == "name")
            if len(opened) > MAX_NESTING:
                raise TooCostlyError(f"nests brackets deeper than {MAX_NESTING}")
        elif token.text in _OPEN.values() and opened:
            opened.pop()
    _bound("comprehensions (map, filter, all, exists, exists_one)", comprehensions, MAX_COMPREHENSIONS)
    _bound("comprehensions inside one another", depth, MAX_COMPREHENSION_NESTING)
    _bound("+ signs", sum(token.text == "+" for token in tokens), MAX_JOINS)
    return Shape(comprehensions, depth, frozenset(bound))


def _bound(what: str, found: int, most: int) -> None:
    if found > most:
        raise TooCostlyError(f"has {found} {what}; {most} are allowed")
