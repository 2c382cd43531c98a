"""Records of one partition as columns: what makes a step over all of them cheap, since a record is only made when it is asked for."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from flows.core.record import Record
from flows.wire.messages import Message, record_of

Place = tuple[int, int]
"""Partition and offset: what names a record within its topic."""


def place(record: Record) -> Place:
    """Name a record within its topic."""
    return record[1], record[2]


class Portion:
    """The records of one partition that are alive, in order."""

    __slots__ = ("_rows", "keys", "partition", "values")

    def __init__(self, partition: int, keys: Sequence[bytes | None], values: Sequence[bytes | None], rows: Sequence[Message] | Sequence[Record]) -> None:
        """Take the columns, and what a record can be made of."""
        self.partition = partition
        self.keys = keys
        self.values = values
        self._rows = rows

    def record(self, i: int) -> Record:
        """Return record i."""
        row = self._rows[i]
        return row if isinstance(row, Record) else record_of(row)

    def place(self, i: int) -> Place:
        """Name record i without making it."""
        row = self._rows[i]
        return place(row) if isinstance(row, Record) else (self.partition, row.offset())


def portions_of_messages(fresh: Mapping[int, Sequence[Message]]) -> list[Portion]:
    """Return messages as columns; no record is made."""
    return [
        Portion(partition, [message.key() for message in messages], [message.value() for message in messages], messages)
        for partition, messages in fresh.items()
    ]


def portions_of_records(records: Sequence[Record]) -> list[Portion]:
    """Return records as columns, by partition."""
    of = attrgetter("partition")
    portions = []
    for partition, run in groupby(sorted(records, key=of), of):
        rows = list(run)
        portions.append(Portion(partition, [row.key for row in rows], [row.value for row in rows], rows))
    return portions
