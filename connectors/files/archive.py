"""Reads members of a zip archive: its list bounded, its names judged, each member inflated as it is read. Nothing is unpacked to a disk."""

import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

from isal import isal_zlib

from connectors.files.bounds import Limits, refusal

ISAL_ERROR: Final[type[Exception]] = isal_zlib.error  # type: ignore[assignment]  # its stub takes the class for an instance
_PACKED: Final = (".zip", ".gz", ".zst", ".bz2", ".xz", ".7z", ".rar", ".tgz", ".tar")
_BOOKS: Final = (".xlsx", ".xlsm")
_BOOK: Final = frozenset({"[Content_Types].xml", "mimetype"})
"""What one of them has in every workbook, and no archive of data."""
_ENCRYPTED: Final = 0x1
_READ_BYTES: Final = 64 * 1024
_LOCAL: Final = struct.Struct("<4s5HLLLHH")
_BEGIN: Final = b"PK\x03\x04"
_END: Final = b"PK\x05\x06"
_END64: Final = b"PK\x06\x06"
_TAIL: Final = 66_000
"""The end record and the longest comment behind it."""
_OUTWARD: Final = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)|\0")


def listed(names: list[str]) -> str:
    """Return some names for a sentence."""
    most = 10
    return ", ".join(name[:64] for name in names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


class Archive(NamedTuple):
    """A zip archive whose list of members was read."""

    path: Path
    members: dict[str, zipfile.ZipInfo]

    @classmethod
    def open(cls, path: Path, limits: Limits) -> Self:
        """Read the list of members; blocks for it. Raises `Unreadable`."""
        _count(path, limits)
        try:
            with zipfile.ZipFile(path) as archive:
                members = {info.filename: info for info in archive.infolist()}
        except (zipfile.BadZipFile, ValueError, OSError, struct.error, RuntimeError) as error:
            raise refusal("not_zip", what=str(error)) from None
        for name in members:
            if _OUTWARD.search(name):
                raise refusal("bad_member_name", where=repr(name[:100]))
        return cls(path, members)

    @property
    def is_book(self) -> bool:
        """Whether it is an office document itself, of Microsoft's or of the OpenDocument kind, rather than an archive that holds one."""
        return not {"[Content_Types].xml", "mimetype", "content.xml"}.isdisjoint(self.members) or any(name.startswith("xl/") for name in self.members)

    def data_member(self, name: str | None, *, nested: bool = False) -> str:
        """Return the member of that name, or the only one that holds data. Raises `Unreadable`. `nested`: it may be a workbook."""
        data = [one for one in self.members if not (one.endswith("/") or one.startswith("__MACOSX/") or one.rsplit("/", 1)[-1].startswith("."))]
        if name is None:
            if not data:
                raise refusal("no_data_member")
            if not _BOOK.isdisjoint(data):
                raise refusal("is_a_workbook")
            if len(data) > 1:
                raise refusal("which_member", what=listed(data))
            name = data[0]
        elif name not in data:
            raise refusal("no_such_member", where=repr(name[:100]), what=listed(data))
        if name.lower().endswith(_PACKED) or (not nested and name.lower().endswith(_BOOKS)):
            raise refusal("nested_archive", where=f"The member {name[:100]!r}")
        return name

    def stream(self, name: str, block_bytes: int) -> Iterator[tuple[int, bytes]]:
        """Yield a member's bytes, each block with how many packed bytes were read for it. Raises `Unreadable` where it is damaged."""
        info = self.members[name]
        if info.flag_bits & _ENCRYPTED:
            raise refusal("encrypted", where=f"The member {name[:100]!r}")
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise refusal("unknown_method", where=f"The member {name[:100]!r}", what=str(info.compress_type))
        check = size = 0
        for packed, block in self._inflate(info, block_bytes):
            check, size = isal_zlib.crc32(block, check), size + len(block)
            yield packed, block
        if check != info.CRC:
            raise refusal("damaged", where=f"in the member {name[:100]!r}", what=f"its {size:,} bytes do not come to the sum that was written beside them")

    def _inflate(self, info: zipfile.ZipInfo, block_bytes: int) -> Iterator[tuple[int, bytes]]:
        where = f"in the member {info.filename[:100]!r}"
        if info.header_offset < 0:
            raise refusal("damaged", where=where, what="the archive's list says that it begins before the file")
        inflate = isal_zlib.decompressobj(wbits=-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        with self.path.open("rb") as file:
            file.seek(info.header_offset)
            head = file.read(_LOCAL.size)
            if len(head) < _LOCAL.size or head[:4] != _BEGIN:
                raise refusal("damaged", where=where, what="it does not begin where the archive's list says")
            file.seek(sum(_LOCAL.unpack(head)[-2:]), 1)
            left = info.compress_size
            while left and (data := file.read(min(left, _READ_BYTES))):
                left -= len(data)
                if inflate is None:
                    yield info.compress_size - left, data
                    continue
                while data and not inflate.eof:
                    try:
                        out = inflate.decompress(data, block_bytes)
                    except ISAL_ERROR as error:
                        raise refusal("damaged", where=where, what=str(error)) from None
                    data = inflate.unconsumed_tail
                    if out:
                        yield info.compress_size - left, out
        if left or (inflate is not None and not inflate.eof):
            raise refusal("truncated", where=where)


def _count(path: Path, limits: Limits) -> None:
    """Look at how many members the archive says it has, before its list is read. Raises `Unreadable`."""
    size = path.stat().st_size
    if not size:
        raise refusal("empty_file")
    with path.open("rb") as file:
        begins = file.read(len(_BEGIN)) == _BEGIN
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < 22:  # noqa: PLR2004  an end record
        if begins:
            raise refusal("truncated", where="before the list of members that a zip archive, and so a workbook, ends with")
        raise refusal("not_zip", what="it has no list of members at its end")
    count, listing = struct.unpack_from("<HL", tail, end + 10)
    end64 = tail.rfind(_END64, 0, end)
    if end64 >= 0 and len(tail) - end64 >= 48:  # noqa: PLR2004  an end record of zip64, up to the size of the list
        count, listing = struct.unpack_from("<QQ", tail, end64 + 32)
    count = max(count, listing // 300)  # an entry has 46 bytes and its name; a list may hold more than the count says
    if count > limits.members:
        raise refusal("too_many_members", count=count, limit=limits.members)
