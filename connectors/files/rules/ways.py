"""How the text of one column is read: its type's own words, else those of the rules for all columns."""

from typing import Final, NamedTuple

from flows.core.imports.rules import DataType, TransformationRules

YES: Final = ("true", "t", "yes", "y", "1")
NO: Final = ("false", "f", "no", "n", "0")


class Way(NamedTuple):
    """How a column is read."""

    kind: DataType | None
    """None: it stays what it is."""
    trim: bool
    nulls: tuple[str, ...]
    case: str | None
    comma: bool = False
    separator: str | None = None
    yes: tuple[str, ...] = YES
    no: tuple[str, ...] = NO

    @property
    def rewrites(self) -> bool:
        """Whether a text may come out as another."""
        return self.trim or bool(self.nulls) or self.case is not None

    def bare(self) -> "Way":
        """Return how plain texts are read: numbers have no signs of a country's, and true and false are that, whatever the words say."""
        yes, no = tuple(word for word in self.yes if word != "false"), tuple(word for word in self.no if word != "true")
        return self._replace(comma=False, separator=None, yes=(*yes, "true"), no=(*no, "false"))


def way_of(rules: TransformationRules, column: str) -> Way:
    """Return how a column is read, by its name after mapping."""
    kind = rules.data_types.get(column)
    own = kind or rules
    nulls = rules.null_values if own.null_values is None else own.null_values
    if nulls is None:
        nulls = ("",) if kind is not None and kind.type != "string" else ()
    return Way(
        kind,
        rules.trim if isinstance(rules.trim, bool) else column in rules.trim,
        nulls,
        rules.case.get(column),
        bool(rules.decimal_comma if own.decimal_comma is None else own.decimal_comma),
        own.thousands_separator or rules.thousands_separator,
        _words(own.true_values, rules.true_values, YES),
        _words(own.false_values, rules.false_values, NO),
    )


def _words(own: tuple[str, ...] | None, common: tuple[str, ...] | None, usual: tuple[str, ...]) -> tuple[str, ...]:
    given = common if own is None else own
    return usual if given is None else tuple(word.lower() for word in given)
