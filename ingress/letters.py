"""The read model of `xyra.letters`: the newest dead letters in full, and exact counts of all of them."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from flows.core.deadletters.letters import place_of
from flows.core.deadletters.summaries import STATUSES, Status, Summary
from flows.core.orders import Filter
from flows.core.verdict import Reason

MOST_GROUPS: Final = 10_000
MOST_GAP: Final = 1 << 24
"""Letters that are counted at once on one partition, four bytes each."""
OTHERS: Final = "others"
"""The fingerprint under which causes are counted once there are too many of them."""

Key = tuple[int, int, int]
"""When a letter was buried, and where it stands: what lists are ordered by."""


@dataclass(slots=True)
class Group:
    """Letters with one cause."""

    fingerprint: str
    flow: str
    step: str
    resource: str
    letter_class: str
    code: str = "-"
    """What the newest of them says first; another may tell the same reasons in another order."""
    reasons: tuple[Reason, ...] = ()
    """What the newest of them says."""
    sample: str = ""
    """The id of the newest."""
    first_ms: int = 0
    last_ms: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * len(STATUSES))

    def see(self, letter: Summary) -> None:
        """Take note of a letter."""
        self.first_ms = min(self.first_ms or letter.buried_at_ms, letter.buried_at_ms)
        if letter.buried_at_ms >= self.last_ms:
            self.last_ms, self.sample = letter.buried_at_ms, letter.id
            self.code, self.reasons = letter.code, letter.reasons


def group_for(letter: Summary) -> Group:
    """Begin a group with a letter's cause."""
    return Group(letter.fingerprint, letter.flow, letter.step, letter.resource, letter.letter_class, letter.code)


def grouped(letters: Iterable[Summary]) -> list[Group]:
    """Count letters by cause."""
    found: dict[str, Group] = {}
    for letter in letters:
        group = found.setdefault(letter.fingerprint, group_for(letter))
        group.see(letter)
        group.counts[STATUSES.index(letter.status)] += 1
    return list(found.values())


class _Marks:
    """For each letter of one partition its group and status, four bytes each; 0: none."""

    def __init__(self) -> None:
        self._base = 0
        self._marks = array("I")

    def get(self, offset: int) -> int:
        """Return a letter's mark."""
        at = offset - self._base
        return self._marks[at] if 0 <= at < len(self._marks) else 0

    def swap(self, offset: int, mark: int) -> int | None:
        """Set a letter's mark and return the one before; None where the place cannot be."""
        if not self._marks:
            self._base = offset
        if offset < self._base:
            missing = self._base - offset
            if missing + len(self._marks) > MOST_GAP:
                return None
            self._marks = array("I", bytes(4 * missing)) + self._marks
            self._base = offset
        at = offset - self._base
        if at >= MOST_GAP:
            return None
        if at >= len(self._marks):
            self._marks.frombytes(bytes(4 * (at + 1 - len(self._marks))))
        before = self._marks[at]
        self._marks[at] = mark
        return before


class LettersView:
    """Never blocks. The newest `most` letters are here in full; older ones are counted, and found by their id on the log. Read again after a crash."""

    def __init__(self, most: int) -> None:
        """Start empty."""
        self._most = most
        self._rows: dict[str, Summary] = {}
        self._order: list[Key] = []
        self._groups: list[Group] = []
        self._by_fingerprint: dict[str, int] = {}
        self._marks: dict[int, _Marks] = {}
        self.last: dict[int, int] = {}
        """The last letter's offset, by partition of `xyra.dlq`."""
        self.malformed = 0
        """Records that could not be read; none of ours are like that."""

    def apply(self, key: str, value: bytes | None, _offset: int) -> None:
        """Take one record of the topic."""
        place = place_of(key)
        try:
            letter = None if value is None else Summary.read(value)
        except ValueError:
            self.malformed += 1
            return
        if place is None or (letter is not None and letter.id != key) or not self._count(*place, letter):
            self.malformed += 1
            return
        self._forget(key)
        if letter is not None:
            self._remember(letter, place)

    @property
    def left_out(self) -> int:
        """Letters that are only counted."""
        return sum(sum(group.counts) for group in self._groups) - len(self._rows)

    def get(self, identifier: str) -> Summary | None:
        """Return a letter, None when it is not here in full."""
        return self._rows.get(identifier)

    def status(self, partition: int, offset: int) -> Status | None:
        """Return what became of a letter, also of one that is only counted; None when there is none."""
        marks = self._marks.get(partition)
        mark = marks.get(offset) if marks is not None else 0
        return STATUSES[(mark & 3) - 1] if mark else None

    def newest(self, before: Key | None = None) -> Iterator[Summary]:
        """Give the letters, the newest first, from the one after `before` on."""
        end = len(self._order) if before is None else bisect_left(self._order, before)
        return (self._rows[f"{partition}-{offset}"] for _, partition, offset in reversed(self._order[:end]))

    def matching(self, wanted: Filter, before: Key | None = None) -> Iterator[Summary]:
        """Give the letters that are meant, the newest first."""
        return filter(wanted.matcher(), self.newest(before))

    def groups(self) -> list[Group]:
        """Return every cause there are letters of, counted exactly, that of the newest letter first."""
        return sorted((group for group in self._groups if any(group.counts)), key=lambda group: group.last_ms, reverse=True)

    def _count(self, partition: int, offset: int, letter: Summary | None) -> bool:
        mark = 0
        if letter is not None:
            group = self._group(letter)
            mark = (group << 2) + STATUSES.index(letter.status) + 1
        before = self._marks.setdefault(partition, _Marks()).swap(offset, mark)
        if before is None:
            return False
        if before:
            self._groups[before >> 2].counts[(before & 3) - 1] -= 1
        if letter is not None:
            self._groups[mark >> 2].counts[(mark & 3) - 1] += 1
            self._groups[mark >> 2].see(letter)
            self.last[partition] = max(self.last.get(partition, 0), offset)
        return True

    def _group(self, letter: Summary) -> int:
        found = self._by_fingerprint.get(letter.fingerprint)
        if found is not None:
            return found
        name = letter.fingerprint if len(self._groups) < MOST_GROUPS else OTHERS
        if name not in self._by_fingerprint:
            self._by_fingerprint[name] = len(self._groups)
            self._groups.append(group_for(letter) if name != OTHERS else Group(OTHERS, "-", "-", "-", letter.letter_class))
        return self._by_fingerprint[name]

    def _remember(self, letter: Summary, place: tuple[int, int]) -> None:
        key = (letter.buried_at_ms, *place)
        if len(self._order) >= self._most and key < self._order[0]:
            return
        self._rows[letter.id] = letter
        insort(self._order, key)
        if len(self._order) > self._most:
            _, partition, offset = self._order.pop(0)
            del self._rows[f"{partition}-{offset}"]

    def _forget(self, key: str) -> None:
        old = self._rows.pop(key, None)
        if old is not None:
            place = place_of(key) or (0, 0)
            del self._order[bisect_left(self._order, (old.buried_at_ms, *place))]
