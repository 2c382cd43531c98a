"""Makes one portion of the tables that were read together."""

from collections.abc import Iterable
from operator import attrgetter

from connectors.files.encode import Output, encode, expressible
from connectors.files.plan import Plan
from connectors.files.reader import Read
from flows.core.files.rejects import Reject
from flows.core.imports.portion import Place, Portion


class Gatherer:
    """Puts tables through a plan and writes what is good of them."""

    def __init__(self, plan: Plan, output: Output, ordinal: int) -> None:
        """Take a job's rules, how its rows go out, and how many rows of the file came before."""
        self._plan = plan
        self._output = output
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
            self._values += encoded.values
            self._keys += encoded.keys
            self._ids += encoded.ids
            self._rejects += sorted([*read.rejects, *sifted.rejects], key=attrgetter("ordinal"))
            self._read += read.rows_read
            self._good += sifted.frame.height
            self._skipped += sifted.skipped

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
        self._ids: list[str] = []
        self._rejects: list[Reject] = []
        self._read = self._good = self._skipped = 0
