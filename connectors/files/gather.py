"""Makes one portion of the tables that were read together."""

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import attrgetter
from typing import NamedTuple

from connectors.files.encode import NONE, Encoded, Output, Shape, encode, expressible, lines_of
from connectors.files.lacking import Lacking, require
from connectors.files.marks import NOTHING, Judged, Marked, Marks, values_of, without
from connectors.files.plan import Plan, Sifted
from connectors.files.reader import Read, Unreadable
from connectors.files.rules.cursor import Cursor
from connectors.files.table import Table
from flows.core.files.rejects import VALUE_CHARS, Reject
from flows.core.imports import codes
from flows.core.imports.named import NOBODY, Named
from flows.core.imports.portion import Lines, Place, Portion, joined
from flows.core.imports.recall import higher


class Sieve(NamedTuple):
    """What is done with rows: a job's rules, and what tells those that came before."""

    plan: Plan
    marks: Marks
    cursor: Cursor | None = None
    named: Named = NOBODY
    """The columns that the job speaks of."""


class Made(NamedTuple):
    """What came of one table, before it is known which of its rows came before."""

    read: Read
    sifted: Sifted
    encoded: Encoded | None
    """Its rows as they go out; None: in blocks, which are made when it is known which rows are in them."""
    marked: Marked | None
    size: int
    """Bytes of rows and rejects, about as they go out."""


class Gatherer:
    """Puts tables through a plan and writes what is good of them."""

    def __init__(self, sieve: Sieve, output: Output, most_bytes: int, ordinal: int, *, fixed: bool = False, watched: bool = False) -> None:
        """Take what is done with rows, how they go out, how large a record may be, and how many rows of the file came before.

        `fixed`: every row has the same columns, so that one which is missing for keys, or for rows to be told by, is a mistake of the job's, for which
        its file fails; unless somebody looks on (`watched`), who is shown rows and told of what is missing beside them.
        """
        self._strict = fixed and not watched
        self.lacking = Lacking(sieve.named, fixed=fixed)
        self._sieve = sieve
        self._output = output
        self._most_bytes = most_bytes
        self._ordinal = ordinal
        self._made: list[Made] = []
        self._told: tuple[Place, bool] | None = None
        self.good = False
        """Whether a row was good, of all that were added."""

    @property
    def rows(self) -> int:
        """Rows read since the last portion."""
        return sum(one.read.rows_read for one in self._made) if self._told is None else 0

    @property
    def size(self) -> int:
        """Bytes of what was read since the last portion, about as they go out."""
        return sum(one.size for one in self._made) if self._told is None else 0

    def add(self, reads: Iterable[Read]) -> None:
        """Take tables that follow one another; raises `Unreadable` where they lack a column that must be there, as their file then does."""
        for read in reads:
            self._begin()
            self._made.append(self._table(read))

    def portion(self, at: int, state: bytes, line: int, known: Sequence[bytes] = (), *, over: bool) -> Portion:
        """Return what has come together; what is added from then on is another portion. `known`: the answers of the job's memory."""
        self._begin()
        self._ordinal += self.rows
        self._told = Place(at, state, line, self._ordinal), over
        return self.decided(known)

    def decided(self, known: Sequence[bytes]) -> Portion:
        """Return the last portion, as it is by these answers."""
        assert self._told is not None  # noqa: S101  the caller's
        made, marks, cursor = self._made, self._sieve.marks, self._sieve.cursor
        judged, lots = marks.judge([one.marked for one in made if one.marked is not None], known) if marks.any else ([NOTHING] * len(made), [])
        values, keys, ids, rejects = list[Sequence[bytes]](), list[bytes | None](), list[Lines](), list[Reject]()
        good, skipped, high = 0, 0, None
        for one, found in zip(made, judged, strict=True):
            sifted, encoded = self._left(one, found)
            values.append(encoded.values)
            keys += encoded.keys
            ids.append(encoded.ids)
            rejects += sorted([*one.read.rejects, *sifted.rejects], key=attrgetter("ordinal"))
            good += sifted.frame.height
            skipped += sifted.skipped + len(found.unchanged)
            high = higher(high, cursor.highest(sifted.whole)) if cursor is not None else None
        place, over = self._told
        read = sum(one.read.rows_read for one in made)
        if not lots:
            self._made = []
        return Portion(place, over, read, skipped, good, joined(values), keys, joined(ids), rejects, lots=lots, high=high)

    def _begin(self) -> None:
        """Let go of the portion that was told."""
        if self._told is not None:
            self._made, self._told = [], None

    def _table(self, read: Read) -> Made:
        sifted = expressible(read.table, self._sieve.plan.apply(read.table))
        self.good |= sifted.frame.height + sifted.skipped > 0
        if self._strict and read.table.frame.height:
            require(sifted, self._output.key_columns, self._sieve.named.needed)
        self.lacking.look(read.table)
        encoded = None
        if self._output.shape is Shape.ROW:
            encoded = encode(sifted, read.table.ordinals, self._output)
            if not Lines.of(encoded.values).within(self._most_bytes):
                sifted, encoded = self._small(read.table, sifted, encoded)
        marks, size = self._sieve.marks, _size(read, sifted, encoded)
        if not marks.any:
            return Made(read, sifted, encoded, None, size)
        lines = (encoded.values if encoded is not None else lines_of(sifted.frame, sifted.fragments, fixed=self._output.fixed)) if marks.key else []
        return Made(read, sifted, encoded, marks.mark(sifted, lines), size)

    def _small(self, table: Table, sifted: Sifted, encoded: Encoded) -> tuple[Sifted, Encoded]:
        """Take rows out that no record can hold, and say why."""
        most = self._most_bytes
        large = {at: value for at, value in enumerate(encoded.values) if len(value) > most}
        rejects = []
        for at, whole in large.items():
            place = table.place(at if sifted.rows is None else sifted.rows[at])
            value = whole[:VALUE_CHARS].decode("utf-8", "replace")
            rejects.append(Reject(place.ordinal, place.line, place.offset, "", "row_too_large", f"at most {most} bytes", value, place.raw))
        return _only(sifted, encoded, large, rejects)

    def _left(self, one: Made, found: Judged) -> tuple[Sifted, Encoded]:
        """Return what goes out of a table: its good rows without those that came before."""
        sifted, encoded = one.sifted, one.encoded or NONE
        if found is not NOTHING:
            rejects = [_repeated(one.read.table, sifted, row, self._sieve.marks, rule) for row, rule in found.repeated]
            sifted, encoded = _only(sifted, encoded, {*found.unchanged, *(row for row, _ in found.repeated)}, rejects)
        if one.encoded is None:
            encoded = encode(sifted, one.read.table.ordinals, self._output)
            if max(map(len, encoded.values), default=0) > self._most_bytes:
                most = self._most_bytes
                raise Unreadable("block_too_large", f"A block of rows is larger than the {most:,} bytes its topic takes; give fewer rows_per_record.")
        return sifted, encoded


def _size(read: Read, sifted: Sifted, encoded: Encoded | None) -> int:
    values = sifted.frame.estimated_size() if encoded is None else len(Lines.of(encoded.values).text)
    return int(values) + sum(len(reject.raw) for reject in (*read.rejects, *sifted.rejects))


def _only(sifted: Sifted, encoded: Encoded, gone: Iterable[int], rejects: Sequence[Reject]) -> tuple[Sifted, Encoded]:
    """Return rows without some of them, of which `rejects` says why."""
    kept = without(sifted.frame.height, gone)
    merged = sorted([*sifted.rejects, *rejects], key=attrgetter("ordinal"))
    if encoded.values:
        encoded = Encoded(Lines.of(compress(encoded.values, kept)), list(compress(encoded.keys, kept)), Lines.of(compress(encoded.ids, kept)))
    return sifted.only(kept)._replace(rejects=merged), encoded


def _repeated(table: Table, sifted: Sifted, row: int, marks: Marks, rule: int) -> Reject:
    """Say of a good row that its key came before."""
    place = table.place(row if sifted.rows is None else sifted.rows[row])
    columns = marks.unique[rule].columns
    told = f"unique: {', '.join(columns)}"
    value = values_of(sifted, row, columns)[:VALUE_CHARS]
    return Reject(place.ordinal, place.line, place.offset, columns[0] if len(columns) == 1 else "", codes.DUPLICATE.code, told, value, place.raw)
