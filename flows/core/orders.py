"""What operators order, as it stands on `xyra.config`: a replay or a discard of dead letters, a flow paused or let go on."""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from flows.core.deadletters.summaries import Summary
from flows.core.fields import Identifier, Model, Time
from flows.core.resources import Transform

REPLAY: Final = "replay"
DISCARD: Final = "discard"
PAUSE: Final = "pause"
MOST_IDS: Final = 1000
MOST_RATE: Final = 100_000

Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
LetterId = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})$")]
"""`<partition>-<offset>` on `xyra.dlq`."""


class Filter(Model):
    """Which dead letters are meant: those for which all that is said here holds; nothing said means every one."""

    flow: Name | None = None
    resource: Name | None = None
    letter_class: Literal["ours", "theirs"] | None = Field(default=None, alias="class")
    """`ours`: a bug, a part that was away, a definition that cannot be run. `theirs`: bad data, targets that refuse."""
    fingerprint: Name | None = None
    event_id: Name | None = None
    from_time: Time | None = Field(default=None, alias="from")
    """Buried at this time or later, RFC 3339."""
    to_time: Time | None = Field(default=None, alias="to")
    """Buried before this time, RFC 3339."""

    def matcher(self) -> Callable[[Summary], bool]:
        """Return what tells whether a letter is meant; made once for many letters."""
        names = ("flow", "resource", "letter_class", "fingerprint", "event_id")
        wanted = [(name, value) for name in names if (value := getattr(self, name)) is not None]
        since_ms = self.from_time.timestamp() * 1000 if self.from_time is not None else -math.inf
        before_ms = self.to_time.timestamp() * 1000 if self.to_time is not None else math.inf

        def matches(letter: Summary) -> bool:
            for name, value in wanted:
                if getattr(letter, name) != value:
                    return False
            return since_ms <= letter.buried_at_ms < before_ms

        return matches


class Selection(Model):
    """Which dead letters an order is about: a filter or ids, and no letter behind those that there were when it was given."""

    filter: Filter | None = None
    ids: tuple[LetterId, ...] | None = Field(default=None, max_length=MOST_IDS)
    until: Mapping[int, int]
    """The last offset on `xyra.dlq` that is meant, by partition; of a partition that is not here, none is."""


class StoredReplay(Selection):
    """`replay/<replay_id>`: dead letters that are to enter once more."""

    replay_id: Identifier
    rate_per_second: float | None = None
    transform: Transform | None = None
    by: str
    at_ms: int


class StoredDiscard(Selection):
    """`discard/<discard_id>`: dead letters that nobody needs any more."""

    discard_id: Identifier
    reason: str
    by: str
    at_ms: int


class StoredPause(Model):
    """`pause/<flow>`: what was last ordered about whether a flow takes records."""

    order_id: Identifier
    """Another one each time: a flow that has paused itself goes on when it meets one that it did not know when it paused."""
    paused: bool
    reason: str = ""
    bury_until_ms: int = 0
    """Until then it does not pause itself."""
    by: str
    at_ms: int
