"""Ids: time-ordered ones for what is new, content hashes for what must come out equal again."""

import hashlib
import os
import uuid


def event_id(now_ms: int) -> str:
    """Make a UUIDv7 (RFC 9562 §5.7) for `now_ms`, milliseconds since the epoch: sorts by time, 74 random bits."""
    h, random = f"{now_ms & 0xFFFF_FFFF_FFFF:012x}", os.urandom(10).hex()
    variant = "89ab"[int(random[3], 16) & 3]
    return f"{h[:8]}-{h[8:]}-7{random[:3]}-{variant}{random[4:7]}-{random[7:19]}"


def event_time_ms(text: str) -> int | None:
    """Read the time out of a UUIDv7, in milliseconds since the epoch; None when `text` is no UUIDv7."""
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return None
    return parsed.int >> 80 if parsed.version == 7 else None  # noqa: PLR2004  the 7 of UUIDv7


def origin_id(topic: str, partition: int, offset: int) -> str:
    """Name a record that came without an id by its place in the log: the same record always gets the same id."""
    digest = hashlib.sha256(f"{topic}\x00{partition}\x00{offset}".encode()).digest()
    value = int.from_bytes(digest[:16], "big")
    return _written(value & ~(0xF << 76 | 0b11 << 62) | 0x8 << 76 | 0b10 << 62)


def content_id(body: bytes) -> str:
    """Hash a body for use as its identity where its sender gave none: 32 hex digits of SHA-256."""
    return hashlib.sha256(body).hexdigest()[:32]


def _written(value: int) -> str:
    """Write 128 bits as RFC 9562 has it; `uuid.UUID` knows versions 7 and 8 from Python 3.14 on only, and is slower."""
    h = f"{value:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
