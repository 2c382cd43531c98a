"""How state is written as bytes: in a store, and word for word the same on its changelog.

A *logical entry* is what a flow put: a value under a key, or a timer. It has one key and one encoding, and that is what
the changelog carries. The first byte of a key names its namespace, the first byte of an entry its format and its kind:

    u<key>    entry of the flow's steps    1|plain value         or   1|expiring  expires_at_ms  value
    e<key>    entry of the engine itself   the same
    t<id>     timer                        1|timer  due_ms  payload

A store also keeps rows that are *derived* from entries and stand on no changelog: the order in which timers come due and
entries expire. Times are milliseconds since the epoch, eight bytes, big end first, so that rows sort as times do.

    d<due_ms><id>             a timer's place in the queue, with its payload (its `t` row holds only `due_ms`)
    x<expires_at_ms><entry>   an entry's place in the order of expiry
"""

import struct
from typing import Final, NamedTuple

from flows.core.record import Record

FORMAT: Final = 1
"""Version of everything this module writes. Raise it when a byte changes its meaning; a store of an older one is rebuilt."""

META: Final = b"\x00"
USER: Final = b"u"
ENGINE: Final = b"e"
TIMER: Final = b"t"
DUE: Final = b"d"
EXPIRY: Final = b"x"
TIMER_BYTE: Final = TIMER[0]

PLAIN: Final = FORMAT << 4
EXPIRING: Final = FORMAT << 4 | 1
WAITING: Final = FORMAT << 4 | 2
_PLAIN: Final = bytes((PLAIN,))
_EXPIRING: Final = bytes((EXPIRING,))
_WAITING: Final = bytes((WAITING,))
_VALUES: Final = USER + ENGINE
_NAMESPACES: Final = _VALUES + TIMER

TIME_BYTES: Final = 8
TIME_END: Final = 1 << 63
"""Times are below this: what a signed 64-bit number holds, as Kafka timestamps do."""
HEAD_BYTES: Final = 1 + TIME_BYTES
"""Format and kind, then a time: what stands before the value of an expiring entry and the payload of a timer."""

_time = struct.Struct(">Q")
pack_time: Final = _time.pack


class NewerFormatError(ValueError):
    """Bytes that a newer version of this project has written."""

    def __init__(self, found: int) -> None:
        """Take the version that was found."""
        super().__init__(f"state format {found}, and this version reads up to {FORMAT}")
        self.found = found


def unpack_time(data: bytes, at: int = 0) -> int:
    """Read a time, milliseconds since the epoch, from the eight bytes at `at`."""
    value: int = _time.unpack_from(data, at)[0]
    return value


def after(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with `prefix`; `prefix` must hold a byte other than 255."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,))


def plain(value: bytes) -> bytes:
    """Encode an entry that stays until it is deleted."""
    return _PLAIN + value


def expiring(value: bytes, expires_at_ms: int) -> bytes:
    """Encode an entry that nobody sees from `expires_at_ms` on."""
    return _EXPIRING + pack_time(expires_at_ms) + value


def live(entry: bytes, now_ms: int) -> bytes | None:
    """Return an entry's value, or None when it has expired by `now_ms`."""
    if entry[0] == PLAIN:
        return entry[1:]
    return entry[HEAD_BYTES:] if unpack_time(entry, 1) > now_ms else None


def expiry_row(key: bytes, entry: bytes) -> bytes:
    """Return the derived row of an expiring entry: its expiry, then its whole key."""
    return EXPIRY + entry[1:HEAD_BYTES] + key


def timer(due_ms: int, payload: bytes) -> bytes:
    """Encode a timer."""
    return _WAITING + pack_time(due_ms) + payload


def check(key: bytes, entry: bytes | None) -> bool:
    """Tell whether a pair read from a changelog is one of ours and whole.

    Raises:
        NewerFormatError: a newer version wrote it, and this one cannot know what it means.

    """
    if not key or key[0] not in _NAMESPACES:
        return False
    if entry is None:
        return True
    if not entry:
        return False
    kind = entry[0]
    if kind == PLAIN:
        return key[0] in _VALUES
    if kind >> 4 > FORMAT:
        raise NewerFormatError(kind >> 4)
    return len(entry) >= HEAD_BYTES and (kind == EXPIRING if key[0] in _VALUES else kind == WAITING and key[0] == TIMER_BYTE)


class _RecordHead(NamedTuple):
    """The numbers in front of a packed record; a length of -1 stands for an absent key or value."""

    partition: int
    offset: int
    timestamp_ms: int
    topic: int
    key: int
    value: int
    headers: int


_record_head = struct.Struct(">iqqHiiH")
_header_head = struct.Struct(">HI")


def pack_record(record: Record) -> bytes:
    """Encode a whole record, as one that waits in state is kept: nothing of it is lost."""
    topic = record.topic.encode()
    key, value = record.key, record.value
    lengths = (-1 if key is None else len(key), -1 if value is None else len(value))
    head = _record_head.pack(record.partition, record.offset, record.timestamp_ms, len(topic), *lengths, len(record.headers))
    parts = [head, topic, key or b"", value or b""]
    for name, content in record.headers:
        encoded = name.encode()
        parts += (_header_head.pack(len(encoded), len(content)), encoded, content)
    return b"".join(parts)


def unpack_record(data: bytes) -> Record:
    """Decode what `pack_record` made.

    Raises:
        ValueError: `data` is something else, or cut short.

    """
    try:
        head = _RecordHead(*_record_head.unpack_from(data))
        at = _record_head.size
        topic, at = _take(data, at, head.topic)
        key, at = _take(data, at, head.key)
        value, at = _take(data, at, head.value)
        headers = []
        for _ in range(head.headers):
            name_length, length = _header_head.unpack_from(data, at)
            name, at = _take(data, at + _header_head.size, name_length)
            content, at = _take(data, at, length)
            headers.append(((name or b"").decode(), content or b""))
    except struct.error as error:
        raise ValueError("a packed record is cut short") from error
    if at != len(data):
        raise ValueError("a packed record has bytes too many")
    return Record((topic or b"").decode(), head.partition, head.offset, head.timestamp_ms, key, value, tuple(headers))


def _take(data: bytes, at: int, length: int) -> tuple[bytes | None, int]:
    if length == -1:
        return None, at
    if length < 0 or at + length > len(data):
        raise ValueError("a packed record is cut short")
    return data[at : at + length], at + length
