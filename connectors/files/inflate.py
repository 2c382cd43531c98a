"""Inflates gzip and zstd as the bytes come in, bounded in what comes out."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import zstandard
from isal import isal_zlib

from connectors.files.archive import ISAL_ERROR, Archive
from connectors.files.bounds import Limits, refusal
from connectors.files.reader import Unreadable

BLOCK_BYTES: Final = 256 * 1024
"""Most of one block that comes out."""
READ_BYTES: Final = 256 * 1024
_ZSTD_SLICE: Final = 256
"""What goes into a zstd frame at a time: a block of 4 bytes may become 128 KiB, and the library hands out all it has."""
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_NESTED: Final = (_GZIP, _ZSTD, b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!")


class Compression(StrEnum):
    """How a file is packed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    ZIP = "zip"


class Inflater(Protocol):
    """Inflates one file. What it has been fed can be forgotten; it goes on from no place but the beginning."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes and yield what they come to, in blocks of `BLOCK_BYTES` at most. Raises `Unreadable`."""
        ...

    def finish(self) -> None:
        """Say that the file is over. Raises `Unreadable` where it ends early."""
        ...


class Gauge:
    """Counts what goes in and comes out, and refuses what grows too far or is packed twice."""

    def __init__(self, limits: Limits, *, nested: bool = False) -> None:
        """Take the bounds, and whether what comes out may be packed itself."""
        self._limits = limits
        self._nested = nested
        self._head = b""
        self.packed = 0
        self.inflated = 0

    def count(self, block: bytes) -> bytes:
        """Return a block that came out. Raises `Unreadable`."""
        limits = self._limits
        if not self._nested and len(self._head) < len(_NESTED[4]):
            self._head = (self._head + block)[:8]
            if self._head.startswith(_NESTED):
                raise refusal("nested_archive", where="What was packed")
        self.inflated += len(block)
        where = f"at byte {self.packed:,}"
        if self.inflated > limits.inflated_bytes:
            raise refusal("inflates_too_far", limit=limits.inflated_bytes, where=where)
        if self.inflated > limits.ratio_from and self.inflated > limits.ratio * self.packed:
            raise refusal("ratio_too_high", limit=limits.ratio, count=self.inflated, where=where)
        return block


class Gzip:
    """Inflates gzip; members that follow one another are one file, and zeros behind them mean nothing."""

    def __init__(self, gauge: Gauge) -> None:
        """Take what bounds it."""
        self._gauge = gauge
        self._member = isal_zlib.decompressobj(wbits=31)
        self._head = b""
        self._begun = False
        self._done = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes and yield what they come to."""
        data, self._head = self._head + data, b""
        while data:
            if not self._begun:
                data = data.lstrip(b"\0") if self._done else data
                if len(data) < len(_GZIP):
                    self._head = data
                    return
                self._begin(data)
            before = len(data)
            try:
                out = self._member.decompress(data, BLOCK_BYTES)
            except ISAL_ERROR as error:
                raise refusal("damaged", where=f"near byte {self._gauge.packed:,}", what=str(error)) from None
            ended = self._member.eof
            data = self._member.unused_data if ended else self._member.unconsumed_tail
            self._gauge.packed += before - len(data)
            if ended:
                self._begun, self._done = False, self._done + 1
            if out:
                yield self._gauge.count(out)

    def _begin(self, data: bytes) -> None:
        if not data.startswith(_GZIP):
            if not self._done:
                raise refusal("not_gzip")
            raise refusal("damaged", where=f"at byte {self._gauge.packed:,}", what="what follows the last gzip member is none")
        self._member, self._begun = isal_zlib.decompressobj(wbits=31), True

    def finish(self) -> None:
        """Say that the file is over."""
        if not (self._done or self._begun):
            raise refusal("not_gzip" if self._head else "empty_file")
        if self._begun or self._head:
            raise refusal("truncated", where=f"at byte {self._gauge.packed:,}, inside a gzip member")


class Zstd:
    """Inflates zstd; frames that follow one another are one file."""

    def __init__(self, gauge: Gauge, limits: Limits) -> None:
        """Take what bounds it."""
        self._gauge = gauge
        self._limits = limits
        self._kind = zstandard.ZstdDecompressor(max_window_size=limits.window_bytes)
        self._frame = self._kind.decompressobj()
        self._head = b""
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes and yield what they come to."""
        if not self._begun:
            self._head += data
            if len(self._head) < len(_ZSTD):
                return
            if not (self._head.startswith(_ZSTD) or (self._head[1:4] == b"\x2a\x4d\x18" and self._head[0] >> 4 == 5)):  # noqa: PLR2004  a skippable frame
                raise refusal("not_zstd")
            data, self._head, self._begun = self._head, b"", True
        for start in range(0, len(data), _ZSTD_SLICE):
            for out in self._slice(data[start : start + _ZSTD_SLICE]):
                for begin in range(0, len(out), BLOCK_BYTES):
                    yield self._gauge.count(out[begin : begin + BLOCK_BYTES])

    def _slice(self, data: bytes) -> Iterator[bytes]:
        self._gauge.packed += len(data)
        while data:
            if self._frame.eof:
                self._frame = self._kind.decompressobj()
            try:
                out = self._frame.decompress(data)
            except zstandard.ZstdError as error:
                if "memory" in str(error):
                    raise refusal("window_too_large", limit=self._limits.window_bytes) from None
                raise refusal("damaged", where=f"near byte {self._gauge.packed:,}", what=str(error)) from None
            data = self._frame.unused_data if self._frame.eof else b""
            if out:
                yield out

    def finish(self) -> None:
        """Say that the file is over."""
        if not self._begun:
            raise refusal("not_zstd" if self._head else "empty_file")
        if not self._frame.eof:
            raise refusal("truncated", where=f"at byte {self._gauge.packed:,}, inside a zstd frame")


def inflater(compression: Compression, limits: Limits, *, nested: bool = False) -> Inflater:
    """Return what inflates gzip or zstd. `nested`: what comes out may be packed itself, as a workbook is."""
    gauge = Gauge(limits, nested=nested)
    return Gzip(gauge) if compression is Compression.GZIP else Zstd(gauge, limits)


def blocks(path: Path, compression: Compression, limits: Limits, *, member: str | None = None, at: int = 0, nested: bool = False) -> Iterator[bytes]:
    """Yield what a file comes to from byte `at` of it on, in blocks of `BLOCK_BYTES` at most; what lies before is inflated again.

    Blocks for reading. `member` chooses one of a zip archive's. Raises `Unreadable`, at once or when the damage is reached.
    """
    if not at and compression is not Compression.NONE:
        foresee(_blocks(path, compression, limits, member, nested=nested), limits)
    for block in _blocks(path, compression, limits, member, nested=nested):
        if at >= len(block):
            at -= len(block)
            continue
        yield block[at:] if at else block
        at = 0


def foresee(inflated: Iterator[bytes], limits: Limits) -> None:
    """Inflate as much as a file may come to whatever its ratio is: so a bomb is refused before rows are made of it, which takes far longer.

    Raises `Unreadable` for bombs only; damage is told when it is reached.
    """
    size = 0
    try:
        while size <= limits.ratio_from and (block := next(inflated, b"")):
            size += len(block)
    except Unreadable as error:
        if error.code in {"ratio_too_high", "inflates_too_far"}:
            raise


def _blocks(path: Path, compression: Compression, limits: Limits, member: str | None, *, nested: bool) -> Iterator[bytes]:
    if compression is Compression.ZIP:
        archive = Archive.open(path, limits)
        gauge = Gauge(limits, nested=nested)
        for packed, block in archive.stream(archive.data_member(member, nested=nested), BLOCK_BYTES):
            gauge.packed = packed
            yield gauge.count(block)
        return
    with path.open("rb") as file:
        if compression is Compression.NONE:
            yield from iter(lambda: file.read(READ_BYTES), b"")
            return
        inflate = inflater(compression, limits, nested=nested)
        for data in iter(lambda: file.read(READ_BYTES), b""):
            yield from inflate.feed(data)
        inflate.finish()
