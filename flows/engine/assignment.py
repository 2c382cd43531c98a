"""The partitions this worker holds: opened and restored when they come, let go of when they leave."""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from flows.core import signals
from flows.core.clock import Clock
from flows.core.errors import Unavailable, WrongSetting
from flows.core.settings import Settings
from flows.engine.changelog import restore
from flows.engine.flow import Flow
from flows.engine.lanes import Lanes
from flows.engine.share import Share
from flows.engine.state import PartitionState
from flows.engine.work import Item, Task
from flows.wire.inlet import Inlet
from flows.wire.replay import Extents
from flows.wire.rocks import Stores
from flows.wire.telemetry import Telemetry

LOG: Final = logging.getLogger(__name__)
PAUSE_S: Final = 1.0


class Assignment:
    """Holds the shares. When a rebalance comes no batch is in hand: of the last one at most the commit is under way, and that is waited for.

    A partition that was assigned stands still until its state is restored, one at a time, between polls: the group is
    served meanwhile, and the first partitions work while the last ones are read.
    """

    def __init__(self, flow: Flow, settings: Settings, slot: int, clock: Clock, telemetry: Telemetry, lanes: Lanes, settle: Callable[[], None]) -> None:
        """Hold nothing yet; `slot` says where its stores lie, `settle` is called before partitions leave."""
        self.shares: Final[dict[int, Share]] = {}
        self.ready = False
        """Whether the group has given this worker its partitions (none is an answer too) and all are restored."""
        self._flow = flow
        self._settings = settings
        self._directory = settings.data_dir / "state" / flow.name / f"slot-{slot}"
        self._clock = clock
        self._telemetry = telemetry
        self._lanes = lanes
        self._settle = settle
        self._stores = Stores()
        self._extents: Extents | None = None
        """Kept while partitions come: a connection for each question took most of a restore that had nothing to read."""
        self._coming: deque[int] = deque()
        self._holdings = 0
        self._again_at = 0.0

    @property
    def restoring(self) -> bool:
        """Whether partitions stand still until they are restored."""
        return bool(self._coming)

    @property
    def can_advance(self) -> bool:
        """Whether `advance` has something to do now, and not only after a pause."""
        return bool(self._coming) and self._clock.monotonic() >= self._again_at

    def assigned(self, partitions: list[int]) -> None:
        """Queue partitions for `advance`.

        Raises:
            WrongSetting: partitions were added to the topic, and there is no state for them.

        """
        self._note("assigned", partitions)
        if max(partitions, default=0) >= self._settings.kafka_partitions:
            raise WrongSetting(
                f"Partitions were added to {self._flow.topic.name}, and the state of the flow {self._flow.name} is kept for {self._settings.kafka_partitions}. "
                "Equal keys would no longer meet. Make the topic anew with its old count, or start a flow of another name on it."
            )
        self._coming.extend(partitions)
        self.ready = not self._coming

    def revoked(self, partitions: list[int]) -> None:
        """Let go of partitions; everything of theirs is committed then."""
        self._note("revoked", partitions)
        self._settle()
        self._leave(partitions)

    def lost(self, partitions: list[int]) -> None:
        """Let go of partitions that somebody else may hold already; a commit under way counts or is refused, as Kafka decides."""
        self._note("lost", partitions)
        self._settle()
        self._leave(partitions)

    def advance(self, inlet: Inlet, moved: Callable[[], None]) -> None:
        """Open and restore one partition and let it flow; blocks for as long as its changelog takes to read.

        A broker that is away, or a full disk, leaves the partition waiting; it is tried again after a second. After a
        crash here the next start goes on where this one stopped.

        Args:
            inlet: resumes the partition, unless it was paused.
            moved: is called now and then; what it raises ends the restore.

        Raises:
            Busy: another process holds the store.
            StateNewer: a newer version has written to it.
            StateDamaged: it could not be rebuilt.

        """
        if not self.can_advance:
            return
        number = self._coming.popleft()
        try:
            share = self._open(number, inlet, moved)
        except Unavailable as error:
            LOG.warning("Partition %d waits, and is tried again in %g s: %s", number, PAUSE_S, error)
            self._coming.append(number)
            self._again_at = self._clock.monotonic() + PAUSE_S
            self._extents = None
            return
        self.shares[number] = share
        for item in share.work.unfinished():
            self._lanes.add(item)
        if share.paused is None:
            inlet.resume(number)
        self.ready = not self._coming
        if self.ready:
            self._extents = None

    def _open(self, number: int, inlet: Inlet, moved: Callable[[], None]) -> Share:
        position = inlet.committed(number)  # first: it waits for open transactions, so that the changelog is final as well
        self._extents = extents = self._extents or Extents(self._settings)
        start = extents.of(inlet.topic, number).start
        begun = self._clock.monotonic()
        state = PartitionState.open(self._directory, number, self._stores, self._clock, self._rebuilt)
        try:
            if max(0, position) < state.source:  # -1: nothing was committed yet
                state.rebuild("commit_lost", _lost(inlet.topic, number, state.source, position))
            count = restore(self._settings, state, self._flow.changelog.name, number, lambda _done, _left: moved(), extents)
            if max(0, position) < state.source:  # the changelog says it, and it was committed together with the group's offset
                LOG.error(_forgotten(self._flow, number, position, state.source))
                position = state.source
                inlet.seek(number, position)
        except BaseException:
            state.close()
            raise
        if 0 <= position < start:
            LOG.error("Offsets %d to %d of %s/%d were deleted before they were read: they are lost.", position, start - 1, inlet.topic, number)
        self._telemetry.count(signals.STATE_RESTORED, count, flow=self._flow.name)
        LOG.info("Partition %d is ready at offset %d: %d entries restored in %.2f s.", number, position, count, self._clock.monotonic() - begun)
        self._holdings += 1
        return Share(self._flow.name, state, position, self._holdings)

    @property
    def moving(self) -> list[Share]:
        """The partitions that do not stand: of the others nothing that waits is taken."""
        return [share for share in self.shares.values() if share.paused is None]

    def next_due_ms(self) -> int | None:
        """When the earliest timer of a partition that moves is due, None without one."""
        return min((at_ms for share in self.moving if (at_ms := share.state.timers.next_due_ms()) is not None), default=None)

    def turn(self, partitions: Iterable[int], inlet: Inlet) -> None:
        """Let partitions stand or flow, as their shares have it from now on."""
        for number in partitions:
            if self.shares[number].paused is None:
                inlet.resume(number)
            else:
                inlet.pause(number)

    def expects(self, number: int) -> bool:
        """Tell whether a partition was assigned and is not restored yet."""
        return number in self._coming

    def task(self, item: Item) -> Task | None:
        """Return what a work item's handler is given, None when it is not to be done any more, or not here."""
        share = self.shares.get(item.partition)
        return share.task(item) if share is not None else None

    def close(self) -> None:
        """Let go of everything; commits nothing."""
        self._leave([*self.shares, *self._coming])

    def _leave(self, partitions: list[int]) -> None:
        for number in partitions:
            share = self.shares.pop(number, None)
            if share is not None:
                share.close()
        self._coming = deque(number for number in self._coming if number not in partitions)
        self.ready = False

    def _rebuilt(self, reason: str) -> None:
        self._telemetry.count(signals.STATE_REBUILT, flow=self._flow.name, reason=reason)

    def _note(self, kind: str, partitions: list[int]) -> None:
        LOG.info("Partitions %s: %s.", kind, sorted(partitions) or "none")
        self._telemetry.count(signals.REBALANCES, flow=self._flow.name, kind=kind)


def _lost(topic: str, number: int, applied: int, committed: int) -> str:
    """Say that a store has seen a batch that counts for nothing: a broker that is killed between a commit's answer and its end may forget it."""
    return (
        f"The state of {topic}/{number} has seen offsets up to {applied:,}, and Kafka says that {max(0, committed):,} are committed: "
        "it has lost a commit it had answered, or does not know it yet."
    )


def _forgotten(flow: Flow, number: int, committed: int, position: int) -> str:
    """Say that the group's offset is behind the state: offsets expire, and a coordinator that has just started may know older ones, or none."""
    return (
        f"Kafka says that the group {flow.group} has read {flow.topic.name}/{number} up to offset {max(0, committed):,}, and the state on "
        f"{flow.changelog.name} is the one behind offset {position:,}, which was committed with it: going on there. "
        f"To begin anew, delete {flow.changelog.name} and the flow's stores as well."
    )
