"""Types and values of rows that were kept (`flows.core.files.kept`), as Arrow has them. It is loaded with Arrow: where there are such rows."""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import orjson
import pyarrow as pa

from connectors.files.keep import ticks
from flows.core.files.kept import FRAGMENT, Type

FLAT: Final[Mapping[str, pa.DataType]] = {
    str(kind): kind
    for kind in (
        *(pa.null(), pa.bool_(), pa.string(), pa.binary(), pa.date32(), pa.date64()),
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()),
        *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
        *(make(unit) for make in (pa.timestamp, pa.duration) for unit in ("s", "ms", "us", "ns")),
    )
}
ZONED: Final = re.compile(r"timestamp\[(\w+), tz=(.+)\]")
DECIMAL: Final = re.compile(r"decimal(\d+)\((\d+), (-?\d+)\)")
FIXED: Final = re.compile(r"fixed_size_binary\[(\d+)\]")
DECIMALS: Final[Mapping[str, Callable[[int, int], pa.DataType]]] = {"32": pa.decimal32, "64": pa.decimal64, "128": pa.decimal128, "256": pa.decimal256}


def named(kind: pa.DataType) -> Type:
    """Return the name of a type: of one that says how values are held, the name of what it holds."""
    if isinstance(kind, pa.ExtensionType):
        return named(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return named(kind.value_type)
    if pa.types.is_struct(kind):
        return ["struct", [[kind.field(at).name, named(kind.field(at).type)] for at in range(kind.num_fields)]]
    if pa.types.is_map(kind):
        return ["map", named(kind.key_type), named(kind.item_type)]
    if pa.types.is_nested(kind):
        return ["list", named(kind.value_type)]
    return str(kind).removeprefix("large_").removesuffix("_view")


def of(name: Type) -> pa.DataType:
    """Return the type of a name; strings for JSON that may be of any, and for a name that is none."""
    match name:
        case ["struct", [*fields]]:
            return pa.struct([(field, of(kind)) for field, kind in fields])
        case ["map", key, value]:
            return pa.map_(of(key), of(value))
        case ["list", kind]:
            return pa.list_(of(kind))
        case str():
            return FLAT.get(name) or _made(name) or pa.string()
    raise ValueError(name)


def _made(name: str) -> pa.DataType | None:
    if found := ZONED.fullmatch(name):
        return pa.timestamp(*found.groups())
    if found := DECIMAL.fullmatch(name):
        return DECIMALS[found[1]](int(found[2]), int(found[3]))
    return pa.binary(int(found[1])) if (found := FIXED.fullmatch(name)) else None


def array(name: Type, values: Sequence[Any]) -> pa.Array:
    """Return values that were kept as a column of their type."""
    kind = of(name)
    make = _fragment if name == FRAGMENT else maker(kind)
    return pa.array(values if make is None else [None if value is None else make(value) for value in values], kind)


def maker(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """Return what makes a value of a type of how it was kept; None: it is the same."""
    kinds = pa.types
    make: Callable[[Any], Any] | None = None
    if kinds.is_binary(kind) or kinds.is_fixed_size_binary(kind):
        make = b64decode
    elif kinds.is_floating(kind):
        make = float
    elif kinds.is_decimal(kind):
        make = Decimal
    elif kinds.is_date(kind):
        make = partial(ticks, unit="d" if kinds.is_date32(kind) else "ms")
    elif kinds.is_temporal(kind):
        make = partial(ticks, unit=kind.unit)
    elif kinds.is_struct(kind):
        make = partial(_struct, [(kind.field(at).name, maker(kind.field(at).type)) for at in range(kind.num_fields)])
    elif kinds.is_map(kind):
        make = partial(_map, _key(kind.key_type), maker(kind.item_type))
    elif kinds.is_nested(kind):
        make = partial(_list, maker(kind.value_type))
    elif kinds.is_string(kind):
        make = _text
    return make


def _key(kind: pa.DataType) -> Callable[[str], Any]:
    """Return what makes a key: of JSON they are all texts."""
    if pa.types.is_boolean(kind):
        return lambda text: text == "true"
    return int if pa.types.is_integer(kind) else maker(kind) or str


def _fragment(value: Any) -> str:
    return orjson.dumps(value).decode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _fragment(value)


def _one(make: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if value is None or make is None else make(value)


def _struct(members: Sequence[tuple[str, Callable[[Any], Any] | None]], value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _one(make, value.get(name)) for name, make in members}


def _map(key: Callable[[str], Any], make: Callable[[Any], Any] | None, value: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    return [(key(name), _one(make, member)) for name, member in value.items()]


def _list(make: Callable[[Any], Any] | None, values: Sequence[Any]) -> list[Any]:
    return [_one(make, value) for value in values]
