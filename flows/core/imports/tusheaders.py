"""The headers of the tus protocol, 1.0.0: read strictly, each wrong one with a sentence."""

import binascii
import hashlib
import re
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, NamedTuple, Protocol

from flows.core.errors import BadRequest

VERSION: Final = "1.0.0"
OFFSET_TYPE: Final = "application/offset+octet-stream"
MOST_METADATA: Final = 8192
MOST_BYTES: Final = (1 << 63) - 1
_NUMBER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_KEY: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_TUS: Final = frozenset({"upload-length", "upload-offset", "upload-metadata", "upload-checksum", "upload-defer-length", "upload-concat"})
ONCE: Final = _TUS | {"tus-resumable", "x-http-method-override", "content-type", "content-length"}


class Running(Protocol):
    """A checksum that is being reckoned."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""
        ...

    def digest(self) -> bytes:
        """Return the checksum of what was taken."""
        ...


class Crc32:
    """CRC-32 as zlib has it, four bytes, big end first."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._value = 0

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Return the checksum of what was taken."""
        return self._value.to_bytes(4, "big")


ALGORITHMS: Final[Mapping[str, Callable[[], Running]]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32": Crc32,
}
"""Checksums of a request's body, against damage on the way. Not crc32c: the standard library has none, and one in Python would be slower than the network."""


class Checksum(NamedTuple):
    """What the bytes of a request have to come to."""

    algorithm: str
    expected: bytes

    def begin(self) -> Running:
        """Begin to reckon it."""
        return ALGORITHMS[self.algorithm]()


def folded(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by their names in lower case.

    Raises:
        BadRequest: one that says something about the upload stands there twice.

    """
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key in found and key in ONCE:
            raise BadRequest(f"The header {name} stands there twice; send it once.")
        found[key] = f"{found[key]},{value}" if key in found else value.strip()
    return found


def number(headers: Mapping[str, str], name: str) -> int | None:
    """Return a header that is a whole number of bytes; None where it is absent; raises BadRequest."""
    text = headers.get(name.lower())
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or int(text) > MOST_BYTES:
        raise BadRequest(f"{name} must be a whole number of bytes from 0 on.")
    return int(text)


def metadata(text: str) -> dict[str, bytes]:
    """Read `Upload-Metadata`: pairs of a key and a base64 value, parted by commas.

    Raises:
        BadRequest: it is not of that form; the text says which pair.

    """
    if len(text) > MOST_METADATA:
        raise BadRequest(f"Upload-Metadata is longer than {MOST_METADATA:,} characters.")
    found: dict[str, bytes] = {}
    for place, pair in enumerate(text.split(",") if text.strip() else (), 1):
        key, _, value = pair.strip().partition(" ")
        if not _KEY.fullmatch(key):
            raise BadRequest(f"Pair {place} of Upload-Metadata has no key of ASCII characters without space and comma.")
        if key in found:
            raise BadRequest(f"Upload-Metadata has the key {key[:64]!r} twice.")
        try:
            found[key] = b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"The value of {key[:64]!r} in Upload-Metadata is not base64.") from error
    return found


def checksum(text: str) -> Checksum:
    """Read `Upload-Checksum`: an algorithm and the base64 of what the body comes to; raises BadRequest."""
    algorithm, _, value = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise BadRequest(f"Upload-Checksum names no algorithm that is known here: {', '.join(ALGORITHMS)}.")
    try:
        expected = b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("The checksum in Upload-Checksum is not base64.") from error
    size = len(ALGORITHMS[algorithm]().digest())
    if len(expected) != size:
        raise BadRequest(f"The checksum in Upload-Checksum has {len(expected)} bytes, and one of {algorithm} has {size}.")
    return Checksum(algorithm, expected)


def http_date(ms: int) -> str:
    """Write a time as HTTP has it."""
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC), usegmt=True)
