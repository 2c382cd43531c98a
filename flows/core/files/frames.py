"""What a worker and the process that reads a file for it say to each other: a JSON head, and binary parts behind it."""

import struct
from typing import IO, Any, Final, NamedTuple

import orjson

MOST_BYTES: Final = 64 * 1024 * 1024
"""Most of one frame; a reading process that sends more is out of its mind."""
_SIZE: Final = struct.Struct("<II")


class Frame(NamedTuple):
    """One message."""

    head: dict[str, Any]
    parts: tuple[bytes, ...] = ()


class Broken(Exception):
    """The other side ended in the middle of a frame, or sent what is none."""


def write(stream: IO[bytes], frame: Frame) -> None:
    """Write a frame and flush. Blocks; raises `OSError` when nobody reads."""
    head = orjson.dumps({**frame.head, "parts": [len(part) for part in frame.parts]})
    stream.write(_SIZE.pack(len(head), sum(map(len, frame.parts))))
    stream.write(head)
    stream.writelines(frame.parts)
    stream.flush()


def read(stream: IO[bytes]) -> Frame | None:
    """Read a frame; None: the other side has ended. Blocks; raises `Broken`."""
    start = stream.read(_SIZE.size)
    if not start:
        return None
    if len(start) < _SIZE.size:
        raise Broken("The stream ended inside a frame.")
    head_size, size = _SIZE.unpack(start)
    if head_size + size > MOST_BYTES:
        raise Broken(f"A frame of {head_size + size} bytes was announced; {MOST_BYTES} is the most.")
    text = stream.read(head_size)
    try:
        head = orjson.loads(text)
        sizes: list[int] = head.pop("parts")
        whole = sum(sizes) == size and min(sizes, default=0) >= 0
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as exc:
        if len(text) < head_size:
            raise Broken("The stream ended inside a frame.") from exc
        raise Broken("The head of a frame is no object with the sizes of its parts.") from exc
    if not whole:
        raise Broken("The parts of a frame are not as large as was announced.")
    parts = tuple(stream.read(one) for one in sizes)
    if sum(map(len, parts)) < size:
        raise Broken("The stream ended inside a frame.")
    return Frame(head, parts)
