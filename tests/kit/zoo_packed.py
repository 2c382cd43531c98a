"""Packed files of the zoo. Their format is `lines`: what comes out is counted by line."""

import gzip
import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Final

import zstandard

from tests.kit.zoo import Entry, Refused, Rows

LINES: Final = b"a,b\n1,2\n3,4\n"


def gzipped(data: bytes = LINES) -> bytes:
    """Return bytes as gzip, the same each time."""
    return gzip.compress(data, mtime=0)


def zstandarded(data: bytes = LINES) -> bytes:
    """Return bytes as zstd."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of these members."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore")
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.filename = name
            archive.writestr(info, data, method)
    return file.getvalue()


def _patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def _encrypted() -> bytes:
    data = bytearray(zipped(("a.csv", LINES)))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1
    return bytes(data)


def _open_frame() -> bytes:
    return b"\x28\xb5\x2f\xfd\x00" + bytes([17 << 3]) + b"\x09\x00\x00x"


def _wrong_sum() -> bytes:
    data = zipped(("a.csv", LINES), method=zipfile.ZIP_STORED)
    return _patched(data, struct.pack("<L", zlib.crc32(LINES)), struct.pack("<L", 1))


def _zeros() -> bytes:
    return bytes(2 << 20)


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0xFF
    return bytes(changed)


def _packed(compression: str, *rows: tuple[str, Callable[[], bytes], Rows | Refused]) -> list[Entry]:
    return [Entry(f"{compression}: {name}", "lines", make, expect, compression) for name, make, expect in rows]


ENTRIES: Final = [
    *_packed(
        "gzip",
        ("plain", gzipped, Rows(3)),
        ("two members", lambda: gzipped() + gzipped(), Rows(6)),
        ("an empty member between", lambda: gzipped() + gzipped(b"") + gzipped(), Rows(6)),
        ("zeros behind", lambda: gzipped() + bytes(512), Rows(3)),
        ("junk behind", lambda: gzipped() + b"junk", Refused("damaged")),
        ("of nothing", lambda: gzipped(b""), Rows(0)),
        ("truncated", lambda: gzipped()[:-9], Refused("truncated")),
        ("without its sum", lambda: gzipped()[:-8], Refused("truncated")),
        ("head only", lambda: gzipped()[:10], Refused("truncated")),
        ("wrong sum", lambda: _flipped(gzipped(), -7), Refused("damaged")),
        ("wrong size", lambda: _flipped(gzipped(), -2), Refused("damaged")),
        ("reserved block", lambda: gzipped()[:10] + b"\xff" * 32, Refused("damaged")),
        ("bomb", lambda: gzipped(_zeros()), Refused("ratio_too_high")),
        ("in gzip", lambda: gzipped(gzipped()), Refused("nested_archive")),
        ("zip inside", lambda: gzipped(zipped(("a.csv", LINES))), Refused("nested_archive")),
        ("one byte", lambda: b"\x1f", Refused("not_gzip")),
        ("is a CSV", lambda: LINES, Refused("not_gzip")),
        ("empty file", lambda: b"", Refused("empty_file")),
    ),
    *_packed(
        "zstd",
        ("plain", zstandarded, Rows(3)),
        ("two frames", lambda: zstandarded() + zstandarded(), Rows(6)),
        ("a skippable frame", lambda: b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstandarded(), Rows(3)),
        ("truncated", lambda: zstandarded()[:-5], Refused("truncated")),
        ("wrong sum", lambda: _flipped(zstandarded(), -1), Refused("damaged")),
        ("junk behind", lambda: zstandarded() + b"junk", Refused("damaged")),
        ("bomb", lambda: zstandarded(_zeros()), Refused("ratio_too_high")),
        ("in zstd", lambda: zstandarded(zstandarded()), Refused("nested_archive")),
        ("a window of 128 MiB", _open_frame, Refused("window_too_large")),
        ("is a CSV", lambda: LINES, Refused("not_zstd")),
        ("empty file", lambda: b"", Refused("empty_file")),
    ),
    *_packed(
        "zip",
        ("one member", lambda: zipped(("a.csv", LINES)), Rows(3)),
        ("stored", lambda: zipped(("a.csv", LINES), method=zipfile.ZIP_STORED), Rows(3)),
        ("a Mac's additions", lambda: zipped(("a.csv", LINES), ("__MACOSX/._a.csv", b"x"), (".DS_Store", b"x")), Rows(3)),
        ("bytes before it", lambda: b"#!/bin/sh\n" + zipped(("a.csv", LINES)), Rows(3)),
        ("two data files", lambda: zipped(("a.csv", LINES), ("b.csv", LINES)), Refused("which_member")),
        ("nothing", zipped, Refused("no_data_member")),
        ("folders only", lambda: zipped(("a/", b"")), Refused("no_data_member")),
        ("up and out", lambda: zipped(("../../etc/cron.d/a", LINES)), Refused("bad_member_name")),
        ("from the root", lambda: zipped(("/etc/passwd", LINES)), Refused("bad_member_name")),
        ("a drive", lambda: zipped(("C:\\a.csv", LINES)), Refused("bad_member_name")),
        ("backslashes", lambda: zipped(("a\\..\\..\\b.csv", LINES)), Refused("bad_member_name")),
        ("encrypted", _encrypted, Refused("encrypted")),
        ("in zip", lambda: zipped(("a.zip", zipped(("a.csv", LINES)))), Refused("nested_archive")),
        ("in zip, disguised", lambda: zipped(("a.csv", zipped(("a.csv", LINES)))), Refused("nested_archive")),
        ("bomb", lambda: zipped(("a.csv", _zeros())), Refused("ratio_too_high")),
        ("many members", lambda: zipped(*((f"{n}.csv", b"") for n in range(101))), Refused("too_many_members")),
        ("wrong sum", _wrong_sum, Refused("damaged")),
        ("no list", lambda: zipped(("a.csv", LINES))[:-30], Refused("truncated")),
        ("a list that is none", lambda: _patched(zipped(("a.csv", LINES)), b"PK\x01\x02", b"PK\x01\x03"), Refused("not_zip")),
        ("no member where it says", lambda: _patched(zipped(("a.csv", LINES)), b"PK\x03\x04", b"PK\x03\x05"), Refused("damaged")),
        ("bzip2 inside", lambda: zipped(("a.csv", LINES), method=zipfile.ZIP_BZIP2), Refused("unknown_method")),
        ("is a CSV", lambda: LINES, Refused("not_zip")),
        ("empty file", lambda: b"", Refused("empty_file")),
    ),
]  # fmt: skip
