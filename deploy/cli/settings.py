"""`xyra settings`."""

from collections.abc import Mapping
from typing import Any

from deploy.cli.output import complain, table
from deploy.local.place import KAFKA, REDIS, decide
from flows.core.settings import Rate, load, rows, unknown


def report(environ: Mapping[str, str], data_dir: str = "") -> dict[str, Any]:
    """Return every setting with its value as it holds for `xyra up` here, and the variables that are no setting.

    Raises:
        WrongSetting: a value is not allowed.

    """
    plain, place = load(environ, data_dir=data_dir), decide(environ, data_dir)
    own = {KAFKA: place.local_kafka, REDIS: place.local_valkey}
    found = []
    for row in rows():
        source = "environment" if environ.get(row.variable) else "default"
        value = getattr(plain, row.name)
        if own.get(row.variable):
            source, value = "local stack", getattr(place.settings, row.name)
        if row.name == "data_dir" and data_dir:
            source = "option"
        hidden = "(set)" if value else "(not set)"
        text = hidden if row.secret else _text(value)
        found.append({"variable": row.variable, "value": text, "from": source, "default": row.default, "allowed": row.allowed, "meaning": row.meaning})
    return {"settings": found, "unknown": unknown(environ)}


def show(found: dict[str, Any]) -> None:
    """Print it for a person."""
    head = ("variable", "value", "from", "default", "allowed")
    table(head, [[row[name] for name in head] for row in found["settings"]])
    for name in found["unknown"]:
        complain(f"{name} is set and is no setting of this version.")


def _text(value: object) -> str:
    if isinstance(value, Rate):
        names = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}
        return f"{value.count}/{names[value.seconds]}"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
