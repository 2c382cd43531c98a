"""Looks on while tables go through a plan: which columns a file has, and as what they go out."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from connectors.files.detect import type_of
from connectors.files.lacking import Lacking
from connectors.files.plan import Plan, Sifted
from connectors.files.table import Table
from flows.core.imports.source import UNKNOWN_COLUMNS

MOST_COLUMNS: Final = 1_000
GUESSED_FROM: Final = 2_000
"""Values of a column that its type is guessed from."""
SAMPLES: Final = 3
SAMPLE_CHARS: Final = 64
_NAMES: Final = {pl.String: "string", pl.Int64: "int64", pl.Float64: "float64", pl.Boolean: "bool", pl.Date: "date", pl.Datetime: "datetime", pl.Null: "string"}


class Watched:
    """A plan that remembers what went through it; else the one that it is made of."""

    def __init__(self, plan: Plan, lacking: Lacking | None = None, needed: Sequence[tuple[str, str]] = ()) -> None:
        """Take the plan, what is looked for in the file, and the columns that rows are told by, each behind its rule."""
        self._plan = plan
        self._lacking, self._needed = lacking, needed
        self._have: set[str] = set()
        self._found: dict[str, dict[str, Any]] = {}
        self._texts: dict[str, list[str]] = {}
        self._published: dict[str, str] = {}

    def apply(self, table: Table) -> Sifted:
        """Do as the plan does."""
        for name, dtype in table.frame.schema.items():
            self._look(name, dtype, table.frame[name], fragment=name in table.fragments)
        if self._lacking is not None:
            self._lacking.look(table)
        sifted = self._plan.apply(table)
        if table.frame.height:
            self._have.update(sifted.whole.columns)
        for name, dtype in sifted.frame.schema.items():
            _note(self._published, name, named(dtype, fragment=name in sifted.fragments))
        return sifted

    def told(self) -> dict[str, Any]:
        """Return what was seen.

        `found` and `published` are columns in order, 1,000 of each at most, and `left_off` how many more there are; `unknown` those that the job speaks of and
        no row had; `missing` pairs of a rule and a column that rows would have to have for it.
        """
        found = [{**one, "type": self._type(name, one["type"])} for name, one in self._found.items()]
        published = [{"name": name, "type": kind} for name, kind in self._published.items()]
        return {
            "found": found[:MOST_COLUMNS],
            "published": published[:MOST_COLUMNS],
            "left_off": max(0, len(found) - MOST_COLUMNS, len(published) - MOST_COLUMNS),
            "unknown": self._lacking.told(over=True).get(UNKNOWN_COLUMNS, []) if self._lacking is not None else [],
            "missing": [pair for pair in self._needed if pair[1] not in self._have] if self._have else [],
        }

    def _look(self, name: str, dtype: pl.DataType, values: pl.Series, *, fragment: bool) -> None:
        column = self._found.setdefault(name, {"name": name, "type": "", "samples": []})
        kind = named(dtype, fragment=fragment)
        column["type"] = kind if column["type"] in {"", kind} else "json"
        if len(self._found) > MOST_COLUMNS:
            return
        if len(column["samples"]) < SAMPLES:
            some = values.drop_nulls().head(SAMPLES - len(column["samples"])).to_list()
            column["samples"] += [str(value)[:SAMPLE_CHARS] for value in some]
        if kind == "string" and len(texts := self._texts.setdefault(name, [])) < GUESSED_FROM:
            texts += values.drop_nulls().cast(pl.String).head(GUESSED_FROM - len(texts)).to_list()

    def _type(self, name: str, kind: str) -> str:
        """Return the type of a column; of one that the file has as text, the one that all of its values could be read as."""
        return type_of([text for text in self._texts.get(name, []) if text]) if kind == "string" else kind


def named(dtype: pl.DataType, *, fragment: bool) -> str:
    """Return a type as jobs name it; `json` for what is none of theirs."""
    if fragment:
        return "json"
    if isinstance(dtype, pl.Decimal):
        return "decimal"
    if dtype.is_integer():
        return "int64"
    return _NAMES.get(type(dtype), "float64" if dtype.is_float() else "json" if dtype.is_nested() else str(dtype).lower())


def _note(kinds: dict[str, str], name: str, kind: str) -> None:
    """Keep a type; one that differs from table to table is JSON."""
    kinds[name] = kind if kinds.get(name, kind) == kind else "json"
