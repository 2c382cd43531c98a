"""Rejected rows that are run again: which of them, and what a portion of them changes in the report of their job."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import orjson

from flows.core.files.rejects import Reject
from flows.core.imports.portion import Portion
from flows.core.imports.progress import Gain
from flows.core.imports.rejects import MOST_REASONS, Turned


@dataclass(frozen=True, slots=True)
class Again:
    """What came of a portion of a job's rejects."""

    next: int
    """The offset on `xyra.rejects` behind them."""
    end: int
    """The offset up to which there were rejects when the turn began."""
    codes: Mapping[str, int]
    """What they had been rejected for, and how often."""
    portion: Portion

    def pack(self) -> bytes:
        """Write it: a line of JSON, and the portion."""
        return orjson.dumps({"next": self.next, "end": self.end, "codes": self.codes}) + b"\n" + self.portion.pack()

    @classmethod
    def unpack(cls, data: bytes) -> "Again":
        """Read what `pack` wrote."""
        line, _, rest = data.partition(b"\n")
        return cls(**orjson.loads(line), portion=Portion.unpack(rest))

    def gain(self, rejected: int) -> Gain:
        """Return what it changes in a report that counts so many rejected rows: those that are good now, or left out, are rejected no more."""
        codes = Counter(codes_of(self.portion.rejects))
        codes.subtract(self.codes)
        return Gain(self.portion.good, -min(rejected, self.portion.good + self.portion.skipped), self.portion.skipped, 0, codes)


def codes_of(rejects: Sequence[Reject]) -> Counter[str]:
    """Count rejects by their code: of each row as many as its record tells, so that they can be taken back."""
    return Counter(reject.code for _, row in groupby(rejects, key=attrgetter("ordinal")) for reject in list(row)[:MOST_REASONS])


def rejects_of(turned: Turned) -> list[Reject]:
    """Return why a row had been turned away, as it was told."""
    return [Reject(turned.ordinal, turned.line, turned.offset, *reason, turned.raw) for reason in turned.reasons]
