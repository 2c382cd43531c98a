"""What is said of a field that is not valid: our sentence for each kind of error the validator knows."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from flows.core.errors import FieldError
from ingress import problems
from ingress.branches import fitting
from ingress.forms import FORMS

OBJECT: Final = ("not_an_object", "give a JSON object")
LIST: Final = ("not_a_list", "give a list")
TEXT: Final = ("not_text", "give text")
WHOLE: Final = ("not_a_whole_number", "give a whole number")
BOOLEAN: Final = ("not_a_boolean", "give true or false")
NUMBER: Final = ("not_a_number", "give a number")
TIME: Final = ("not_a_time", "give a time as RFC 3339 has it, such as 2026-01-31T12:00:00Z")
SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "dict_type": OBJECT,
    "mapping_type": OBJECT,
    "tuple_type": LIST,
    "list_type": LIST,
    "string_type": TEXT,
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "int_parsing_size": ("too_large", "give a smaller number"),
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": NUMBER,
    "datetime_type": TIME,
    "datetime_parsing": TIME,
    "datetime_from_date_parsing": TIME,
    "timezone_aware": ("no_zone", "say in which zone the time is: end it with Z for UTC, or with an offset such as +01:00"),
    "bool_type": BOOLEAN,
    "bool_parsing": BOOLEAN,
    "literal_error": ("not_one_of", "give {expected}"),
    "string_pattern_mismatch": ("wrong_form", "give {pattern}"),
    "string_too_short": ("too_short", "give at least {min_length} character(s)"),
    "string_too_long": ("too_long", "give at most {max_length} characters"),
    "too_short": ("too_short", "give at least {min_length} {field_type}"),
    "too_long": ("too_long", "give at most {max_length} {field_type}"),
    "greater_than": ("too_small", "give more than {gt}"),
    "greater_than_equal": ("too_small", "give at least {ge}"),
    "less_than": ("too_large", "give less than {lt}"),
    "less_than_equal": ("too_large", "give at most {le}"),
}
"""The validator's type of error to our code and sentence; `{}` takes what it says of the limit, never of the value, which may be a secret."""
WORDS: Final = {
    "True": "true",
    "False": "false",
    "None": "null",
    "Value": "character(s)",
    "Tuple": "element(s)",
    "List": "element(s)",
    "Dictionary": "field(s)",
}
"""What the validator names as Python does, and what of it is counted; its `Value` is text that is a secret."""
_SENTENCE: Final = re.compile(r"(?<=\.)\s")
"""Behind a sentence: what a field is stands in the first one of its description."""


def errors_of(found: Iterable[Mapping[str, Any]], body: object, wanted: Any) -> tuple[FieldError, ...]:
    """Name each wrong field: by its pointer in the body, else by its place and name.

    Args:
        found: what the validator says.
        body: what was read; None where there was nothing.
        wanted: what the body should have been, a type; its names are offered for one that is not known.

    """
    return tuple(dict.fromkeys(_error(one, body, wanted) for one in fitting(found, body)))


def _error(found: Mapping[str, Any], body: object, wanted: Any) -> FieldError:
    kind, location = str(found["type"]), tuple(found["loc"])
    in_body = location[:1] == ("body",)
    if location == ("body",) and kind == "missing":
        return FieldError("", "missing", "the body is empty: give a JSON object")
    if location == ("body",) and SENTENCES.get(kind) == OBJECT:
        return FieldError("", OBJECT[0], "the body must be a JSON object")
    pointer = problems.pointer(location[1:], body, absent=kind == "missing") if in_body else "/" + "/".join(str(part) for part in location)
    if kind in {"extra_forbidden", "missing"}:
        siblings, name = _siblings(location[1:], wanted) if in_body else {}, str(location[-1])[:64]
        return FieldError(pointer, *(_missing(name, siblings) if kind == "missing" else _unknown(name, siblings)))
    code, sentence = SENTENCES.get(kind, (kind, str(found["msg"]).removeprefix("Value error, ")))
    if kind == "int_parsing_size" and in_body:
        code, sentence = _beyond(found.get("input"), *_bounds(location[1:], wanted))
    limits = {name: FORMS.get(str(limit)) or WORDS.get(str(limit), limit) for name, limit in found.get("ctx", {}).items()} if kind in SENTENCES else {}
    return FieldError(pointer, code, sentence.format_map(limits) if limits else sentence)


def _missing(name: str, siblings: Mapping[str, FieldInfo]) -> tuple[str, str]:
    field = siblings.get(name)
    what = _SENTENCE.split(field.description, maxsplit=1)[0] if field is not None and field.description else ""
    if field is not None and get_origin(field.annotation) is Literal:
        what += f" It is one of {', '.join(map(repr, get_args(field.annotation)))}."
    return "missing", "give this field" + (f": {what.lstrip()}" if what else "")


def _unknown(name: str, siblings: Mapping[str, FieldInfo]) -> tuple[str, str]:
    near = get_close_matches(name, siblings, n=1)
    known = f"; there are {', '.join(siblings)}" if siblings else ""
    return "unknown_field", f"there is no field {name}{f'; did you mean {near[0]}?' if near else known}"


def _beyond(value: object, least: object, most: object) -> tuple[str, str]:
    """Say of a number that is beyond those a processor counts with, such as 1e99, what is said of others out of bounds."""
    below = isinstance(value, int | float) and value < 0
    if below and least is not None:
        return "too_small", f"give at least {least}"
    return ("too_small", "give a larger number") if below else ("too_large", "give a smaller number" if most is None else f"give at most {most}")


def _bounds(location: Sequence[str | int], wanted: Any) -> tuple[object, ...]:
    """Return the least and the most that a number may be where a location leads to; None where there is no bound."""
    kind, marks = wanted, list[object]()
    for part in location:
        field = _fields(kind).get(str(part))
        kind, marks = (_inside(kind), []) if field is None else (field.annotation, field.metadata)
    marks = [*marks, *(mark for one in (kind, *get_args(kind)) for mark in getattr(one, "__metadata__", ()))]
    marks = [inner for mark in marks for inner in getattr(mark, "metadata", (mark,))]
    return tuple(next((bound for mark in marks if (bound := getattr(mark, name, None)) is not None), None) for name in ("ge", "le"))


def _siblings(location: Sequence[str | int], wanted: Any) -> Mapping[str, FieldInfo]:
    """Return the fields there are where a location leads to; none where that is not known."""
    kind = wanted
    for part in location[:-1]:
        fields = _fields(kind)
        kind = fields[str(part)].annotation if str(part) in fields else _inside(kind)
    return _fields(kind)


def _inside(kind: Any) -> Any:
    """Return what the values of an object or a list are, by its type; None where that is not known."""
    parts = [part for part in get_args(kind) if part is not ...]
    return parts[-1] if parts else None


def _fields(kind: Any) -> Mapping[str, FieldInfo]:
    model = _model(kind)
    return {} if model is None else {field.alias or name: field for name, field in model.model_fields.items()}


def _model(kind: Any) -> type[BaseModel] | None:
    """Return the model a type is, or the first of its branches."""
    return next((one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, BaseModel)), None)
