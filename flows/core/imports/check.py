"""What is wrong with rules that are well formed: found when a job is made, before a file is there. Whatever passes can be compiled."""

import re
from collections.abc import Iterator
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flows.core import pointer
from flows.core.errors import FieldError
from flows.core.expressions import compile_condition, compile_expression
from flows.core.expressions.library import compile_source
from flows.core.foreign import guarded
from flows.core.imports import formats, literals
from flows.core.imports.rules import DataType, TransformationRules

ROW: Final = frozenset({"row"})
"""The variables of a rule's expressions."""
ORDERED: Final = frozenset({"int64", "float64", "decimal", "date", "datetime"})
TIMES: Final = frozenset({"date", "datetime"})
_NO_ZONES: Final = re.compile(r"(?:posix|right)/.*|posixrules|localtime|Factory")
"""Files beside the database's zones, which differ from machine to machine."""


def check_rules(rules: TransformationRules) -> tuple[FieldError, ...]:
    """Return everything that is wrong with rules; the pointers begin at the rules."""
    parts = (_mapping, _types, _values, _bounds, _texts, _made, _expressions)
    return tuple(error for part in parts for error in part(rules))


def whole(pattern: str) -> str:
    """Return a pattern that matches what `pattern` matches as a whole."""
    return rf"\A(?:{pattern})\z"


def _wrong(code: str, detail: str, *place: str | int) -> FieldError:
    return FieldError(pointer.text(list(place)), code, detail)


def _mapping(rules: TransformationRules) -> Iterator[FieldError]:
    sources: dict[str, str] = {}
    for source, target in rules.column_mapping.items():
        if (first := sources.setdefault(target, source)) != source:
            yield _wrong("conflict", f"{first!r} and {source!r} both become {target!r}; give each a name of its own", "column_mapping", source)


def _types(rules: TransformationRules) -> Iterator[FieldError]:
    yield from _reading(rules, (), comma=bool(rules.decimal_comma), separator=rules.thousands_separator)
    for column, kind in rules.data_types.items():
        place = ("data_types", column)
        comma = rules.decimal_comma if kind.decimal_comma is None else kind.decimal_comma
        if {"decimal_comma", "thousands_separator", "true_values", "false_values"} & kind.model_fields_set:
            yield from _reading(kind, place, comma=bool(comma), separator=kind.thousands_separator or rules.thousands_separator)
        if kind.scale is not None and kind.type != "decimal":
            yield _wrong("not_of_type", f"only a decimal has a scale, and {column!r} is of type {kind.type}", *place, "scale")
        yield from _clock(kind, place)


def _clock(kind: DataType, place: tuple[str, ...]) -> Iterator[FieldError]:
    if kind.formats and kind.type not in TIMES:
        yield _wrong("not_of_type", f"only date and datetime have formats, and this is of type {kind.type}", *place, "formats")
    for at, written in enumerate(kind.formats if kind.type in TIMES else ()):
        try:
            formats.read(written, times=kind.type == "datetime")
        except ValueError as error:
            yield _wrong("invalid_format", f"{written!r} {error}", *place, "formats", at)
    for name in ("timezone", "ambiguous_time"):
        if name in kind.model_fields_set and kind.type != "datetime":
            yield _wrong("not_of_type", f"only a datetime has a zone, and this is of type {kind.type}", *place, name)
    if kind.timezone is not None and not _zone(kind.timezone):
        yield _wrong("unknown_timezone", f"{kind.timezone!r} is no zone of the IANA database; write it like Europe/Berlin", *place, "timezone")


def _zone(name: str) -> bool:
    if _NO_ZONES.fullmatch(name):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _reading(given: Any, place: tuple[str, ...], *, comma: bool, separator: str | None) -> Iterator[FieldError]:
    if separator == ("," if comma else "."):
        detail = (
            f"{separator!r} cannot stand both before the fraction and between thousands; set decimal_comma to {'false' if comma else 'true'}, or take another"
        )
        yield _wrong("conflict", detail, *place, "thousands_separator")
    yes, no = ({word.lower() for word in words or ()} for words in (given.true_values, given.false_values))
    if both := sorted(yes & no):
        yield _wrong("conflict", f"{both[0]!r} is in true_values as well; case does not count", *place, "false_values")


def _values(rules: TransformationRules) -> Iterator[FieldError]:
    for column, value in rules.defaults.items():
        try:
            literals.text(rules.data_types.get(column), value)
        except ValueError as error:
            yield _wrong("wrong_default", str(error), "defaults", column)
    for column, value in rules.constants.items():
        kind = rules.data_types.get(column)
        try:
            if kind is not None and value is not None:
                literals.literal(kind, value)
            elif type(value) is int:
                literals.literal(DataType(type="int64"), value)
        except ValueError as error:
            yield _wrong("wrong_constant", str(error), "constants", column)


def _bounds(rules: TransformationRules) -> Iterator[FieldError]:
    found: dict[tuple[str, str], Any] = {}
    for name in ("min", "max"):
        for column, value in getattr(rules, name).items():
            kind = rules.data_types.get(column)
            if kind is None or kind.type not in ORDERED:
                detail = "is of no type that has an order; give int64, float64, decimal, date or datetime in data_types"
                yield _wrong("not_of_type", f"{column!r} {detail}", name, column)
                continue
            try:
                found[name, column] = bound(kind, value)
            except ValueError as error:
                yield _wrong("wrong_bound", str(error), name, column)
    for column in rules.max:
        if {("min", column), ("max", column)} <= found.keys() and found["min", column] > found["max", column]:
            yield _wrong("empty_range", "is less than min: no value is in such a range", "max", column)


def bound(kind: DataType, value: Any) -> Any:
    """Return the limit that a rule names, comparable with others of its type; a whole number may be limited by a fraction.

    Raises:
        ValueError: it is none; the text says why.

    """
    if kind.type in {"int64", "decimal"}:
        return literals.literal(DataType(type="decimal"), value)
    return literals.literal(kind, value)


def _texts(rules: TransformationRules) -> Iterator[FieldError]:
    for name in ("regex", "length", "enum"):
        for column in getattr(rules, name):
            kind = rules.data_types.get(column)
            fits = {"string"} | ({"int64"} if name == "enum" else set())
            if kind is not None and kind.type not in fits:
                yield _wrong("not_of_type", f"{name} is for texts, and {column!r} is of type {kind.type}", name, column)
    for column, values in rules.enum.items():
        numbers = column in rules.data_types and rules.data_types[column].type == "int64"
        for at, value in enumerate(values):
            if type(value) is not (int if numbers else str):
                yield _wrong("wrong_choice", "give a whole number" if numbers else "give text", "enum", column, at)
            elif type(value) is int and not literals.INT64[0] <= value <= literals.INT64[1]:
                yield _wrong("wrong_choice", "give a whole number of 64 bits", "enum", column, at)
    for column, pattern in rules.regex.items():
        if (says := _regex(pattern) or _regex(whole(pattern))) is not None:
            yield _wrong("invalid_regex", f"is no pattern of Rust's regex syntax: {says}", "regex", column)


def _regex(pattern: str) -> str | None:
    """Say what is wrong with a pattern: CEL's library and that of tables read patterns with the same engine, in linear time, up to the same size."""
    try:
        guarded(lambda: compile_source("''.matches(pattern)").execute({"pattern": pattern}), ValueError)
    except ValueError as error:
        return " ".join(str(error).rpartition("error: ")[2].partition(". Check function")[0].split())
    return None


def _made(rules: TransformationRules) -> Iterator[FieldError]:
    for column in rules.expression.columns:
        if column in rules.constants:
            yield _wrong("conflict", f"{column!r} has a constant as well; keep one", "expression", "columns", column)
    for column in rules.constants:
        if column in rules.defaults:
            yield _wrong("conflict", f"{column!r} has a constant as well, so that no default is needed; keep one", "defaults", column)


def _expressions(rules: TransformationRules) -> Iterator[FieldError]:
    given = rules.expression
    sources: list[tuple[tuple[str, ...], str]] = [(("columns", name), source) for name, source in given.columns.items()]
    sources += [(("filter",), given.filter)] if given.filter is not None else []
    sources += [(("checks", name), source) for name, source in given.checks.items()]
    for place, source in sources:
        try:
            (compile_expression if place[0] == "columns" else compile_condition)(source, ROW)
        except ValueError as error:
            yield _wrong("invalid_expression", f"{error}", "expression", *place)
