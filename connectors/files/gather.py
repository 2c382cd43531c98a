"""Makes one portion of the tables that were read together."""

from collections.abc import Iterable
from operator import attrgetter

from connectors.files.encode import Encoded, Output, Shape, encode, expressible
from connectors.files.plan import Plan, Sifted
from connectors.files.reader import Read, Unreadable
from connectors.files.table import Table
from flows.core.files.rejects import VALUE_CHARS, Reject
from flows.core.imports.portion import Place, Portion


class Gatherer:
    """Puts tables through a plan and writes what is good of them."""

    def __init__(self, plan: Plan, output: Output, most_bytes: int, ordinal: int) -> None:
        """Take a job's rules, how its rows go out, how large a record may be, and how many rows of the file came before."""
        self._plan = plan
        self._output = output
        self._most_bytes = most_bytes
        self._ordinal = ordinal
        self._clear()

    @property
    def rows(self) -> int:
        """Rows read since the last portion."""
        return self._read

    def add(self, reads: Iterable[Read]) -> None:
        """Take tables that follow one another."""
        for read in reads:
            sifted = expressible(read.table, self._plan.apply(read.table))
            encoded = encode(sifted, read.table.ordinals, self._output)
            large = [] if max(map(len, encoded.values), default=0) <= self._most_bytes else self._too_large(read.table, sifted, encoded)
            self._values += encoded.values
            self._keys += encoded.keys
            self._ids += encoded.ids
            self._rejects += sorted([*read.rejects, *sifted.rejects, *large], key=attrgetter("ordinal"))
            self._read += read.rows_read
            self._good += sifted.frame.height - len(large)
            self._skipped += sifted.skipped

    def _too_large(self, table: Table, sifted: Sifted, encoded: Encoded) -> list[Reject]:
        """Take rows out that no record can hold, and return why; raises Unreadable where they are blocks."""
        most = self._most_bytes
        if self._output.shape is not Shape.ROW:
            raise Unreadable("block_too_large", f"A block of rows is larger than the {most:,} bytes its topic takes; give fewer rows_per_record.")
        large = [at for at, value in enumerate(encoded.values) if len(value) > most]
        rejects = []
        for at in large:
            place = table.place(at if sifted.rows is None else sifted.rows[at])
            value = encoded.values[at][:VALUE_CHARS].decode("utf-8", "replace")
            rejects.append(Reject(place.ordinal, place.line, place.offset, "", "row_too_large", f"at most {most} bytes", value, place.raw))
        for at in reversed(large):
            del encoded.values[at], encoded.keys[at], encoded.ids[at]
        return rejects

    def portion(self, at: int, state: bytes, line: int, *, over: bool) -> Portion:
        """Return what has come together, and begin anew."""
        self._ordinal += self._read
        place = Place(at, state, line, self._ordinal)
        made = Portion(place, over, self._read, self._skipped, self._good, self._values, self._keys, self._ids, self._rejects)
        self._clear()
        return made

    def _clear(self) -> None:
        self._values: list[bytes] = []
        self._keys: list[bytes | None] = []
        self._ids: list[bytes] = []
        self._rejects: list[Reject] = []
        self._read = self._good = self._skipped = 0
