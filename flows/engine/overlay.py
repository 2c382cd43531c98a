"""What a batch has changed, laid over what the store holds; reads look through both."""

import heapq
from collections.abc import Iterator, Sequence
from typing import Final

from flows.core import codec
from flows.wire.rocks import Rocks

UNKNOWN: Final = bytes(bytearray(b"unknown"))
"""Compared by identity; being bytes keeps the types simple where reads take less than a microsecond."""

ENTRY_BYTES: Final = 160
"""What Python spends on a remembered entry besides its bytes: two bytes objects and a place in a dict."""


FEW: Final = 1000
"""Entries that are remembered when they are read together; more of them are read once, and not by chance again."""


class Overlay:
    """Pending entries over a bounded memory of recent ones over the store, all by their key in the store.

    The memory holds entries exactly as applied, absent ones included, in two generations: when the younger is full it
    becomes the older, and what was in the older and was not asked for is forgotten.
    """

    def __init__(self, db: Rocks, recent_bytes: int) -> None:
        """Take the store, and how many bytes a generation may remember."""
        self._db = db
        self._limit = recent_bytes
        self._used = 0
        self.pending: Final[dict[bytes, bytes | None]] = {}
        self.recent: Final[dict[bytes, bytes | None]] = {}
        self._older: dict[bytes, bytes | None] = {}
        self.now_ms = 0

    def fetch(self, key: bytes) -> bytes | None:
        """Read an entry that is neither pending nor in the younger generation."""
        entry = self._older.get(key, UNKNOWN)
        if entry is UNKNOWN:
            entry = self._db.get(key)
        self._remember(key, entry)
        return entry

    def stored(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Read many entries as they are in the store, whatever is pending; asks it once for all that is not remembered."""
        recent = self.recent
        entries = [recent.get(key, UNKNOWN) for key in keys]
        missing = [i for i, entry in enumerate(entries) if entry is UNKNOWN]
        if missing:
            for i, entry in zip(missing, self._db.get_many([keys[i] for i in missing]), strict=True):
                entries[i] = entry
        return entries

    def fetch_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Read entries that are neither pending nor in the younger generation; remembers them, unless they are so many that all else would be forgotten."""
        if not keys:
            return []
        entries = self.stored(keys)
        if len(keys) <= FEW:
            for key, entry in zip(keys, entries, strict=True):
                self._remember(key, entry)
        return entries

    def rows(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give entries whose key begins with `prefix` and does not come before `prefix + start`, in order, as they are when the first one is taken."""
        first = prefix + start
        pending = {key: entry for key, entry in self.pending.items() if key >= first and key.startswith(prefix)}
        stored = ((key, entry) for key, entry in self._db.rows(first, codec.after(prefix)) if key not in pending)
        changed = sorted((key, entry) for key, entry in pending.items() if entry is not None)
        yield from heapq.merge(stored, changed)

    def applied(self, changes: dict[bytes, bytes | None], size: int) -> None:
        """Take note that `changes`, `size` bytes of them, are in the store."""
        self.recent.update(changes)
        self._used += size + len(changes) * ENTRY_BYTES
        self._turn()

    def forget(self) -> None:
        """Forget everything remembered and everything pending."""
        self.pending.clear()
        self.recent.clear()
        self._older = {}
        self._used = 0

    def _remember(self, key: bytes, entry: bytes | None) -> None:
        self.recent[key] = entry
        self._used += len(key) + len(entry or b"") + ENTRY_BYTES
        self._turn()

    def _turn(self) -> None:
        if self._used > self._limit:
            self._older = self.recent.copy()
            self.recent.clear()
            self._used = 0
