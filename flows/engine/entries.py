"""Entries as a step sees them: keys and values of one namespace of a partition's state."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from flows.core import codec
from flows.engine.overlay import UNKNOWN, Overlay


class Entries:
    """Reads and writes entries; writes count once the batch in hand is applied, and reads see them at once.

    Nothing here raises for a key that is absent. A store that cannot be read raises `StateDamaged`, which ends the process.
    """

    def __init__(self, overlay: Overlay, namespace: bytes) -> None:
        """Take the layers of a partition's state, and the byte that keeps these keys apart from all others."""
        self._overlay = overlay
        self._namespace = namespace
        self._pending: Final = overlay.pending
        self._recent: Final = overlay.recent

    def get(self, key: bytes) -> bytes | None:
        """Return a value, None when there is none or it has expired; may read from disk."""
        key = self._namespace + key
        entry = self._pending.get(key, UNKNOWN)
        if entry is UNKNOWN:
            entry = self._recent.get(key, UNKNOWN)
            if entry is UNKNOWN:
                entry = self._overlay.fetch(key)
        if entry is None:
            return None
        if entry[0] == codec.PLAIN:
            return entry[1:]
        return codec.live(entry, self._overlay.now_ms)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of `keys` in their order, in one trip to the store for all it must be asked; thousands of them leave no trace in memory."""
        full = [self._namespace + key for key in keys]
        pending, recent, now_ms = self._pending, self._recent, self._overlay.now_ms
        entries = [pending.get(key, UNKNOWN) for key in full]
        entries = [recent.get(key, UNKNOWN) if entry is UNKNOWN else entry for key, entry in zip(full, entries, strict=True)]
        missing = [at for at, entry in enumerate(entries) if entry is UNKNOWN]
        for at, entry in zip(missing, self._overlay.fetch_many([full[at] for at in missing]), strict=True):
            entries[at] = entry
        return [None if entry is None else entry[1:] if entry[0] == codec.PLAIN else codec.live(entry, now_ms) for entry in entries]

    def put(self, key: bytes, value: bytes, expires_at_ms: int | None = None) -> None:
        """Set a value; from `expires_at_ms` on (milliseconds since the epoch) nobody sees it.

        Raises:
            ValueError: `expires_at_ms` is negative or no 64-bit number.

        """
        if expires_at_ms is None:
            self._pending[self._namespace + key] = codec.plain(value)
        elif 0 <= expires_at_ms < codec.TIME_END:
            self._pending[self._namespace + key] = codec.expiring(value, expires_at_ms)
        else:
            raise ValueError(f"an expiry is milliseconds since the epoch, not {expires_at_ms}")

    def delete(self, key: bytes) -> None:
        """Remove a value; one that does not exist is no error."""
        self._pending[self._namespace + key] = None

    def scan(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give keys that begin with `prefix`, from `prefix + start` on, and their values, by key, as they are when the first one is taken."""
        now_ms = self._overlay.now_ms
        for key, entry in self._overlay.rows(self._namespace + prefix, start):
            value = codec.live(entry, now_ms)
            if value is not None:
                yield key[1:], value


class Display(Protocol):
    """Something that shows what the state of a partition holds, for as long as this worker has the partition."""

    def came(self, partition: int, state: Entries) -> None:
        """Show what a partition's state holds; only read from `state`, and do not keep it. Called between batches."""
        ...

    def left(self, partition: int) -> None:
        """Show nothing of a partition any more."""
        ...
