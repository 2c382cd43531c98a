"""JSON Schema for record bodies: draft 2020-12 unless `$schema` says otherwise, formats asserted, nothing fetched, patterns in linear time."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import orjson
from jsonschema_rs import ValidationErrorKind as Kind

from flows.core import pointer
from flows.core.errors import FieldError
from flows.core.foreign import guarded, short
from flows.core.verdict import Reason

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 64
MAX_REASONS: Final = 100
UNQUOTED: Final = "the value"
"""Stands for what is not quoted."""


class InvalidSchemaError(ValueError):
    """A schema that cannot be used; carries the place in it and a sentence."""

    def __init__(self, wrong: FieldError) -> None:
        """Take what is wrong."""
        super().__init__(wrong.detail)
        self.wrong = wrong


class Schema:
    """A compiled schema."""

    __slots__ = ("_validator",)

    def __init__(self, schema: dict[str, Any] | bool, *, quoting: bool = True) -> None:  # noqa: FBT001  a schema may be true or false
        """Compile a schema.

        Args:
            schema: the schema.
            quoting: whether reasons may quote what they refuse.

        Raises:
            InvalidSchemaError: it is no schema, is too large, or refers to something outside itself.

        """
        _bounded(schema)
        try:
            self._validator = guarded(lambda: _compile(schema, None if quoting else UNQUOTED), ValueError, let=(jsonschema_rs.ValidationError,))
        except jsonschema_rs.ValidationError as error:
            raise InvalidSchemaError(_wrong(error)) from error
        except ValueError as error:
            raise InvalidSchemaError(FieldError("", "invalid_schema", f"cannot be used: {error}")) from error

    def reasons(self, value: Any) -> tuple[Reason, ...]:
        """Return every violation with its pointer, `MAX_REASONS` at most; none when the value is valid. Never raises."""
        try:
            return guarded(lambda: self._violations(value), ValueError)
        except ValueError as error:  # nested deeper than the library goes
            return (Reason("schema", f"the body cannot be checked: {error}"),)

    def _violations(self, value: Any) -> tuple[Reason, ...]:
        if self._validator.is_valid(value):
            return ()
        found = (reason for error in self._validator.iter_errors(value) for reason in _told(error, value))
        return tuple(islice(found, MAX_REASONS))


def _told(error: jsonschema_rs.ValidationError, value: Any) -> Iterator[Reason]:
    """Give a reason for each field or item that an error is about, at its own place, where it stands or would stand: another field is another cause."""
    about: list[tuple[list[str], str]] = [([], error.message)]
    here = pointer.get(value, tuple(map(str, error.instance_path)))
    match error.kind:
        case Kind.Required(property=missing):
            about = [([missing], error.message)]
        case Kind.PropertyNames(error=inner):
            about = [([str(inner.instance)], error.message)]
        case Kind.AdditionalProperties(unexpected=fields):
            about = [([field], f"Additional properties are not allowed ({field!r} was unexpected)") for field in fields]
        case Kind.UnevaluatedProperties(unexpected=fields):
            about = [([field], f"Unevaluated properties are not allowed ({field!r} was unexpected)") for field in fields]
        case Kind.UnevaluatedItems(unexpected=items) if places := _places(items, here):
            about = [([str(at)], f"Unevaluated items are not allowed (the one at {at} was unexpected)") for at in places]
        case Kind.AdditionalItems(limit=limit):
            about = [([str(at)], f"Additional items are not allowed (the one at {at} was unexpected)") for at in range(limit, len(here))]
        case Kind.FalseSchema() if fields := _closed_to(error, here):
            about = [([field], f"Additional properties are not allowed ({field!r} was unexpected)") for field in fields]
    for field, message in about:
        yield Reason("schema", short(message), pointer.text([*error.instance_path, *field]))


def _places(unexpected: list[Any], items: list[Any]) -> list[int]:
    """Return where items stand of which the library tells what they are, as JSON; empty: that is not certain.

    Of equal ones the last are meant: what is allowed by its place stands first, and all else is judged by what it is.
    """
    left, found = [_alike(orjson.loads(text)) for text in unexpected], list[int]()
    for at in reversed(range(len(items))):
        if left and _alike(items[at]) == left[-1]:
            left.pop()
            found.append(at)
    return [] if left else found[::-1]


def _alike(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _closed_to(error: jsonschema_rs.ValidationError, here: Any) -> list[str]:
    """Return the fields of an object that may have none: the library tells the first one's value only, at the object's own place."""
    if error.schema_path[-1:] != ["additionalProperties"]:
        return []
    return list(here) if isinstance(here, dict) and here != error.instance else []  # else it is a field of that name, which is refused itself


def _compile(schema: dict[str, Any] | bool, mask: str | None) -> jsonschema_rs.Validator:  # noqa: FBT001  a schema may be true or false
    return jsonschema_rs.validator_for(schema, mask=mask, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions(), offline=True)


def _bounded(schema: Any) -> None:
    todo = [(schema, 1)]
    while todo:
        value, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise InvalidSchemaError(FieldError("", "too_deep", f"is nested deeper than {MAX_DEPTH}"))
        if isinstance(value, dict | list):
            todo.extend((item, depth + 1) for item in (value.values() if isinstance(value, dict) else value))
    size = len(orjson.dumps(schema))
    if size > MAX_BYTES:
        raise InvalidSchemaError(FieldError("", "too_large", f"has {size} bytes; {MAX_BYTES} are allowed"))


def _wrong(error: jsonschema_rs.ValidationError) -> FieldError:
    if "Retrieval is disabled" in error.message:
        detail = f"refers to {error.message.split()[1]}, and nothing is fetched: put it under $defs and refer to it as #/$defs/NAME"
        return FieldError("", "remote_reference", detail)
    return FieldError(pointer.text(error.instance_path), "invalid_schema", f"is no JSON Schema: {short(error.message)}")
