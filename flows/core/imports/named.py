"""Which columns a job speaks of: a name that no row has switches a rule off, and nothing else would tell a typo from a column that may be left out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from flows.core.expressions import fields
from flows.core.imports.check import ROW
from flows.core.imports.rules import TransformationRules

MOST_NAMED: Final = 1_000
"""Names that are looked for in a file; a job that speaks of more is told of those among the first."""

FILTER: Final = "expression.filter"


class Named(NamedTuple):
    """The columns that a job speaks of."""

    mapping: Mapping[str, str] = {}
    """The job's `column_mapping`: what stands on its left goes by names in the file."""
    after: tuple[str, ...] = ()
    """By their names after mapping, but for those that rules make themselves."""
    needed: tuple[tuple[str, str], ...] = ()
    """Rule and column: what rows are told by. A rule that lacks one of them lets everything through, or nothing: the filter."""


NOBODY: Final = Named()
"""Nothing is spoken of."""


def named(rules: TransformationRules, cursor: str | None = None, key: Sequence[str] = (), key_columns: Sequence[str] = ()) -> Named:
    """Return the columns that a job speaks of.

    Args:
        rules: the job's.
        cursor: `cursor_column` of its `incremental`.
        key: `key` of it.
        key_columns: the job's.

    """
    needed = dict.fromkeys(
        (
            *(("unique", name) for rule in rules.unique for name in rule.columns),
            *(("incremental.key", name) for name in key),
            *((("incremental.cursor_column", cursor),) if cursor is not None else ()),
            *((FILTER, name) for variable in ROW for name in fields(rules.expression.filter or "", variable, needed=True)),
        )
    )
    made = {*rules.constants, *rules.defaults, *rules.expression.columns, *rules.column_mapping.values()}
    spoken = dict.fromkeys((*_ruled(rules), *(name for _, name in needed), *key_columns))
    after = [name for name in spoken if name not in made]
    return Named(rules.column_mapping, tuple(after[:MOST_NAMED]), tuple(needed))


def _ruled(rules: TransformationRules) -> Iterator[str]:
    """Yield the columns that rules have by names after mapping: those about one column, and the expressions, whose typo is a null."""
    yield from rules.required
    yield from rules.data_types
    yield from rules.trim if not isinstance(rules.trim, bool) else ()
    for told in (rules.case, rules.regex, rules.min, rules.max, rules.length, rules.enum):
        yield from told
    yield from rules.drop_columns
    given = rules.expression
    for source in (*given.columns.values(), *((given.filter,) if given.filter is not None else ()), *given.checks.values()):
        for variable in ROW:
            yield from fields(source, variable)
