"""What commands print: facts to standard output, errors to standard error, colours only on a terminal."""

import re
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
import typer

from flows.core.clock import SystemClock, rfc3339


def as_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under a head, in columns as wide as they need."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
    typer.secho(_line(head, widths), bold=True)
    for row in texts:
        typer.echo(_line(row, widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def complain(text: str) -> None:
    """Print a sentence to standard error."""
    typer.secho(f"xyra: {text}", err=True, fg="red")


def volume(size: int) -> str:
    """Say a number of bytes, in MiB or KiB where it is one or more."""
    if size < 2**10:
        return f"{size} bytes"
    return f"{size / 2**20:,.0f} MiB" if size >= 2**20 else f"{size / 2**10:,.0f} KiB"


def printable(data: bytes | None) -> str:
    """Return bytes as text that does nothing to a terminal: what cannot be printed is escaped."""
    if data is None:
        return "-"
    text = data.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_TIME: Final = re.compile(r"^[0-9T:.-]+Z  ")


class Progress:
    """Prints what happens, with the time, as the processes log it."""

    def __init__(self) -> None:
        """Begin now."""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self._began

    def say(self, text: str) -> None:
        """Print one line of progress."""
        typer.echo(typer.style(f"{rfc3339(SystemClock().now_ms())}  ", dim=True) + text)


def said(line: str) -> str:
    """Return what a line says, without the time that `Progress` has put before it."""
    return _TIME.sub("", line, count=1)
