"""What `xyra import` is given: a file of this machine, or the URL of one that a worker fetches."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple
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
