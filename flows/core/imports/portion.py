"""What was read of a file in one go, on its way from the process that read it to the checkpoint that publishes it."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any, Final, NamedTuple, overload

import orjson

from flows.core.files.rejects import Reject
from flows.core.imports.recall import Level, Lot, level
from flows.core.imports.source import LOOKS_LIKE, NOTES, READ_AS, UNKNOWN_COLUMNS

NONE: Final = 0xFFFF_FFFF
"""The length of a key that there is none of, and of a row's bytes that are those before."""
NOTHING: Final = Reject(-1, 0, -1, "", "", "", "", b"")


@dataclass(frozen=True, slots=True)
class Lines(Sequence[bytes]):
    """Values without line ends, as one text until somebody asks for one: to tell tens of thousands of them apart takes longer than to write them."""

    text: bytes
    """Each with a line end behind it."""
    number: int

    @classmethod
    def of(cls, values: Iterable[bytes]) -> "Lines":
        """Put values together; such as are lines already cost nothing."""
        if isinstance(values, cls):
            return values
        held = list(values)
        return cls(b"".join(value + b"\n" for value in held), len(held))

    def within(self, most: int) -> bool:
        """Tell whether each has so many bytes at most."""
        at = 0
        while at < len(self.text):
            end = self.text.rfind(b"\n", at, at + most + 1)
            if end < 0:
                return False
            at = end + 1
        return True

    def __len__(self) -> int:
        """Return how many there are."""
        return self.number

    def __iter__(self) -> Iterator[bytes]:
        """Give them in order."""
        return iter(split(self.text))

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        """Return one of them, or several; whoever wants all goes over them."""
        return split(self.text)[at]


def split(text: bytes) -> list[bytes]:
    """Return the lines of a text, without their ends."""
    return text.split(b"\n")[:-1]


def joined(parts: Sequence[Sequence[bytes]]) -> Sequence[bytes]:
    """Return values of several parts as one: as lines where all are."""
    lines = [part for part in parts if isinstance(part, Lines)]
    if len(lines) == len(parts):
        return Lines(b"".join(part.text for part in lines), sum(map(len, lines)))
    return list(chain.from_iterable(parts))


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
    """Of a row each, best as `Lines`, or of a block of rows."""
    keys: Sequence[bytes | None]
    ids: Sequence[bytes]
    """A SHA-256 in hex each."""
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
        ids, lines = Lines.of(self.ids), self.values if isinstance(self.values, Lines) else None
        blocks = self.values if lines is None else ()
        head = {
            "place": [self.place.at, len(self.place.state), self.place.line, self.place.ordinal],
            "over": self.over,
            "rows": [self.rows_read, self.skipped, self.good],
            "rejects": [reject[:-1] for reject in self.rejects],
            "counts": [len(blocks), len(ids.text), len(keys)],
            "lines": len(lines.text) if lines is not None else None,
            "unreadable": self.unreadable,
            "read_as": dict(self.read_as),
            "lots": [[lot.scope, len(lot.asked), len(lot.known), len(lot.kept)] for lot in self.lots],
            "high": list(self.high) if self.high is not None else None,
        }
        asked = [part for lot in self.lots for part in lot[1:]]
        lengths = array("I", map(len, blocks))
        if keyed:
            lengths.extend(NONE if key is None else len(key) for key in self.keys)
        lengths.extend(NONE if raw is None else len(raw) for raw in raws)
        parts = (ids.text, *asked, *keys, *(raw or b"" for raw in raws), *blocks, *([lines.text] if lines is not None else ()))
        return b"".join((orjson.dumps(head), b"\n", lengths.tobytes(), self.place.state, *parts))

    @classmethod
    def unpack(cls, data: bytes, begin: int = 0) -> "Portion":
        """Read what `pack` wrote, from byte `begin` on."""
        line = data.index(b"\n", begin)
        head: Mapping[str, Any] = orjson.loads(data[begin:line])
        (blocks, ids, keyed), lines, rejects = head["counts"], head["lines"], head["rejects"]
        rows_read, skipped, good = head["rows"]
        lengths = array("I")
        behind = line + 1 + (blocks + keyed + len(rejects)) * lengths.itemsize
        lengths.frombytes(data[line + 1 : behind])
        place = place_in(data, begin)
        cut = _Cut(data, behind + len(place.state)).parts
        names = split(*cut([ids]))
        lots = [Lot(scope, *cut(sizes)) for scope, *sizes in head["lots"]]
        of_keys, of_raws = lengths[blocks : blocks + keyed], lengths[blocks + keyed :]
        keys = cut([0 if length == NONE else length for length in of_keys])
        held = cut([0 if length == NONE else length for length in of_raws])
        raws = [*accumulate(zip(held, of_raws, strict=True), lambda before, one: before if one[1] == NONE else one, initial=(b"", 0))][1:]
        values = cut(lengths[:blocks]) if lines is None else split(*cut([lines]))
        return cls(
            place,
            head["over"],
            rows_read,
            skipped,
            good,
            values,
            [None if length == NONE else key for key, length in zip(keys, of_keys, strict=True)] if keyed else [None] * len(values),
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
    blocks, _, keyed = head["counts"]
    state = line + 1 + (blocks + keyed + len(head["rejects"])) * array("I").itemsize
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
