"""Rows that came before: told by digests of their keys, of which the state knows those of earlier portions and runs.

A key's digest is BLAKE2b of 16 bytes over the names and the values of its columns, as they go out, in the order of the names. The answers of the
state come with the request, one for each question in the order of the rows (`flows.core.imports.recall`); what comes twice within the portion is
decided here.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Final, NamedTuple

import orjson
import polars as pl

from connectors.files.encode import lines_of
from connectors.files.plan import Sifted
from flows.core.imports.recall import DIGEST, Lot
from flows.core.imports.rules import Unique


class Marked(NamedTuple):
    """Digests of the rows of one table, None for a row that is not compared."""

    unique: list[list[bytes | None]]
    """By rule."""
    keys: list[bytes | None] | None
    """Of the columns under which a row is looked for; None: there are none."""
    contents: list[bytes]
    """Of what goes out of each row, where there are keys."""


class Judged(NamedTuple):
    """What was decided about the rows of one table."""

    unchanged: list[int]
    repeated: list[tuple[int, int]]
    """Row and rule."""


NOTHING: Final = Judged([], [])
"""No row came before."""


class Marks:
    """The rules of a job by which rows are told from those that came before."""

    def __init__(self, unique: Sequence[Unique], key: Sequence[str]) -> None:
        """Take the rules, and the columns under which rows are looked for that may be unchanged."""
        self.unique = tuple(unique)
        self.key = tuple(key)

    @property
    def any(self) -> bool:
        """Whether there are rules at all."""
        return bool(self.unique or self.key)

    def mark(self, sifted: Sifted, values: Sequence[bytes]) -> Marked:
        """Return the digests of good rows; `values`: each as it goes out, which is needed where there are keys."""
        unique = [digests(sifted, rule.columns) for rule in self.unique]
        keys = digests(sifted, self.key) if self.key else None
        return Marked(unique, keys, [hashlib.blake2b(value, digest_size=DIGEST).digest() for value in values] if self.key else [])

    def judge(self, tables: Sequence[Marked], known: Sequence[bytes]) -> tuple[list[Judged], list[Lot]]:
        """Decide about the tables of a portion, by these answers; where they are not as many as there are questions, nothing counts as known."""
        asked = [dict.fromkeys(digest for table in tables for digest in table.unique[at] if digest is not None) for at in range(len(self.unique))]
        pairs = dict.fromkeys((key, content) for table in tables for key, content in zip(table.keys or (), table.contents, strict=True) if key is not None)
        sizes = [*map(len, asked), *([len(pairs)] if self.key else ())]
        answers = list(known) if [*map(len, known)] == sizes else [bytes(size) for size in sizes]
        seen = [set(compress(digests, answer)) for digests, answer in zip(asked, answers, strict=False)]
        contents = dict(compress(pairs, answers[-1])) if self.key else {}
        taken: list[list[bytes]] = [[] for _ in self.unique]
        changed: dict[bytes, bytes] = {}
        judged = [_judge(table, seen, taken, contents, changed) for table in tables]
        lots = [Lot("runs" if rule.across_runs else "file", b"".join(asked[at]), answers[at], b"".join(taken[at])) for at, rule in enumerate(self.unique)]
        if self.key:
            lots.append(Lot("rows", _joined(pairs), answers[-1], _joined(changed.items())))
        return judged, lots


def _judge(table: Marked, seen: list[set[bytes]], taken: list[list[bytes]], contents: dict[bytes, bytes], changed: dict[bytes, bytes]) -> Judged:
    """Decide about the rows of a table in their order. One that is unchanged takes no key, and one that repeats a key by one rule takes none by another."""
    if table.keys is None and _all_new(table.unique, seen, taken):
        return NOTHING
    unchanged: list[int] = []
    repeated: list[tuple[int, int]] = []
    for row in range(len(table.keys if table.keys is not None else table.unique[0])):
        key = table.keys[row] if table.keys is not None else None
        if key is not None and contents.get(key) == table.contents[row]:
            unchanged.append(row)
            continue
        own = [digests[row] for digests in table.unique]
        twice = [(row, at) for at, digest in enumerate(own) if digest is not None and digest in seen[at]]
        repeated += twice
        if twice:
            continue
        for at, digest in enumerate(own):
            if digest is not None:
                seen[at].add(digest)
                taken[at].append(digest)
        if key is not None:
            contents[key] = changed[key] = table.contents[row]
    return Judged(unchanged, repeated) if unchanged or repeated else NOTHING


def _all_new(unique: list[list[bytes | None]], seen: list[set[bytes]], taken: list[list[bytes]]) -> bool:
    """Take all rows at once where none repeats a key; else do nothing."""
    fresh = [set(digests) for digests in unique]
    if any(len(new) < len(digests) or None in new or not new.isdisjoint(known) for new, digests, known in zip(fresh, unique, seen, strict=True)):
        return False
    for at, new in enumerate(fresh):
        seen[at] |= new  # type: ignore[arg-type]  # there is no None among them
        taken[at] += unique[at]  # type: ignore[arg-type]  # as above
    return True


def _joined(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(part for pair in pairs for part in pair)


def digests(sifted: Sifted, columns: Sequence[str]) -> list[bytes | None]:
    """Return the digest of each good row's key; None where a part of it has no value. In which order the columns are named makes no difference."""
    columns = sorted(columns)
    frame = sifted.whole
    if not set(columns) <= set(frame.columns):
        return [None] * sifted.frame.height
    start = hashlib.blake2b(orjson.dumps(columns), digest_size=DIGEST)
    parts = frame.select(columns)
    found: list[bytes | None] = []
    for line in lines_of(parts, sifted.fragments):
        made = start.copy()
        made.update(line)
        found.append(made.digest())
    for name in columns:
        if parts[name].null_count():
            for row in parts[name].is_null().arg_true():
                found[row] = None
    return found


def values_of(sifted: Sifted, row: int, columns: Sequence[str]) -> str:
    """Return a row's key as text."""
    return ", ".join(str(sifted.whole[name][row]) for name in columns)


def without(height: int, gone: Iterable[int]) -> pl.Series:
    """Return for each of so many rows whether it is kept."""
    return pl.repeat(value=True, n=height, dtype=pl.Boolean, eager=True).scatter(sorted(gone), False)
