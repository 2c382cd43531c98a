"""Order by key: of the items with one key, the first may run and the others wait behind it, whatever becomes of it.

An item holds its turn from `join` to `leave`: while it runs, while it waits to be tried again, while a breaker has it parked. All of it lies
in a flow's state, nothing in memory, and counts with the batch in which it is done:

    <prefix>h<key>           first, next    of a key that is held: the number that has the turn, and the number of the next to join
    <prefix>w<key><number>   item           of each item that waits

A key that nobody else waits for costs one entry, written when an item joins and deleted when it leaves.
"""

import struct
from typing import NamedTuple, Protocol


class Store(Protocol):
    """Entries of a flow's state, as `flows.engine.Entries` has them."""

    def get(self, key: bytes) -> bytes | None:
        """Return a value, None when there is none."""
        ...

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value."""
        ...

    def delete(self, key: bytes) -> None:
        """Remove a value; one that does not exist is no error."""
        ...


class Ticket(NamedTuple):
    """An item's number among those of its key, to be kept with it and given back by `leave`."""

    number: int
    first: bool
    """It may run now; what has to be kept of it is the caller's."""


class Turn(NamedTuple):
    """The item that may run now; its ticket's number, and what it joined with."""

    number: int
    item: bytes


_held = struct.Struct(">QQ")
_number = struct.Struct(">Q")


class KeyOrder:
    """The keys of one partition."""

    def __init__(self, store: Store, prefix: bytes = b"order/") -> None:
        """Take the partition's state and what its entries begin with; no other entry may."""
        self._store = store
        self._prefix = prefix

    def join(self, key: bytes, item: bytes) -> Ticket:
        """Line up an item behind those of its key; where there are none, it has the turn at once and is not stored."""
        held = self._store.get(self._head(key))
        first, following = _held.unpack(held) if held else (0, 0)
        self._store.put(self._head(key), _held.pack(first, following + 1))
        if held:
            self._store.put(self._place(key, following), item)
        return Ticket(following, not held)

    def leave(self, key: bytes, number: int) -> Turn | None:
        """Take out an item that is done with: delivered, buried or cancelled, with the turn or before it.

        Returns the next item of the key where this one had the turn; it has the turn now, and is stored here no more. An item leaves
        once: when nobody is left of a key, its numbers begin anew.
        """
        held = self._store.get(self._head(key))
        if held is None:
            return None
        first, following = _held.unpack(held)
        if number != first:
            self._store.delete(self._place(key, number))
            return None
        for candidate in range(first + 1, following):
            item = self._store.get(self._place(key, candidate))
            if item is not None:  # else it was cancelled while it waited
                self._store.delete(self._place(key, candidate))
                self._store.put(self._head(key), _held.pack(candidate, following))
                return Turn(candidate, item)
        self._store.delete(self._head(key))
        return None

    def _head(self, key: bytes) -> bytes:
        return self._prefix + b"h" + key

    def _place(self, key: bytes, number: int) -> bytes:
        return b"".join((self._prefix, b"w", key, _number.pack(number)))
