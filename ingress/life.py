"""The life of one event: what the topics tell of it.

Nothing is read from a log's start. An id made here holds its time, the broker finds offsets by time, and every further step of the way
gives the time near which the next one stands: the record when it was received, the flow's verdict soon after, each attempt to deliver
when the one before said it was due.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from flows.core.history import Fate
from flows.core.record import Record
from flows.wire.window import Left

FLOW: Final = "webhooks"

Entry = tuple[Record, Mapping[str, Any]]
"""A record of the journal, and what it says."""


class Ways(NamedTuple):
    """Where events of a record's endpoint go by its present definition."""

    target: str | None = None
    """The topic, where that is not `xyra.events`."""
    delivers: str | None = None
    """The endpoint's id, where it has a `url`."""


NOWHERE: Final = Ways()


class Replayed(NamedTuple):
    """That a dead letter was replayed: by which order, and when."""

    replay_id: str
    at_ms: int


class Return(NamedTuple):
    """A dead letter on its way back in."""

    letter_id: str
    replayed: Replayed
    record: Record | None
    """As it entered once more; None: it was not found, or went to another topic than `xyra.webhooks`."""


class Searched(NamedTuple):
    """A stretch of a topic that was looked at."""

    topic: str
    from_ms: int
    until_ms: int


@dataclass
class Life:
    """What was found of an event, and what was not looked at."""

    event_id: str
    received: Record | None = None
    fates: list[Fate] = field(default_factory=list)
    """What the flow webhooks decided: once, and once more each time it was replayed."""
    returns: list[Return] = field(default_factory=list)
    """How it came back from the dead letters."""
    outputs: list[Record] = field(default_factory=list)
    """What it wrote of it: the event, and where its endpoint has a `url` the same on its way there."""
    read: bool = True
    """Whether that flow has read as far as the record; true where there is no record to ask for."""
    entries: list[Entry] = field(default_factory=list)
    """Of the journal, about its deliveries, in their order."""
    letters: list[Fate] = field(default_factory=list)
    """Its dead letters."""
    due_ms: int | None = None
    """When its next attempt is due."""
    records: int = 0
    """Records that were looked at."""
    searched: list[Searched] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    """Topics whose records of that time are gone, some or all."""

    @property
    def fate(self) -> Fate | None:
        """What the flow decided last."""
        return self.fates[-1] if self.fates else None

    @property
    def found(self) -> bool:
        """Whether anything was."""
        return self.received is not None or bool(self.fates or self.letters or self.entries)
