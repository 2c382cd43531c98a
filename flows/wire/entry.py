"""A record on this machine's disk: its length, its CRC-32, and a payload with the time, the topic, key, value and headers."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

Headers = list[tuple[str, str | bytes | None]]
"""Header names and values, as the client takes them."""
_frame = struct.Struct(">II")
_start = struct.Struct(">qH")
HEAD_BYTES: Final = _frame.size + _start.size
"""So many bytes of an entry tell how long it is and when it was accepted."""


class Entry(NamedTuple):
    """A record that waits for the broker."""

    accepted_ms: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


def encode(entry: Entry) -> bytes:
    """Return an entry as it stands on the disk."""
    fields: list[bytes | None] = [entry.topic.encode(), entry.key, entry.value]
    for name, value in entry.headers:
        fields += (name.encode(), value.encode() if isinstance(value, str) else value)
    lengths = [-1 if field is None else len(field) for field in fields]
    head = _start.pack(entry.accepted_ms, len(fields)) + struct.pack(f">{len(fields)}i", *lengths)
    payload = b"".join((head, *(field for field in fields if field is not None)))
    return _frame.pack(len(payload), zlib.crc32(payload)) + payload


def decode(payload: bytes) -> Entry:
    """Return the entry of a payload that is whole."""
    accepted_ms, count = _start.unpack_from(payload)
    lengths = struct.unpack_from(f">{count}i", payload, _start.size)
    at, fields = _start.size + 4 * count, list[bytes | None]()
    for length in lengths:
        fields.append(None if length < 0 else payload[at : at + length])
        at += max(length, 0)
    headers: Headers = [((name or b"").decode(), value) for name, value in zip(fields[3::2], fields[4::2], strict=True)]
    return Entry(accepted_ms, (fields[0] or b"").decode(), fields[1], fields[2], headers)


def peek(head: bytes) -> tuple[int, int]:
    """Return how many bytes an entry takes and when it was accepted, from its first `HEAD_BYTES`."""
    return _frame.unpack_from(head)[0] + _frame.size, _start.unpack_from(head, _frame.size)[0]


def whole(data: bytes) -> Iterator[tuple[int, int]]:
    """Give where each payload begins and ends, up to the first that is not whole."""
    at, size, view = 0, len(data), memoryview(data)
    while at + HEAD_BYTES <= size:
        length, crc = _frame.unpack_from(data, at)
        start, at = at + _frame.size, at + _frame.size + length
        if at > size or length < _start.size or zlib.crc32(view[start:at]) != crc:
            return
        yield start, at
