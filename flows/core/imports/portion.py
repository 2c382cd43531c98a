"""What was read of a file in one go, on its way from the process that read it to the checkpoint that publishes it."""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple

import orjson

from flows.core.files.rejects import Reject
from flows.core.imports.source import READ_AS

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
    ids: Sequence[str]
    rejects: Sequence[Reject]
    """By row; a row may have several."""
    unreadable: tuple[str, str] | None = None
    """A code and a sentence: nothing more of the file can be read."""
    read_as: Mapping[str, Any] = {}
    """The job's source with everything settled that it left open: encoding, delimiter, quote and the like."""

    @property
    def rejected(self) -> int:
        """How many rows were turned away."""
        return self.rows_read - self.good - self.skipped

    @property
    def told(self) -> dict[str, Any]:
        """Return how the file is read, for its job's report."""
        return {name: self.read_as[name] for name in READ_AS if self.read_as.get(name) is not None}

    def pack(self) -> bytes:
        """Write it: a line of JSON, lengths, bytes."""
        keys = [key or b"" for key in self.keys]
        raws = [None if one.raw == before.raw else one.raw for before, one in pairwise((NOTHING, *self.rejects))]  # reasons of one row have the same
        head = {
            "place": [self.place.at, len(self.place.state), self.place.line, self.place.ordinal],
            "over": self.over,
            "rows": [self.rows_read, self.skipped, self.good],
            "rejects": [reject[:-1] for reject in self.rejects],
            "counts": [len(self.values), len(self.ids)],
            "unreadable": self.unreadable,
            "read_as": dict(self.read_as),
        }
        lengths = array("I", [*map(len, self.values), *(NONE if key is None else len(key) for key in (*self.keys, *raws))])
        return b"".join(
            (orjson.dumps(head), b"\n", lengths.tobytes(), self.place.state, "".join(self.ids).encode(), *keys, *(raw or b"" for raw in raws), *self.values)
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Portion":
        """Read what `pack` wrote."""
        line = data.index(b"\n")
        head: Mapping[str, Any] = orjson.loads(data[:line])
        (values, ids), rejects = head["counts"], head["rejects"]
        rows_read, skipped, good = head["rows"]
        lengths = array("I")
        behind = line + 1 + (2 * values + len(rejects)) * lengths.itemsize
        lengths.frombytes(data[line + 1 : behind])
        at, state, file_line, ordinal = head["place"]
        cut = _Cut(data, behind).parts
        place = Place(at, cut([state])[0], file_line, ordinal)
        texts = cut([ID_CHARS] * ids)
        keys = cut([0 if length == NONE else length for length in lengths[values : 2 * values]])
        held = cut([0 if length == NONE else length for length in lengths[2 * values :]])
        raws = [*accumulate(zip(held, lengths[2 * values :], strict=True), lambda before, one: before if one[1] == NONE else one, initial=(b"", 0))][1:]
        return cls(
            place,
            head["over"],
            rows_read,
            skipped,
            good,
            cut(lengths[:values]),
            [None if length == NONE else key for key, length in zip(keys, lengths[values : 2 * values], strict=True)],
            [text.decode() for text in texts],
            [Reject._make((*told, raw)) for told, (raw, _) in zip(rejects, raws, strict=True)],
            tuple(head["unreadable"]) if head["unreadable"] is not None else None,
            head["read_as"],
        )


class _Cut:
    """Cuts bytes into parts that follow one another."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def parts(self, lengths: Iterable[int]) -> list[bytes]:
        data, ends = self._data, [*accumulate(lengths, initial=self._at)]
        self._at = ends[-1]
        return [data[start:end] for start, end in pairwise(ends)]
