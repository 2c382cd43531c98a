"""The README's tables of what an import may say: its rules, and how its file is read."""

from collections.abc import Iterator
from typing import Any, Final

from flows.core.imports.rules import Reading, TransformationRules
from flows.core.imports.source import OPTIONS, SourceConfig

Schema = dict[str, Any]
_REF: Final = "#/$defs/"
_KINDS: Final = {"string": "text", "integer": "number", "number": "number", "boolean": "`true` or `false`", "object": "object"}


def rule_rows() -> Iterator[tuple[str, str, str]]:
    """Yield each rule, and each field of those that have some, with what it takes and what it does: those about values as text behind the others."""
    schema = TransformationRules.model_json_schema()
    fields, defs = schema["properties"], schema["$defs"]
    for name in sorted(fields, key=lambda name: name in Reading.model_fields):
        yield _row(name, fields[name], defs)
        for kind, path in _inside(fields[name]):
            for inner, field in defs[kind]["properties"].items():
                if inner not in Reading.model_fields:
                    yield _row(f"{name}{path}.{inner}", field, defs)


def source_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield each field of `source_config`: what it takes, of which formats, and what it means."""
    schema = SourceConfig.model_json_schema()
    for name, field in schema["properties"].items():
        formats = OPTIONS.get(name, frozenset())
        name_, takes, meaning = _row(name, field, schema.get("$defs", {}))
        yield name_, takes, "all" if not formats or formats == OPTIONS["compression"] else ", ".join(sorted(formats)), meaning


def _row(name: str, field: Schema, defs: Schema) -> tuple[str, str, str]:
    return f"`{name}`", _takes(field, defs), " ".join(field.get("description", "").split())


def _inside(schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield the models in a schema, each with the path to it."""
    if "$ref" in schema:
        yield schema["$ref"].removeprefix(_REF), ""
    for option in schema.get("anyOf", ()):
        yield from _inside(option)
    for kind, path in _inside(schema["items"]) if "items" in schema else ():
        yield kind, f"[]{path}"
    for value in schema.get("patternProperties", {}).values():
        for kind, path in _inside(value):
            yield kind, f".COLUMN{path}"


def _takes(schema: Schema, defs: Schema) -> str:
    """Say what a schema allows, in some words."""
    if "$ref" in schema:
        return f"object of {', '.join(f'`{name}`' for name in defs[schema['$ref'].removeprefix(_REF)]['properties'] if name not in Reading.model_fields)}"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_takes(option, defs) for option in schema["anyOf"] if option.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{value}`" if value.strip() else f"`U+{ord(value):04X}`" for value in schema["enum"])
    if schema.get("type") == "array":
        items = _takes(schema["items"], defs)
        return f"list of ({items})" if "anyOf" in schema["items"] else f"list of {items}"
    values = list(schema.get("patternProperties", {}).values())
    return f"by name: {_takes(values[0], defs)}" if values else _KINDS.get(schema.get("type", ""), "any value")
