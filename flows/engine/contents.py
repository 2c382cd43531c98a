"""What a batch is made of, and what it leads to."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from flows.core.record import Header, Output, Record
from flows.core.verdict import Verdict
from flows.engine.portion import Place, Portion
from flows.engine.share import DueTimer
from flows.engine.waiting import Waited
from flows.engine.work import Finished
from flows.wire.messages import Message


class Decided(NamedTuple):
    """What a step decided about a record that it did not keep."""

    step: str
    record: Record
    """As it came in, whatever steps have made of it since."""
    verdict: Verdict


class Sent(NamedTuple):
    """An output, and the record it was made from."""

    place: Place
    output: Output


class Bulk(NamedTuple):
    """Outputs of a whole portion: key i and value i belong to its record i."""

    portion: Portion
    topic: str
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]


class Many(NamedTuple):
    """Many records for one topic that are no record's outputs."""

    topic: str
    keys: Sequence[bytes | None]
    values: Sequence[bytes]
    headers: Iterable[list[Header]]


class Taken(NamedTuple):
    """What a batch is made of."""

    fresh: Mapping[int, Sequence[Message]]
    """Messages by partition, in order."""
    again: Sequence[Waited] = ()
    due: Sequence[DueTimer] = ()
    finished: Sequence[Finished] = ()
    results: Mapping[Place, Finished] = MappingProxyType({})
    """What came of the work that records of `again` have waited for."""
    swept: frozenset[int] = frozenset()
    """Partitions whose expired state is being deleted."""
    turned: frozenset[int] = frozenset()
    """Partitions that an operator has paused or let go on."""
