"""The shared strings of a workbook: in memory up to a bound, beyond it in a scratch file."""

import html
import re
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Final
from xml.parsers import expat

import polars as pl

from connectors.files.bounds import Limits, refusal
from connectors.files.xlsx_book import parser

_ROOT: Final = re.compile(rb"<(\w+:)?sst[\s>/]")
_VIEW_BYTES: Final = 16
"""What a column keeps of a string beside its bytes."""
_ESCAPE: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")


def texts_of(raws: Sequence[bytes]) -> pl.Series:
    """Return texts in UTF-8 as a column; what is none is replaced."""
    try:
        return pl.Series(raws, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series([raw.decode("utf-8", "replace") for raw in raws], dtype=pl.String)


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
    """Strings by their number: the first ones, which are those that come again, in memory; others in a scratch file."""

    def __init__(self, scratch: Path, limits: Limits) -> None:
        """Take the directory that a scratch file may be made in."""
        self._scratch = scratch
        self._room = limits.string_bytes
        self.longest = 0
        """Bytes of the longest one."""
        self._held: list[pl.Series] = []
        self._count = 0
        """Of those that are held."""
        self._starts = array("Q", [0])
        """Where each of the others begins in the file."""
        self._file: IO[bytes] | None = None
        self._map: mmap | None = None

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count + len(self._starts) - 1

    def extend(self, texts: list[bytes]) -> None:
        """Add the next ones, in UTF-8; before any is asked for."""
        sizes = list(map(len, texts))
        self.longest = max(self.longest, max(sizes, default=0))
        self._room -= sum(sizes) + _VIEW_BYTES * len(sizes)
        if self._room >= 0 and self._file is None:
            self._held.append(texts_of(texts))
            self._count += len(texts)
            return
        self._file = self._file or tempfile.TemporaryFile(dir=self._scratch)  # noqa: SIM115  it lives as long as the strings do
        self._file.write(b"".join(texts))
        self._starts.extend(islice(accumulate(sizes, initial=self._starts[-1]), 1, None))

    def take(self, numbers: pl.Series) -> pl.Series:
        """Return the strings of these numbers, null for null. Raises IndexError."""
        most = numbers.max()
        if isinstance(most, int) and most >= len(self):
            raise IndexError(most)
        held = self._one_column()
        if not isinstance(most, int) or most < self._count:
            return held.gather(numbers)
        late = (numbers >= self._count).fill_null(value=False)
        others = numbers.filter(late).unique().sort()
        texts = texts_of([self._spilled(number - self._count) for number in others])
        early = held.gather(numbers.set(late, None))
        return texts.gather(others.search_sorted(numbers).set(~late, None)).zip_with(late, early)

    def one(self, number: int) -> str:
        """Return the string of this number. Raises IndexError."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        return str(self._one_column()[number]) if number < self._count else self._spilled(number - self._count).decode("utf-8", "replace")

    def _one_column(self) -> pl.Series:
        if len(self._held) != 1:
            self._held = [pl.concat(self._held, rechunk=True)] if self._held else [pl.Series(dtype=pl.String)]
        return self._held[0]

    def _spilled(self, number: int) -> bytes:
        if self._map is None and self._file is not None and self._starts[-1]:
            self._file.flush()
            self._map = mmap(self._file.fileno(), 0, access=ACCESS_READ)
        return self._map[self._starts[number] : self._starts[number + 1]] if self._map else b""

    def close(self) -> None:
        """Let the scratch file go."""
        if self._map:
            self._map.close()
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
