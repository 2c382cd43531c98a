"""The shared strings of a workbook: in memory up to a bound, beyond it in a scratch file."""

import html
import os
import re
import tempfile
from array import array
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import IO, Final
from xml.parsers import expat

from connectors.files.bounds import Limits, refusal
from connectors.files.xlsx_book import parser

_ROOT: Final = re.compile(rb"<(\w+:)?sst[\s>/]")
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")


def as_it_stands(raw: bytes) -> bool:
    """Say whether what stands between tags is the text itself."""
    return b"&" not in raw and b"_x" not in raw and b"\r" not in raw


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

    def extend(self, texts: list[bytes]) -> None:
        """Add the next ones, in UTF-8."""
        self._starts.extend(islice(accumulate(map(len, texts), initial=self._starts[-1]), 1, None))
        self._memory += b"".join(texts)
        if len(self._memory) > self._limits.string_bytes:
            self._file = self._file or tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115  it lives as long as the strings do
            self._file.write(self._memory)
            self._file.flush()
            self._spilled += len(self._memory)
            self._memory.clear()

    def take(self, numbers: Iterable[int]) -> list[str]:
        """Return the strings of these numbers. Raises IndexError."""
        starts, memory, spilled, most = self._starts, self._memory, self._spilled, len(self)
        texts = []
        for number in numbers:
            if not 0 <= number < most:
                raise IndexError(number)
            start, end = starts[number], starts[number + 1]
            raw = memory[start - spilled : end - spilled] if start >= spilled else self._spilled_text(start, end)
            texts.append(raw.decode("utf-8", "replace"))
        return texts

    def _spilled_text(self, start: int, end: int) -> bytes:
        return os.pread(self._file.fileno(), end - start, start) if self._file else b""

    def close(self) -> None:
        """Let the scratch file go."""
        if self._file:
            self._file.close()


def fill(strings: Strings, blocks: Iterable[bytes], limits: Limits) -> None:
    """Read the part that holds the strings. Raises `Unreadable`."""
    held, prefix = b"", None
    for block in blocks:
        held += block
        if prefix is None:
            if b"<!DOCTYPE" in held.upper():
                raise refusal("forbidden_markup", where="The list of shared strings")
            root = _ROOT.search(held)
            if root is None:
                continue
            prefix, held = root[1] or b"", held[root.end() :]
        close = b"</%bsi>" % prefix
        end = held.rfind(close) + len(close)
        if end >= len(close):
            strings.extend(_texts(held[:end], prefix))
            held = held[end:]
        elif len(held) > limits.row_bytes:
            raise refusal("row_too_large", where=f"The shared string {len(strings):,}", limit=limits.row_bytes)
    if prefix is not None and b"<%bsi" % prefix in held:
        strings.extend(_texts(held.partition(b"</%bsst" % prefix)[0], prefix))


@lru_cache(maxsize=8)
def _plain(prefix: bytes) -> re.Pattern[bytes]:
    pattern = rb"<PREsi><PREt(?: xml:space=\"preserve\")?(?:/>|>([^<]*+)</PREt>)</PREsi>"
    return re.compile(pattern.replace(b"PRE", re.escape(prefix)))


def _texts(block: bytes, prefix: bytes) -> list[bytes]:
    """Return the strings of a block that ends behind one."""
    plain: list[bytes] = _plain(prefix).findall(block)
    begin = block.find(b"<%bsi" % prefix)
    if len(plain) == block.count(b"<%bsi" % prefix):
        if as_it_stands(block):
            return plain
        return [text_of(raw).encode("utf-8", "replace") for raw in plain]
    return [text.encode("utf-8", "replace") for text in _rich(block[begin:])]


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
