"""Names of columns that come as a file goes on."""

from collections.abc import Iterable, Iterator
from typing import Final

import orjson

NAMES_BYTES: Final = 48 * 1024
"""Most of all of them, as they stand in a reader's state."""


class Names:
    """The names of all columns that were seen, in the order in which they came; bounded."""

    def __init__(self, state: bytes = b"") -> None:
        """Begin with none, or with those of a `state`."""
        self._names: dict[str, None] = dict.fromkeys(orjson.loads(state) if state else ())
        self._room = NAMES_BYTES - sum(map(_size, self._names))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def admit(self, row: Iterable[str]) -> bool:
        """Take in those of a row that are new; a row for which there is no room adds none, and is none."""
        new = [name for name in row if name not in self._names]
        if new:
            size = sum(map(_size, new))
            if size > self._room:
                return False
            self._room -= size
            self._names |= dict.fromkeys(new)
        return True

    def state(self) -> bytes:
        """Return what another goes on from."""
        return orjson.dumps(list(self._names))


def _size(name: str) -> int:
    return len(orjson.dumps(name)) + 1
