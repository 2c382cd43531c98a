"""What was read of a file in one go, on its way from the process that read it to the checkpoint that publishes it."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple

import orjson

from flows.core.files.rejects import Reject
from flows.core.imports.recall import Level, Lot, level
from flows.core.imports.source import LOOKS_LIKE, NOTES, READ_AS, UNKNOWN_COLUMNS

ID_CHARS: Final = 64
"""An id is a SHA-256 in hex."""
NONE: Final = 0xFFFF_FFFF
"""The length of a key that there is none of, and of a row's bytes that are those before."""
NOTHING: Final = Reject(-1, 0, -1, "", "", "", "", b"")


class Place(NamedTuple):
    """Where reading goes on."""

    at: int = 0
    """The byte of the file from which the reader has to be fed."""
    state: bytes = b""
    """What it goes on from; empty: it begins."""
    line: int = 1
    ordinal: int = 0


BEGINNING: Final = Place()


class Portion(NamedTuple):
    """Rows, each as it goes out, and rows that were turned away."""

    place: Place
    """Where the next portion begins."""
    over: bool
    """Whether the file has been read to its end."""
    rows_read: int
    """Good rows, rejected ones and skipped ones."""
    skipped: int
    good: int
    values: Sequence[bytes]
    """Of a row each, or of a block of rows."""
    keys: Sequence[bytes | None]
    ids: Sequence[bytes]
    """`ID_CHARS` of ASCII each."""
    rejects: Sequence[Reject]
    """By row; a row may have several."""
    unreadable: tuple[str, str] | None = None
    """A code and a sentence: nothing more of the file can be read."""
    read_as: Mapping[str, Any] = {}
    """The job's source with everything settled that it left open: encoding, delimiter, quote and the like; and what is told beside it."""
    lots: Sequence[Lot] = ()
    """What it asked of the job's memory, and gives to it; none where no rule remembers rows."""
    high: Level | None = None
    """The highest value of the cursor column among good rows."""

    @property
    def rejected(self) -> int:
        """How many rows were turned away."""
        return self.rows_read - self.good - self.skipped

    @property
    def told(self) -> dict[str, Any]:
        """Return how the file is read, for its job's report."""
        return {name: self.read_as[name] for name in (*READ_AS, LOOKS_LIKE, UNKNOWN_COLUMNS, NOTES) if self.read_as.get(name) is not None}

    def pack(self) -> bytes:
        """Write it: a line of JSON, lengths, bytes."""
        keyed = [*self.keys].count(None) < len(self.keys)
        keys = [key or b"" for key in self.keys] if keyed else []
        raws = [None if one.raw == before.raw else one.raw for before, one in pairwise((NOTHING, *self.rejects))]  # reasons of one row have the same
        head = {
            "place": [self.place.at, len(self.place.state), self.place.line, self.place.ordinal],
            "over": self.over,
            "rows": [self.rows_read, self.skipped, self.good],
            "rejects": [reject[:-1] for reject in self.rejects],
            "counts": [len(self.values), len(self.ids), len(keys)],
            "unreadable": self.unreadable,
            "read_as": dict(self.read_as),
            "lots": [[lot.scope, len(lot.asked), len(lot.known), len(lot.kept)] for lot in self.lots],
            "high": list(self.high) if self.high is not None else None,
        }
        asked = [part for lot in self.lots for part in lot[1:]]
        lengths = array("I", map(len, self.values))
        if keyed:
            lengths.extend(NONE if key is None else len(key) for key in self.keys)
        lengths.extend(NONE if raw is None else len(raw) for raw in raws)
        parts = (*self.ids, *asked, *keys, *(raw or b"" for raw in raws), *self.values)
        return b"".join((orjson.dumps(head), b"\n", lengths.tobytes(), self.place.state, *parts))

    @classmethod
    def unpack(cls, data: bytes, begin: int = 0) -> "Portion":
        """Read what `pack` wrote, from byte `begin` on."""
        line = data.index(b"\n", begin)
        head: Mapping[str, Any] = orjson.loads(data[begin:line])
        (values, ids, keyed), rejects = head["counts"], head["rejects"]
        rows_read, skipped, good = head["rows"]
        lengths = array("I")
        behind = line + 1 + (values + keyed + len(rejects)) * lengths.itemsize
        lengths.frombytes(data[line + 1 : behind])
        place = place_in(data, begin)
        cut = _Cut(data, behind + len(place.state)).parts
        names = cut([ID_CHARS] * ids)
        lots = [Lot(scope, *cut(sizes)) for scope, *sizes in head["lots"]]
        of_keys, of_raws = lengths[values : values + keyed], lengths[values + keyed :]
        keys = cut([0 if length == NONE else length for length in of_keys])
        held = cut([0 if length == NONE else length for length in of_raws])
        raws = [*accumulate(zip(held, of_raws, strict=True), lambda before, one: before if one[1] == NONE else one, initial=(b"", 0))][1:]
        return cls(
            place,
            head["over"],
            rows_read,
            skipped,
            good,
            cut(lengths[:values]),
            [None if length == NONE else key for key, length in zip(keys, of_keys, strict=True)] if keyed else [None] * values,
            names,
            [Reject._make((*told, raw)) for told, (raw, _) in zip(rejects, raws, strict=True)],
            tuple(head["unreadable"]) if head["unreadable"] is not None else None,
            head["read_as"],
            lots,
            level(head["high"]),
        )


def place_in(data: bytes, begin: int = 0) -> Place:
    """Return where the next portion begins, of what `Portion.pack` wrote, from byte `begin` on."""
    line = data.index(b"\n", begin)
    head: Mapping[str, Any] = orjson.loads(data[begin:line])
    values, _, keyed = head["counts"]
    state = line + 1 + (values + keyed + len(head["rejects"])) * array("I").itemsize
    at, size, file_line, ordinal = head["place"]
    return Place(at, data[state : state + size], file_line, ordinal)


class _Cut:
    """Cuts bytes into parts that follow one another."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def parts(self, lengths: Iterable[int]) -> list[bytes]:
        data, ends = self._data, [*accumulate(lengths, initial=self._at)]
        self._at = ends[-1]
        return [data[start:end] for start, end in pairwise(ends)]
