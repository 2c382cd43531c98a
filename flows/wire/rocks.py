"""A RocksDB on disk, through rocksdict in raw mode: bytes in, bytes out, one atomic write at a time.

What holds after a crash: a store is some prefix of the writes it was given, never one with a write missing in between.
A killed process loses nothing, since every write is in the operating system's hands (the write-ahead log) when `write`
returns. Power loss may cost the newest writes, since nothing is synced; the changelog has them. Two logs can be alive
while one is being turned into a table, and a disk may keep the newer and lose the older: therefore each write leaves a
mark, and a store whose marks have a gap is treated as damaged. So a store may be behind its changelog, never ahead.
"""

import contextlib
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn, cast

from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
)

from flows.core.errors import Busy, StateDamaged, Unavailable

Batch = WriteBatch
"""Puts and deletes that are written together."""
MIB: Final = 1 << 20
MARKS: Final = 8192
"""So many of the last writes are known by a mark; a flush comes every half of it, so that a lost log always takes marks along."""

_SERIAL: Final = b"\x00#"
_MARK: Final = b"\x00~"
_MARK_END: Final = b"\x00\x7f"
_number = struct.Struct(">Q")
_slot = struct.Struct(">H")
_TOMB: Final = "DAMAGED"

_HELD: Final = ("lock hold by current process", "While lock file")
_OPERATOR: Final = (
    "No space left",
    "File too large",
    "Permission denied",
    "Too many open files",
    "Read-only file system",
    "Cannot allocate memory",
    "quota exceeded",
)
"""Not damage: throwing the store away would not help, and rebuilding it would fail the same way."""


@dataclass(frozen=True, slots=True)
class Stores:
    """What all stores of a process share: a bounded cache for blocks read, a bound on what is not yet in tables, patience."""

    cache: Cache = field(default_factory=lambda: Cache(12 * MIB))
    buffers: WriteBufferManager = field(default_factory=lambda: WriteBufferManager(16 * MIB, False))
    lock_wait_s: float = 10.0
    """How long another process may take to let go of a store."""


def _options(stores: Stores) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(stores.cache)
    table.set_bloom_filter(10, False)
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)  # a whole filter would not fit a shard of the cache, and be read anew for every lookup
    table.set_metadata_block_size(4096)
    table.set_pin_top_level_index_and_filter(True)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_manager(stores.buffers)
    options.set_write_buffer_size(4 * MIB)
    options.set_memtable_prefix_bloom_ratio(0.1)
    options.set_memtable_whole_key_filtering(True)  # most reads of a deduplicating flow are for keys that are not there
    options.set_max_write_buffer_number(3)
    options.set_target_file_size_base(16 * MIB)
    options.set_max_bytes_for_level_base(64 * MIB)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    return options


class Rocks:
    """One open store. Not thread-safe; reads and writes block on the disk."""

    def __init__(self, path: Path, stores: Stores) -> None:
        """Name the store at `path`; nothing is touched before `open`."""
        self.path = path
        self.serial = 0
        """How many writes the store has seen since it was made."""
        self._stores = stores

    def open(self) -> None:
        """Open the store, or make it; blocks on the disk, and while another process holds it.

        Raises:
            Busy: another process holds it and did not let go within `lock_wait_s`.
            StateDamaged: it cannot be read, or writes are missing from it. `reset` throws it away.
            Unavailable: the disk is full, read-only or not ours.

        """
        existed = (self.path / "CURRENT").exists()
        if (self.path / _TOMB).exists():
            raise StateDamaged(f"The state store {self.path} was found damaged while it was in use.")
        deadline = time.monotonic() + self._stores.lock_wait_s
        while not self._opened():
            if time.monotonic() >= deadline:
                held = f"The state store {self.path} is held by another process, which did not let go within {self._stores.lock_wait_s:g} s."
                raise Busy(f"{held} Stop that process (the same worker slot, started twice?) or set INTEGRATION_DATA_DIR to another directory.")
            time.sleep(0.05)
        self._check_marks()
        if existed and self.serial == 0:
            self._fail(ValueError("it was made before, and is empty now"))  # what a damaged manifest looks like

    def _opened(self) -> bool:
        """Try to open; False when somebody holds the store."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(self.path), _options(self._stores))
            self._get_many = cast("Callable[[list[bytes]], list[bytes | None]]", self._db.get)  # its declared list is of any kind of key
        except Exception as error:  # noqa: BLE001  rocksdict raises no narrower class
            if any(sign in str(error) for sign in _HELD):
                return False
            self._fail(error)
        return True

    def _check_marks(self) -> None:
        try:
            found = self.get(_SERIAL)
            self.serial = _number.unpack(found)[0] if found is not None else 0
            marks = {_number.unpack(value)[0] for _, value in self.rows(_MARK, _MARK_END)}
        except struct.error as error:
            self._fail(error)
        if marks != set(range(max(1, self.serial - MARKS + 1), self.serial + 1)):
            self._fail(ValueError(f"the marks of {len(marks):,} writes do not join up to write {self.serial:,}"))

    def batch(self) -> Batch:
        """Return an empty batch for `write`."""
        return Batch(raw_mode=True)

    def get(self, key: bytes) -> bytes | None:
        """Return a row's value, None when there is no such row.

        Raises:
            StateDamaged: the row cannot be read; the store is marked, and the next opening says so.

        """
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # noqa: BLE001  rocksdict raises no narrower class
            self._fail(error)
        return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Return the values of many rows in the order asked for; raises as `get` does."""
        try:
            values: list[bytes | None] = self._get_many(keys)
        except Exception as error:  # noqa: BLE001  rocksdict raises no narrower class
            self._fail(error)
        return values

    def rows(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give rows from `start` up to but not including `end`, in order, as they are when the first one is taken; raises as `get` does.

        The store stays locked after `close` for as long as somebody keeps this iterator unfinished.
        """
        bounds = ReadOptions()
        bounds.set_iterate_upper_bound(end)
        cursor = self._db.iter(bounds)
        try:
            cursor.seek(start)
            while cursor.valid():
                yield cursor.key(), cursor.value()
                cursor.next()
            cursor.status()
        except Exception as error:  # noqa: BLE001  rocksdict raises no narrower class
            del cursor  # or the error's traceback would keep it, and with it the lock on a store that is to be thrown away
            self._fail(error)

    def write(self, batch: Batch) -> None:
        """Write a batch whole or not at all; raises as `get` does.

        After a crash here the store has all of it or nothing of it.
        """
        serial = self.serial + 1
        number = _number.pack(serial)
        batch.put(_SERIAL, number)
        batch.put(_MARK + _slot.pack(serial % MARKS), number)
        try:
            self._db.write(batch)
            if serial % (MARKS // 2) == 0:
                self._db.flush(False)
        except Exception as error:  # noqa: BLE001  rocksdict raises no narrower class
            self._fail(error)
        self.serial = serial

    def reset(self) -> None:
        """Throw all of it away and open an empty store in its place.

        Raises:
            StateDamaged: not even an empty store can be made there.

        """
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)
        self.serial = 0
        self.open()

    def close(self) -> None:
        """Write what is in memory to tables and let go of the files; closing twice is allowed."""
        with contextlib.suppress(Exception):  # a damaged store may fail to close; it is opened again or thrown away, and both look for themselves
            self._db.close()

    def _fail(self, error: Exception) -> NoReturn:
        """Say what a failure of RocksDB means: ours, the operator's, or damage."""
        if isinstance(error, DbClosedError):
            raise error
        if isinstance(error, OSError) or any(sign in str(error) for sign in _OPERATOR):
            raise Unavailable(f"The state store {self.path} cannot be used: {error}. Make room or mend the rights, then start again.") from error
        with contextlib.suppress(OSError):
            (self.path / _TOMB).touch()
        raise StateDamaged(f"The state store {self.path} is damaged: {error}. The next start throws it away and rebuilds it from its changelog.") from error
