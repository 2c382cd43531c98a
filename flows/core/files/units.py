"""Text as code units: one byte each, whatever the encoding, so that one grammar cuts them all."""

import codecs
from typing import Final

from flows.core.errors import BadRequest

WIDE: Final = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
_TRAIL: Final = 0x30
"""The second bytes of these are this or more, so that what is below always means itself."""
_DOUBLE: Final = frozenset("big5 cp932 cp949 cp950 euc_jp euc_kr gb18030 gb2312 gbk johab shift_jis".split())
_FOREIGN: Final = 0xFF
_EVERY: Final = bytes(range(256))
_ASCII: Final = bytes(range(128)).decode("ascii")
_MASK: Final = bytes([0]) + bytes([_FOREIGN]) * 255


def bom(encoding: str) -> bytes:
    """Return the byte order mark a file of this encoding may begin with; empty: none."""
    return codecs.BOM_UTF8 if encoding == "utf-8" else WIDE.get(encoding, b"")


def width(encoding: str) -> int:
    """Return how many bytes make one code unit."""
    return 2 if encoding in WIDE else 1


def named(encoding: str, signs: str = "") -> str:
    """Return the name this room knows an encoding by; raise `BadRequest` where its text, or one of these signs in it, cannot be told from its bytes."""
    try:
        name = codecs.lookup(encoding).name.replace("utf-8-sig", "utf-8")
    except LookupError as exc:
        raise BadRequest(f"There is no encoding {encoding!r}; give one in encoding such as utf-8, utf-16 or windows-1252.") from exc
    if name in WIDE:
        if any(ord(sign) >= _FOREIGN for sign in signs):
            raise BadRequest(f"In {name} a delimiter, quote, escape or comment has to be below U+00FF; {signs!r} is not.")
        return name
    if name in _DOUBLE:
        if any(ord(sign) >= _TRAIL for sign in signs):
            raise BadRequest(
                f"In {name} the signs {signs!r} may be half of another character; take ones below '0', such as ',' and '\"', or write the file in utf-8."
            )
        return name
    if name != "utf-8" and not _single(name):
        raise BadRequest(f"Files in {encoding!r} cannot be cut; write it in utf-8, utf-16 or an encoding of one byte a character, and name that in encoding.")
    return name


def shadow(data: bytes, encoding: str) -> bytes:
    """Return one byte for each code unit: itself where it is below U+00FF, else 0xFF, which no grammar knows."""
    if encoding not in WIDE:
        return data
    low, high = (0, 1) if encoding == "utf-16-le" else (1, 0)
    if len(data) % 2:
        data += bytes([_FOREIGN])
    value = int.from_bytes(data[low::2], "little") | int.from_bytes(data[high::2].translate(_MASK), "little")
    return value.to_bytes(len(data) // 2, "little")


def _single(name: str) -> bool:
    """Say whether each byte is a character, and those of ASCII are their own."""
    try:
        text = _EVERY.decode(name, "replace")
    except (LookupError, ValueError):
        return False
    return len(text) == len(_EVERY) and text.startswith(_ASCII)
