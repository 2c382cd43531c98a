"""A program: rules as expressions over tables with certain columns, run pass by pass: texts, values, faults, defaults, questions."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import polars as pl

from connectors.files.rules import casts
from connectors.files.rules.cells import Cells, cells_of, plain_json
from connectors.files.rules.tests import Test, spelt, tests_of
from connectors.files.rules.ways import Way, way_of
from flows.core.imports import codes
from flows.core.imports.rules import TransformationRules

_NEVER: Final = pl.lit(False)


class Source(NamedTuple):
    """A column of a table."""

    name: str
    dtype: pl.DataType
    fragment: bool


class Program(NamedTuple):
    """What is computed, pass by pass; a pass sees the columns of those before it."""

    texts: list[pl.Expr]
    values: list[pl.Expr]
    faults: list[pl.Expr]
    filled: list[pl.Expr]
    tests: list[Test]
    shown: dict[str, str]
    """A column's name after mapping to its name in the table."""
    out: dict[str, pl.Expr]
    """What goes out, by name, in order."""
    fragments: frozenset[str]

    def run(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Compute everything but the questions."""
        for expressions in (self.texts, self.values, self.faults, self.filled):
            if expressions:
                frame = frame.with_columns(expressions)
        return frame

    def ask(self, work: pl.DataFrame) -> pl.DataFrame:
        """Answer the questions: one column of true, false and null for each, by its number."""
        return work.select([test.bad.alias(str(at)) for at, test in enumerate(self.tests)])


class Builder:
    """Puts a program together, column by column."""

    def __init__(self, rules: TransformationRules) -> None:
        """Take the rules."""
        self._rules = rules
        self._taken = 0
        self.made = Program([], [], [], [], [], {}, {}, frozenset())
        self._fragments: set[str] = set()

    def done(self) -> Program:
        """Return the program."""
        return self.made._replace(fragments=frozenset(self._fragments))

    def _keep(self, into: list[pl.Expr], expression: pl.Expr) -> pl.Expr:
        """Compute something once, and return how it is reached."""
        self._taken += 1
        name = f"\0{self._taken}"  # no column of a file has such a name: readers refuse NUL
        into.append(expression.alias(name))
        return pl.col(name)

    def column(self, name: str, source: Source, *, plain: bool = False) -> None:
        """Add a column of the table; `plain`: no rule looks at it, since something else takes its place."""
        self.made.shown.setdefault(name, source.name)
        if plain:
            self._go_out(name, pl.col(source.name), fragment=source.fragment)
            return
        way = way_of(self._rules, name)
        cells = cells_of(way, pl.col(source.name), source.dtype, fragment=source.fragment)
        value, text, fault = self._typed(name, way, source, cells) if way.kind is not None else self._untyped(name, way, source, cells)
        tests = tests_of(self._rules, name, value, text, fault)
        self.made.tests.extend(tests)

    def _typed(self, name: str, way: Way, source: Source, cells: Cells) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
        made, kind = self.made, way.kind
        assert kind is not None  # noqa: S101  the caller's
        parts = [] if cells.direct is None else [cells.direct]
        finer: casts.Finer = ()
        written = None if cells.text is None else self._keep(made.texts, cells.text)
        if written is not None:
            parts.append(casts.cast(way, kind, written))
            finer = casts.why(way, kind, written)
        if cells.plain is not None:
            text = self._keep(made.texts, cells.plain)
            parts.append(casts.cast_plain(way, kind, text))
            finer += casts.why(way.bare(), kind, text)
        if source.dtype.is_integer() and kind.type == "int64":
            finer = ((codes.OUT_OF_RANGE, pl.col(source.name).is_not_null()),)
        value = self._keep(made.values, (parts[0] if len(parts) == 1 else pl.coalesce(parts)).cast(casts.dtype_of(kind)))
        fault = _NEVER
        if kind.type != "string" or cells.plain is not None:
            given = cells.given if cells.fragment or written is None else written.is_not_null()
            fault = self._keep(made.faults, value.is_null() & given)
            made.tests.append(Test(name, casts.FAULTS[kind.type], spelt("data_types", kind.model_dump(exclude_unset=True)), fault, True, finer))
        if name in self._rules.defaults:
            value = self._keep(made.filled, pl.when(value.is_null() & ~fault).then(casts.fixed(kind, self._rules.defaults[name])).otherwise(value))
        self._go_out(name, value, fragment=kind.type == "json")
        return value, value, fault

    def _untyped(self, name: str, way: Way, source: Source, cells: Cells) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
        made, rules = self.made, self._rules
        value, fault = cells.value, _NEVER
        if way.rewrites:
            value = self._keep(made.texts, value)
        if cells.fragment:
            value = self._keep(made.values, pl.when(value != "null").then(value))
        if name in rules.defaults:
            usual = rules.defaults[name]
            filler = pl.lit(plain_json(usual) if cells.fragment else usual).cast(source.dtype, strict=False)
            value = self._keep(made.filled, value.fill_null(filler))
        self._go_out(name, value, fragment=cells.fragment)
        asks = name in rules.regex or name in rules.length or name in rules.enum
        if not asks or (not cells.fragment and source.dtype == pl.String):
            return value, value, fault
        text = self._keep(made.values, cells.text if cells.text is not None else pl.lit(None, pl.String))
        fault = self._keep(made.faults, text.is_null() & cells.given)
        made.tests.append(Test(name, codes.NOT_TEXT, _asking(rules, name), fault, True))
        if name in rules.defaults:
            text = self._keep(made.filled, pl.when(~cells.given).then(pl.lit(rules.defaults[name])).otherwise(text))
        return value, text, fault

    def absent(self, name: str) -> None:
        """Add a column that the table does not have, where a rule speaks of it."""
        rules, kind = self._rules, self._rules.data_types.get(name)
        if name in rules.defaults:
            value = self._keep(self.made.texts, pl.lit(rules.defaults[name]) if kind is None else casts.fixed(kind, rules.defaults[name]))
            self._go_out(name, value, fragment=kind is not None and kind.type == "json")
            self.made.tests.extend(tests_of(rules, name, value, value, _NEVER))
        elif name in rules.required:
            nothing = self._keep(self.made.texts, pl.lit(True))
            self.made.tests.append(Test(name, codes.MISSING, "required", nothing))

    def conflict(self, name: str, source: str) -> None:
        """Turn every row away, since two columns of the table want the same name."""
        everywhere = self._keep(self.made.texts, pl.lit(True))
        self.made.tests.append(Test(name, codes.COLUMN_CONFLICT, spelt("column_mapping", {source: name}), everywhere, True))

    def constant(self, name: str, value: Any) -> None:
        """Add a column that has the same value in each row."""
        kind = self._rules.data_types.get(name)
        fragment = value is None or isinstance(value, dict | list) if kind is None else kind.type == "json"
        if kind is not None and value is not None:
            lit = casts.fixed(kind, value)
        else:
            dtype = pl.Int64 if type(value) is int else pl.String if value is None else None
            lit = pl.lit(plain_json(value) if fragment and value is not None else value, dtype)
        self._go_out(name, self._keep(self.made.texts, lit), fragment=fragment)

    def _go_out(self, name: str, value: pl.Expr, *, fragment: bool) -> None:
        self.made.out[name] = value.alias(name)
        self._fragments.discard(name)
        if fragment:
            self._fragments.add(name)


def _asking(rules: TransformationRules, name: str) -> str:
    for rule in ("regex", "length", "enum"):
        if name in getattr(rules, rule):
            given = getattr(rules, rule)[name]
            return spelt(rule, given.model_dump(exclude_none=True) if rule == "length" else given)
    raise KeyError(name)


def build(rules: TransformationRules, sources: Iterable[Source]) -> Program:
    """Make the program for tables with these columns; columns that are computed are none of its business."""
    builder = Builder(rules)
    computed = set(rules.expression.columns)
    seen: set[str] = set()
    for source in sources:
        name = rules.column_mapping.get(source.name, source.name)
        if name in seen:
            builder.conflict(name, _mapped(rules, name))
        elif name in rules.constants:
            builder.made.shown[name] = source.name
        else:
            builder.column(name, source, plain=name in computed)
        seen.add(name)
    for name in _named(rules):
        if name not in seen and name not in computed and name not in rules.constants:
            builder.absent(name)
    for name, value in rules.constants.items():
        builder.constant(name, value)
    return builder.done()


def _mapped(rules: TransformationRules, name: str) -> str:
    return next((source for source, target in rules.column_mapping.items() if target == name), name)


def _named(rules: TransformationRules) -> Iterator[str]:
    yield from dict.fromkeys((*rules.defaults, *rules.required))
