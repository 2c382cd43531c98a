"""A plan out of a job's rules: good rows and rejects, the same as if each row were judged alone."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from connectors.files.plan import Sifted
from connectors.files.rules.cells import unquoted
from connectors.files.rules.computed import Computing
from connectors.files.rules.cursor import Cursor
from connectors.files.rules.program import Program, Source, build
from connectors.files.rules.tests import Test
from connectors.files.table import Table
from flows.core.errors import InvalidFields
from flows.core.files.rejects import VALUE_CHARS, Reject
from flows.core.imports import codes
from flows.core.imports.check import check_rules
from flows.core.imports.codes import Code
from flows.core.imports.rules import TransformationRules


class Fault(NamedTuple):
    """One reason against one row; they sort by row, then in the order of the rules."""

    row: int
    """The index in the table."""
    order: int
    column: str
    code: Code
    rule: str
    value: str


class Compiled:
    """Rules, compiled; a `Plan`. What is computed for one set of columns is kept until a table has another."""

    def __init__(self, rules: TransformationRules, cursor: Cursor | None) -> None:
        """Take rules that nothing is wrong with, and what tells rows of earlier runs."""
        self._rules = rules
        self._cursor = cursor
        self._computing = Computing(rules.expression)
        self._programs: dict[str, tuple[tuple[Source, ...], Program]] = {}

    def apply(self, table: Table) -> Sifted:
        """Sort the rows of a table into good ones, rejects and those that a filter leaves out."""
        program = self._program("table", table.frame, table.fragments)
        work = program.run(table.frame)
        answers = program.ask(work)
        failing = _failing(answers)
        faults = [fault for at in failing for fault in _faults(at, program.tests[at], answers, work, _shown(program, table.frame, table.fragments))]
        out, fragments, dropped = work.select(list(program.out.values())), program.fragments, set[int]()
        if not program.out:
            out = pl.DataFrame()
        if self._computing.any:
            hard = [str(at) for at in failing if program.tests[at].hard]
            out, fragments, dropped = self._compute(out, fragments, answers.select(hard), faults)
        if self._cursor is not None:
            dropped |= set(self._cursor.old(out).arg_true())
            absent = set(self._cursor.absent(out).arg_true()) - {fault.row for fault in faults}
            faults += [Fault(row, 2 * 10**6, self._cursor.column, codes.NO_CURSOR, "incremental: cursor_column", "") for row in absent]
        if dropped:
            faults = [fault for fault in faults if fault.row not in dropped]
        bad = {fault.row for fault in faults}
        return self._sift(table, out, fragments, bad | dropped, faults, len(dropped))

    def _program(self, part: str, frame: pl.DataFrame, fragments: frozenset[str]) -> Program:
        sources = tuple(Source(name, dtype, name in fragments) for name, dtype in frame.schema.items())
        kept = self._programs.get(part)
        if kept is None or kept[0] != sources:
            rules = self._rules if part == "table" else _of_computed(self._rules)
            kept = self._programs[part] = sources, build(rules, sources)
        return kept[1]

    def _compute(self, out: pl.DataFrame, fragments: frozenset[str], hard: pl.DataFrame, faults: list[Fault]) -> tuple[pl.DataFrame, frozenset[str], set[int]]:
        """Run the expressions over rows of right types, and add what they say to `faults`; the frame keeps its rows."""
        alive: Sequence[int] = range(out.height)
        if hard.width:
            wrong = hard.select(pl.any_horizontal(pl.all().fill_null(False))).to_series()
            alive = (~wrong).arg_true().to_list()
        made = self._computing.run(out if len(alive) == out.height else out[alive], fragments)
        order = 10**6  # behind all questions
        faults.extend(Fault(alive[one.row], order + at, one.column, one.code, one.rule, one.detail[:VALUE_CHARS]) for at, one in enumerate(made.complaints))
        dropped = {alive[row] for row in made.dropped}
        if not made.columns:
            return out, fragments, dropped
        values = pl.DataFrame(made.columns, schema=dict.fromkeys(made.columns, pl.String))
        program = self._program("computed", values, frozenset(made.columns))
        work = program.run(values)
        answers = program.ask(work)
        for at in _failing(answers):
            found = _faults(at, program.tests[at], answers, work, _shown(program, values, frozenset(made.columns)))
            faults.extend(fault._replace(row=alive[fault.row], order=2 * order + at) for fault in found)
        typed = work.select(list(program.out.values()))
        if len(alive) < out.height:
            places = pl.Series([None] * out.height, dtype=pl.UInt32).scatter(list(alive), pl.Series(range(len(alive)), dtype=pl.UInt32))
            typed = typed.select(pl.all().gather(places))
        return out.with_columns(typed.get_columns()), (fragments - set(made.columns)) | program.fragments, dropped

    def _sift(self, table: Table, out: pl.DataFrame, fragments: frozenset[str], gone: set[int], faults: list[Fault], skipped: int) -> Sifted:
        height, rows = table.frame.height, None
        if gone:
            rows = _others(height, gone)
            out = out[rows] if out.width else out
        dropping = [name for name in self._rules.drop_columns if name in out.columns]
        rejects = _rejects(table, sorted(faults, key=lambda fault: fault[:2]))
        return Sifted(out.drop(dropping), rows, fragments, rejects, skipped, out if dropping else None)


def compile_rules(rules: TransformationRules, cursor: Cursor | None = None) -> Compiled:
    """Compile rules; what they say of rows that came before is for `connectors.files.marks`.

    Args:
        rules: a job's.
        cursor: tells rows that an earlier run has taken; None: there are none.

    Raises:
        InvalidFields: `check_rules` would have found something.

    """
    if errors := check_rules(rules):
        raise InvalidFields("The rules of this import cannot be run: " + "; ".join(f"{e.pointer} {e.detail}" for e in errors) + ".", errors=errors)
    return Compiled(rules, cursor)


def _of_computed(rules: TransformationRules) -> TransformationRules:
    """Return the rules as they are for columns that are computed: their names are final, and no other column is there."""
    names = set(rules.expression.columns)
    return rules.model_copy(
        update={
            "column_mapping": {},
            "constants": {},
            "defaults": {name: value for name, value in rules.defaults.items() if name in names},
            "required": tuple(name for name in rules.required if name in names),
            "expression": type(rules.expression)(),
        }
    )


def _failing(answers: pl.DataFrame) -> list[int]:
    """Return the numbers of the questions that some row fails."""
    if not answers.width or not answers.height:
        return []
    return [at for at, some in enumerate(answers.select(pl.all().any()).row(0)) if some]


class _Shown(NamedTuple):
    """A column as it is told to a person."""

    values: pl.Series
    json: bool

    def texts(self, rows: pl.Series) -> list[object]:
        """Return the values of some rows: a text that is JSON as what it stands for, as of any other format."""
        values = self.values.gather(rows)
        if self.json:
            plain = unquoted(values)
            values = plain.zip_with(plain.is_not_null(), values)
        return values.to_list()


def _shown(program: Program, frame: pl.DataFrame, fragments: frozenset[str]) -> dict[str, _Shown]:
    return {name: _Shown(frame[source], source in fragments) for name, source in program.shown.items()}


def _faults(at: int, test: Test, answers: pl.DataFrame, work: pl.DataFrame, shown: dict[str, _Shown]) -> Iterable[Fault]:
    rows = answers[str(at)].fill_null(False).arg_true()
    found: Sequence[Code] = [test.code] * rows.len()
    if test.finer:
        asked = work[rows].select([holds.alias(str(one)) for one, (_, holds) in enumerate(test.finer)])
        found = [next((test.finer[one][0] for one, holds in enumerate(row) if holds), test.code) for row in asked.rows()]
    values = shown[test.column].texts(rows) if test.column in shown else [None] * rows.len()
    return [Fault(row, at, test.column, code, test.rule, _text(value)) for row, code, value in zip(rows, found, values, strict=True)]


def _text(value: object) -> str:
    return "" if value is None else str(value)[:VALUE_CHARS]


def _others(height: int, gone: set[int]) -> pl.Series:
    """Return the numbers below `height` that are not in `gone`."""
    kept = pl.Series([True]).new_from_index(0, height).scatter(sorted(gone), False)
    return kept.arg_true()


def _rejects(table: Table, faults: Sequence[Fault]) -> list[Reject]:
    found: list[Reject] = []
    place, last = None, -1
    for fault in faults:
        if place is None or fault.row != last:
            place, last = table.place(fault.row), fault.row
        found.append(Reject(place.ordinal, place.line, place.offset, fault.column, fault.code.code, fault.rule, fault.value, place.raw))
    return found
