"""The life of one event: what the topics tell of it.

Nothing is read from a log's start. An id made here holds its time, the broker finds offsets by time, and every further step of the way
gives the time near which the next one stands: the record when it was received, the flow's verdict soon after, each attempt to deliver
when the one before said it was due.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from flows.core import topics
from flows.core.history import Fate
from flows.core.record import CE_SOURCE, Record
from flows.wire.window import Left

FLOW: Final = "webhooks"
DELIVERIES: Final = "deliveries"
"""The flow that delivers; its attempts are told on the journal, its burials on `xyra.dlq`."""
SOURCE: Final = "/webhooks/"
SKEW_MS: Final = 5_000
"""How far two machines' clocks may be apart."""
NEAR_MS: Final = 60_000
"""How soon a flow most often comes to a record; looked at first."""

Entry = tuple[Record, Mapping[str, Any]]
"""A record of the journal, and what it says."""


class Ways(NamedTuple):
    """Where events of a record's endpoint go, and went."""

    targets: tuple[str, ...] = ()
    """The topics beside `xyra.events`, also those of earlier definitions."""
    all_known: bool = True
    """Whether there are no others."""


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
    row: Record | None = None
    """As it was published, where it is a row of an import: nothing else tells of one."""
    fates: list[Fate] = field(default_factory=list)
    """What the flow webhooks decided: once, and once more each time it was replayed."""
    returns: list[Return] = field(default_factory=list)
    """How it came back from the dead letters."""
    outputs: list[Record] = field(default_factory=list)
    """What it wrote of it: the event, and where its endpoint had a `url` the same on its way there."""
    waits: bool = False
    """Whether it is certain that the flow has not decided: it has not read as far, or holds the record in its state."""
    entries: list[Entry] = field(default_factory=list)
    """Of the journal, about its deliveries, in their order."""
    letters: list[Fate] = field(default_factory=list)
    """Its dead letters."""
    ended: Literal["delivered", "buried"] | None = None
    """How its delivery ended last; None: it has not, or there was none."""
    due_ms: int | None = None
    """When its next attempt is due, or was: then it waits for its target."""
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
    def complete(self) -> bool:
        """Whether all was looked at that there ever was."""
        return not self.left and not self.cut

    @property
    def endpoint_id(self) -> str | None:
        """The endpoint it came in by."""
        told = self.received or (self.fate.told if self.fate is not None else None)
        source = told.text(CE_SOURCE) if told is not None else None
        return source.removeprefix(SOURCE) if source is not None and source.startswith(SOURCE) else None

    @property
    def handed_on(self) -> bool:
        """Whether it was to be delivered."""
        return any(record.topic == topics.DELIVERIES.name for record in self.outputs) or bool(self.entries)

    def given_up(self, since_ms: int) -> Fate | None:
        """Return the first dead letter that its delivery has become since a time."""
        letters = [letter for letter in self.letters if letter.flow == DELIVERIES and letter.told.timestamp_ms >= since_ms]
        return min(letters, key=lambda letter: letter.told.timestamp_ms, default=None)

    @property
    def found(self) -> bool:
        """Whether anything was."""
        return self.received is not None or self.row is not None or bool(self.fates or self.letters or self.entries)
