"""The shared strings of a workbook: in memory up to a bound, beyond it in a scratch file."""

import html
import os
import re
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final
from xml.parsers import expat

from connectors.files.limits import Limits, refusal
from connectors.files.xlsx_book import parser

_PLAIN: Final = re.compile(rb"<(?:\w+:)?si><(?:\w+:)?t(?: xml:space=\"preserve\")?(?:/>|>([^<]*)</(?:\w+:)?t>)</(?:\w+:)?si>")
_OPEN: Final = re.compile(rb"<(?:\w+:)?si[\s/>]")
_CLOSE: Final = re.compile(rb"</(?:\w+:)?si\s*>|<(?:\w+:)?si\s*/>")
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")


def text_of(raw: bytes) -> str:
    """Return the text that stands between two tags."""
    text = raw.decode("utf-8", "replace")
    if "&" in text:
        text = html.unescape(text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unescaped(text)


def unescaped(text: str) -> str:
    """Return a text with what a workbook escapes in its own way (`_x000D_`)."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


class Strings:
    """Strings by their number. `array('Q')` holds where each begins; the texts lie in memory or in a scratch file."""

    def __init__(self, scratch: Path, limits: Limits) -> None:
        """Take the directory that a scratch file may be made in."""
        self._scratch = scratch
        self._limits = limits
        self._starts = array("Q", [0])
        self._memory = bytearray()
        self._spilled = 0
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._starts) - 1

    def add(self, text: str) -> None:
        """Add the next one."""
        self._memory += text.encode("utf-8", "surrogatepass")
        self._starts.append(self._spilled + len(self._memory))
        if len(self._memory) > self._limits.string_bytes:
            self._file = self._file or tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115  it lives as long as the strings do
            self._file.write(self._memory)
            self._file.flush()
            self._spilled += len(self._memory)
            self._memory.clear()

    def __getitem__(self, number: int) -> str:
        """Return one of them. Raises IndexError."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        start, end = self._starts[number], self._starts[number + 1]
        if start >= self._spilled:
            return self._memory[start - self._spilled : end - self._spilled].decode("utf-8", "replace")
        assert self._file is not None  # noqa: S101  what was spilled lies in it
        return os.pread(self._file.fileno(), end - start, start).decode("utf-8", "replace")

    def close(self) -> None:
        """Let the scratch file go."""
        if self._file:
            self._file.close()


def fill(strings: Strings, blocks: Iterable[bytes], limits: Limits) -> None:
    """Read the part that holds the strings. Raises `Unreadable`."""
    held = b""
    first = True
    for block in blocks:
        held += block
        if first and b"<!DOCTYPE" in held.upper():
            raise refusal("forbidden_markup", where="The list of shared strings")
        first = False
        end = next((match.end() for match in [*_CLOSE.finditer(held)][-1:]), 0)
        if end:
            for text in _texts(held[:end]):
                strings.add(text)
            held = held[end:]
        elif len(held) > limits.row_bytes:
            raise refusal("row_too_large", where=f"The shared string {len(strings):,}", limit=limits.row_bytes)


def _texts(block: bytes) -> Iterator[str]:
    """Yield the strings of a block that ends behind one."""
    plain = _PLAIN.findall(block)
    if len(plain) == len(_OPEN.findall(block)):
        yield from map(text_of, plain)
        return
    begin = _OPEN.search(block)
    if begin is not None:
        yield from _rich(block[begin.start() :])


def _rich(block: bytes) -> list[str]:
    """Return strings that consist of runs; how they are read aloud (`rPh`) is left out."""
    texts: list[str] = []
    inside: list[str] = []

    def start(tag: str, _: dict[str, str]) -> None:
        local = tag.rpartition(":")[2]
        inside.append(local)
        if local == "si":
            texts.append("")

    def data(text: str) -> None:
        if inside and inside[-1] == "t" and "rPh" not in inside:
            texts[-1] += text

    reader = parser("The list of shared strings", start)
    reader.CharacterDataHandler = data
    reader.EndElementHandler = lambda _: inside.pop()
    try:
        reader.Parse(b"<sst>" + block + b"</sst>", True)
    except expat.ExpatError as error:
        raise refusal("damaged", where="in the list of shared strings", what=str(error)) from None
    return [unescaped(text) for text in texts]
