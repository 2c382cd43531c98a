"""What rules mean: one row at a time, in plain Python, slow and obvious. The plan in `connectors.files.rules` has to come to the same."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from flows.core.imports import check, literals
from flows.core.imports.rules import DataType, TransformationRules
from tests.kit.row_times import Bad, moment

BLANKS = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


class Json(NamedTuple):
    """A value as it stands in a JSON file."""

    text: str


@dataclass
class Decision:
    """What becomes of a row."""

    good: dict[str, Any] | None
    reasons: list[tuple[str, str]]
    """Column and code."""


def decide(rules: TransformationRules, row: Mapping[str, Any]) -> Decision:
    """Judge one row; uniqueness and expressions are not a row's own affair."""
    reasons: list[tuple[str, str]] = []
    out: dict[str, Any] = {}
    for source, value in row.items():
        name = rules.column_mapping.get(source, source)
        if name in rules.constants:
            continue
        try:
            out[name] = read(rules, name, value)
        except Bad as bad:
            reasons.append((name, str(bad)))
            continue
        reasons += [(name, code) for code in ask(rules, name, out[name])]
    for name in (*rules.defaults, *rules.required):
        if name not in out and name not in rules.constants and not any(name == rules.column_mapping.get(source, source) for source in row):
            if name in rules.defaults:
                out[name] = default(rules, name)
                reasons += [(name, code) for code in ask(rules, name, out[name])]
            elif (name, "missing") not in reasons:
                reasons.append((name, "missing"))
    for name, value in rules.constants.items():
        kind = rules.data_types.get(name)
        out[name] = value if kind is None or value is None else fixed(kind, value)
    return Decision(None if reasons else {name: value for name, value in out.items() if name not in rules.drop_columns}, reasons)


def fixed(kind: DataType, value: Any) -> Any:
    found = literals.literal(kind, value)
    if kind.type == "json":
        return Json(found)
    return format(found, "f") if kind.type == "decimal" and kind.scale is None else found


def default(rules: TransformationRules, name: str) -> Any:
    kind = rules.data_types.get(name)
    return rules.defaults[name] if kind is None else fixed(kind, rules.defaults[name])


def read(rules: TransformationRules, name: str, value: Any) -> Any:
    """Return a value as one of its column's type, or the default where there is none."""
    kind = rules.data_types.get(name)
    found = _read(rules, name, kind, value)
    if found is None and name in rules.defaults:
        usual = default(rules, name)
        return Json(orjson.dumps(usual).decode()) if kind is None and isinstance(value, Json) else usual
    return found


def _read(rules: TransformationRules, name: str, kind: DataType | None, value: Any) -> Any:  # noqa: PLR0911  one return a kind of value
    if value is None or value == Json("null"):
        return None
    if isinstance(value, str):
        text = written(rules, name, value)
        return text if text is None or kind is None else cast(rules, kind, text)
    if isinstance(value, Json) and value.text.startswith('"'):
        text = written(rules, name, orjson.loads(value.text))
        if text is None:
            return None
        if kind is None:
            same = text == orjson.loads(value.text)
            return value if same and not rewrites(rules, name) else Json(orjson.dumps(text).decode())
        return cast(rules, kind, text)
    if kind is None:
        return value
    return plain(rules, kind, value)


def rewrites(rules: TransformationRules, name: str) -> bool:
    kind = rules.data_types.get(name)
    nulls = rules.null_values if kind is None or kind.null_values is None else kind.null_values
    return trims(rules, name) or name in rules.case or bool(nulls)


def trims(rules: TransformationRules, name: str) -> bool:
    return rules.trim if isinstance(rules.trim, bool) else name in rules.trim


def written(rules: TransformationRules, name: str, text: str) -> str | None:
    kind = rules.data_types.get(name)
    if trims(rules, name):
        text = text.strip(BLANKS)
    nulls = rules.null_values if kind is None or kind.null_values is None else kind.null_values
    if text in (nulls if nulls is not None else ("",) if kind is not None and kind.type != "string" else ()):
        return None
    return {"lower": text.lower(), "upper": text.upper()}.get(rules.case.get(name, ""), text)


def cast(rules: TransformationRules, kind: DataType, text: str) -> Any:
    """Read what a person wrote."""
    comma = rules.decimal_comma if kind.decimal_comma is None else kind.decimal_comma
    separator = kind.thousands_separator or rules.thousands_separator
    if kind.type == "string":
        return text
    if kind.type == "bool":
        yes = kind.true_values or rules.true_values or ("true", "t", "yes", "y", "1")
        no = kind.false_values or rules.false_values or ("false", "f", "no", "n", "0")
        if text.lower() in {word.lower() for word in yes}:
            return True
        if text.lower() in {word.lower() for word in no}:
            return False
        raise Bad("not_bool")
    if kind.type == "json":
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            raise Bad("not_json") from None
        return Json(text.replace("\n", " ").replace("\r", " "))
    if kind.type in ("date", "datetime"):
        return moment(kind, text)
    return number(kind, text, comma=bool(comma), separator=separator)


def number(kind: DataType, text: str, *, comma: bool, separator: str | None) -> Any:
    point = "," if comma else "."
    if separator is not None or comma:
        groups = r"[0-9]+" if separator is None else rf"(?:[0-9]+|[0-9]{{1,3}}(?:{re.escape(separator)}[0-9]{{3}})+)"
        if not re.fullmatch(rf"[+-]?(?:{groups}(?:{re.escape(point)}[0-9]*)?|{re.escape(point)}[0-9]+)(?:[eE][+-]?[0-9]+)?", text):
            raise Bad(f"not_{kind.type}")
        text = text.replace(separator or "", "").replace(point, ".") if separator else text.replace(point, ".")
    if kind.type == "int64":
        if not re.fullmatch("[+-]?[0-9]+", text):
            raise Bad("not_int64")
        if not -(2**63) <= int(text) < 2**63:
            raise Bad("out_of_range")
        return int(text)
    if kind.type == "float64":
        if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
            raise Bad("not_float64")
        if math.isinf(float(text)):
            raise Bad("out_of_range")
        return float(text)
    return decimal(kind, text)


def decimal(kind: DataType, text: str) -> Any:
    if not re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", text):
        raise Bad("not_decimal")
    before, _, behind = text.lstrip("+-").partition(".")
    before = before.lstrip("0")
    sign = "-" if text.startswith("-") else ""
    if kind.scale is None:
        if len(before) + len(behind) > 38:
            raise Bad("out_of_range")
        return sign + (before or "0") + ("." + behind if behind else "")
    if len(behind.rstrip("0")) > kind.scale:
        raise Bad("too_precise")
    if len(before) + kind.scale > 38:
        raise Bad("out_of_range")
    return Decimal(sign + (before or "0") + "." + (behind.rstrip("0") or "0"))


def plain(rules: TransformationRules, kind: DataType, value: Any) -> Any:  # noqa: C901, PLR0911  one return a type
    """Read what had a type in the file."""
    if isinstance(value, Json):
        if kind.type == "json":
            return value
        if kind.type == "string":
            if value.text[0] in "[{":
                raise Bad("not_text")
            return value.text
        if kind.type == "bool" and value.text in ("true", "false"):
            return value.text == "true"
        if kind.type == "int64":
            return number(kind, re.sub(r"\.0+$", "", value.text), comma=False, separator=None)
        bare = kind.model_copy(update={"decimal_comma": False, "thousands_separator": None})
        common = rules.model_copy(update={"decimal_comma": False, "thousands_separator": None})
        return cast(common, bare, value.text)
    if kind.type == "float64" and type(value) in (int, float):
        if not math.isfinite(value):
            raise Bad("not_float64")
        return float(value)
    if kind.type == "int64" and type(value) is float:
        if not math.isfinite(value) or value != math.floor(value) or not -(2**63) <= value < 2**63:
            raise Bad("not_int64")
        return int(value)
    return plain(rules, kind, Json(orjson.dumps(value).decode()))


def ask(rules: TransformationRules, name: str, value: Any) -> Iterator[str]:  # noqa: C901  one branch a rule
    """Yield the codes of the rules that a value breaks."""
    kind = rules.data_types.get(name)
    if value is None:
        if name in rules.required:
            yield "missing"
        return
    text = value
    if isinstance(value, Json) and kind is None:
        text = orjson.loads(value.text) if value.text.startswith('"') else None
    asks_text = name in rules.regex or name in rules.length or (name in rules.enum and (kind is None or kind.type == "string"))
    if asks_text and not isinstance(text, str):
        yield "not_text"
        return
    if name in rules.regex and not re.fullmatch(rules.regex[name], text):
        yield "no_match"
    if kind is not None:
        measured = Decimal(value) if kind.type == "decimal" else value
        if name in rules.min and measured < check.bound(kind, rules.min[name]):
            yield "too_small"
        if name in rules.max and measured > check.bound(kind, rules.max[name]):
            yield "too_large"
    length = rules.length.get(name)
    if length is not None and length.min is not None and len(text) < length.min:
        yield "too_short"
    if length is not None and length.max is not None and len(text) > length.max:
        yield "too_long"
    if name in rules.enum and text not in rules.enum[name]:
        yield "not_one_of"
