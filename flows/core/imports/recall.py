"""What a portion of a file asks of its job's memory, and what it gives to it: digests of keys, and the highest value of a cursor.

The process that reads decides which rows are left out, by the answers that it is given with the request: at first none. The flow looks the same
questions up in the state when the portion comes back. Where its answers are the ones that the portion was made with, the portion is published and
`kept` is put in state, in one transaction; where they are not, the portion is asked for once more with the right ones. So nobody has to remember what
was asked before, and a portion that is made again after a crash comes out the same.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import orjson

DIGEST: Final = 16
"""Bytes of a digest: two different keys of a job with ten thousand million rows have the same one with a chance of one in 10^18."""

Scope = Literal["file", "runs", "rows"]
"""Of a rule: keys of this file's rows; keys of rows of all runs; keys of all runs, and what stood under each."""


class Lot(NamedTuple):
    """The questions of one rule."""

    scope: Scope
    asked: bytes
    """A digest for each key of the portion, in the order they came; of `rows` for each key and what stands under it, one digest behind the other."""
    known: bytes
    """The answers that the portion was made with, a byte each. 1: a row with this key was let through before, or the same stood under it last."""
    kept: bytes
    """What is to be remembered once the portion is published, as `asked`: keys that were let through; of `rows` those that changed,
    with what stands under them now."""

    @property
    def size(self) -> int:
        """Return how many bytes a question has."""
        return 2 * DIGEST if self.scope == "rows" else DIGEST

    def questions(self) -> list[bytes]:
        """Return them one by one."""
        return cut(self.asked, self.size)

    def keeping(self) -> list[bytes]:
        """Return what is to be remembered, one by one."""
        return cut(self.kept, self.size)


class Recalled:
    """What the portions of a sample have let through, one behind the other: what a dry run has in place of a job's memory."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._kept: dict[tuple[int, bytes], bytes] = {}

    def answers(self, lots: Sequence[Lot]) -> list[bytes]:
        """Answer the questions of a portion, as a job's state would that knows of these portions alone."""
        return [bytes(self._kept.get((at, asked[:DIGEST])) == asked[DIGEST:] for asked in lot.questions()) for at, lot in enumerate(lots)]

    def keep(self, lots: Sequence[Lot]) -> None:
        """Take what a portion lets through, whose questions were answered right."""
        self._kept |= {(at, kept[:DIGEST]): kept[DIGEST:] for at, lot in enumerate(lots) for kept in lot.keeping()}


class Level(NamedTuple):
    """A value of a cursor column, such that two of a kind can be compared anywhere."""

    kind: str
    """The column's type."""
    value: int | float | str
    """A date: days since 1970; a datetime: microseconds since then; a decimal: its text."""

    def above(self, other: "Level | None") -> bool:
        """Tell whether it is higher than one of the same kind, or than none."""
        return other is None or self._place > other._place  # noqa: SLF001  of the same class

    @property
    def _place(self) -> Any:
        return Decimal(self.value) if self.kind == "decimal" else self.value


def higher(one: Level | None, other: Level | None) -> Level | None:
    """Return the higher of two of the same kind."""
    return other if one is None or (other is not None and other.above(one)) else one


def retyped(column: str, kind: str, before: str) -> str:
    """Say that nothing can be compared with what is remembered, since a column is of another type."""
    told = f"The column {column!r} is of type {kind}, and was {before} in earlier runs of jobs of this name"
    return f"{told}; give it that type, or the job another name, under which all rows are new."


def level(found: Sequence[Any] | None) -> Level | None:
    """Read one out of JSON."""
    return Level(*found) if found is not None else None


def cut(data: bytes, size: int) -> list[bytes]:
    """Return bytes in parts of one size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


class Days:
    """How many keys a memory holds, by the day on which they expire: so that what has expired is not counted."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        """Begin with these."""
        self._counts = dict(counts or {})

    @classmethod
    def of(cls, text: bytes | None) -> "Days":
        """Read what `text` wrote; None: nothing is remembered."""
        return cls({int(day): count for day, count in orjson.loads(text).items()}) if text is not None else cls()

    def text(self) -> bytes:
        """Write it."""
        return orjson.dumps({str(day): count for day, count in self._counts.items()})

    def add(self, day: int, count: int) -> None:
        """Count keys that expire on a day; fewer than none takes them away."""
        self._counts[day] = max(0, self._counts.get(day, 0) + count)

    def alive(self, today: int) -> int:
        """Return how many there are, and forget those of days before."""
        self._counts = {day: count for day, count in self._counts.items() if day >= today and count}
        return sum(self._counts.values())
