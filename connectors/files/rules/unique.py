"""Rows that may come once only: told by digests of their keys, which the job keeps in its state.

A key's digest is BLAKE2b of 16 bytes over the names and the values of its columns: two different keys of a job with ten thousand million rows have
the same one with a chance of one in 10^18, so nothing else is compared or kept. The plan asks which digests are known from earlier portions (and
runs), decides what comes twice within the table itself, and gives back the digests of its good rows; whoever writes the rows remembers those in the
same transaction. So a portion that is done again after a crash decides the same, and only what state can hold bounds it.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import orjson
import polars as pl

from connectors.files.plan import Keys
from flows.core.imports.rules import Unique

DIGEST: Final = 16


class Seen(Protocol):
    """Knows the keys of earlier rows."""

    def known(self, digests: Sequence[bytes], *, across_runs: bool) -> Sequence[bool]:
        """Tell of each digest whether a row with it was let through before: in this run, or also in earlier ones. Remembers nothing. May block."""
        ...


class Nothing:
    """Knows no keys: for files that are read as one table, and for samples."""

    def known(self, digests: Sequence[bytes], *, across_runs: bool) -> Sequence[bool]:  # noqa: ARG002  as the protocol has it
        """Say no to all."""
        return [False] * len(digests)


class Judged(NamedTuple):
    """What was found about the rows of a frame."""

    repeated: list[tuple[int, int]]
    """Row and rule of each that came before."""
    keys: tuple[Keys, ...]
    """Of the rows that did not."""


def judge(frame: pl.DataFrame, rules: Sequence[Unique], seen: Seen) -> Judged:
    """Find rows whose keys came before, in this frame or earlier; one that repeats a key by one rule takes none by another."""
    digests = [_digests(frame, rule) for rule in rules]
    fresh: list[set[bytes]] = [_known(found, rule, seen) for found, rule in zip(digests, rules, strict=True)]
    keys = tuple(Keys(rule.across_runs, []) for rule in rules)
    repeated: list[tuple[int, int]] = []
    for row, own in enumerate(zip(*digests, strict=True)):
        twice = [(row, at) for at, digest in enumerate(own) if digest is not None and digest in fresh[at]]
        repeated += twice
        if not twice:
            for at, digest in enumerate(own):
                if digest is not None:
                    fresh[at].add(digest)
                    keys[at].digests.append(digest)
    return Judged(repeated, keys)


def _known(digests: Sequence[bytes | None], rule: Unique, seen: Seen) -> set[bytes]:
    asked = list(dict.fromkeys(digest for digest in digests if digest is not None))
    answers = seen.known(asked, across_runs=rule.across_runs)
    return {digest for digest, known in zip(asked, answers, strict=True) if known}


def _digests(frame: pl.DataFrame, rule: Unique) -> list[bytes | None]:
    """Return the digest of each row's key; None where a part of it has no value."""
    if not set(rule.columns) <= set(frame.columns):
        return [None] * frame.height
    start = hashlib.blake2b(orjson.dumps(rule.columns), digest_size=DIGEST)
    parts = frame.select(rule.columns)
    texts = parts.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    whole = parts.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    return [_digest(start, text) if fine else None for text, fine in zip(texts, whole, strict=True)]


def _digest(start: "hashlib.blake2b", text: str) -> bytes:
    made = start.copy()
    made.update(text.encode())
    return made.digest()
