"""Where Kafka's own partitioner puts a key: the 32-bit murmur2 of Java's client, which `murmur2_random` is for keys that are there."""

from typing import Final

_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_WORD: Final = 0xFFFF_FFFF
_ROW: Final = 4


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a topic with so many that a key belongs to."""
    return (murmur2(key) & 0x7FFF_FFFF) % partitions


def murmur2(data: bytes) -> int:
    """Hash bytes as `org.apache.kafka.common.utils.Utils.murmur2` does; unsigned."""
    h = _SEED ^ len(data)
    whole = len(data) - len(data) % _ROW
    for at in range(0, whole, _ROW):
        k = int.from_bytes(data[at : at + _ROW], "little") * _M & _WORD
        k = (k ^ k >> 24) * _M & _WORD
        h = h * _M & _WORD ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _WORD
    h = (h ^ h >> 13) * _M & _WORD
    return h ^ h >> 15
