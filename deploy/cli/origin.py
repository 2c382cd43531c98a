"""What `xyra import` is given: a file of this machine, or the URL of one that a worker fetches, and how it is to be read."""

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple, get_args
from urllib.parse import unquote, urlsplit

import typer

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PACKED: Final = (".gz", ".zst", ".zip")
"""What a file's name may end with behind the extension that says its format."""


class Origin(NamedTuple):
    """Where the file is: one of the two."""

    file: Path | None
    url: str = ""

    @property
    def name(self) -> str:
        """The last part of where it is, and not what a query says; for a URL without a path its host."""
        if self.file is not None:
            return self.file.name
        parts = urlsplit(self.url)
        return unquote(PurePosixPath(parts.path).name) or parts.netloc.rpartition("@")[2]

    @property
    def data_format(self) -> str:
        """What its name says that it is; empty where that says nothing."""
        from flows.core.files.guess import EXTENSIONS

        name = self.name.lower()
        for packed in _PACKED:
            name = name.removesuffix(packed)
        return EXTENSIONS.get(name.rpartition(".")[2], "") if "." in name else ""


def read_origin(given: str) -> Origin:
    """Return what an argument means; blocks for a look at the disk. Raises BadParameter for what is neither a URL nor a file that can be read."""
    if _URL.match(given):
        try:
            urlsplit(given)
        except ValueError as error:
            raise typer.BadParameter(f"URL {given!r} cannot be read: {error}.") from error
        return Origin(None, given)
    file = Path(given)
    if not file.exists():
        raise typer.BadParameter(f"File {given!r} does not exist.")
    if file.is_dir():
        raise typer.BadParameter(f"File {given!r} is a directory.")
    if not file.is_file():  # a pipe would be waited for, and could not be gone on with
        raise typer.BadParameter(f"File {given!r} is no regular file: write what it gives to one.")
    if not os.access(file, os.R_OK):
        raise typer.BadParameter(f"File {given!r} may not be read.")
    return Origin(file)


def known_format(given: str) -> str:
    """Return the name of a format as it was given; raises BadParameter where there is none of that name."""
    from flows.core.imports.source import DataFormat

    if given and given not in get_args(DataFormat):
        raise typer.BadParameter(f"{given!r} is none; give {', '.join(get_args(DataFormat))}.")
    return given


def read_source(given: Iterable[str]) -> dict[str, Any]:
    """Return the fields of `source_config` that `NAME=VALUE` set; raises BadParameter for what cannot be one.

    A value is JSON where the field takes what it says (`header=false`, `sheet=2`, `columns=["a", "b"]`), else the text as it stands.
    """
    return {name: _value(name, value) for name, value in map(_assignment, given)}


def _assignment(given: str) -> tuple[str, str]:
    from flows.core.imports.source import PLACES, SourceConfig

    name, sign, value = given.partition("=")
    name = name.removeprefix("source_config.")
    if not sign or name not in SourceConfig.model_fields:
        known = ", ".join(field for field in SourceConfig.model_fields if field not in PLACES)
        raise typer.BadParameter(f"{given!r} sets nothing; write NAME=VALUE, where NAME is one of {known}.", param_hint="--set")
    if name in PLACES:
        raise typer.BadParameter(f"where the file is says FILE|URL, and not {name}.", param_hint="--set")
    return name, value


def _value(name: str, text: str) -> Any:
    import orjson
    from pydantic import ValidationError

    from flows.core.imports.source import SourceConfig

    try:
        read = orjson.loads(text)
    except ValueError:
        read = text
    told = ""
    for value in (read, text):
        try:
            SourceConfig.model_validate({name: value})
        except ValidationError as error:
            wrong = error.errors()[0]
            told = wrong["msg"].removeprefix("Value error, ") if wrong["type"] == "value_error" else SourceConfig.model_fields[name].description or ""
        else:
            return value
    raise typer.BadParameter(f"{name} cannot be {text!r}. {told}", param_hint="--set")
