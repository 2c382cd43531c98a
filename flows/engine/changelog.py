"""Brings a partition's state up to the end of its changelog: replays what other processes, or this one before a crash, committed."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from flows.core import codec
from flows.core.errors import StateDamaged, StateNewer
from flows.core.settings import Settings
from flows.engine.state import Changes, PartitionState
from flows.wire.replay import Extent, Extents, Portion, Replay

STALE_MS: Final = 12 * 3_600_000
"""Half of Kafka's `delete.retention.ms` (24 h): a store that is older may have missed a deletion whose tombstone is gone."""

Progress = Callable[[int, int], None]
"""Told how many entries were replayed so far, and how many offsets remain."""


class Log(Protocol):
    """One partition of a changelog, as `flows.wire.replay.Replay` reads it."""

    def extent(self) -> Extent:
        """Return the offsets there are; may block, may raise `Unavailable`."""
        ...

    def portions(self, start: int, end: int) -> Iterator[Portion]:
        """Give what was committed from `start` to at least `end`; may block, may raise `Unavailable`."""
        ...


def _nobody(_done: int, _remaining: int) -> None:
    """Stand in for somebody who wants to know."""


def restore(settings: Settings, state: PartitionState, topic: str, partition: int, progress: Progress = _nobody, extents: Extents | None = None) -> int:
    """Replay the changelog from the state's position to its end; return how many entries were read. `extents`: who knows where that is, if somebody is there.

    Blocks until all that stood there when it began is applied; open transactions are waited for, since their outcome is
    part of the state. After a crash here the next call goes on where this one stopped.

    Raises:
        Unavailable: the broker is away, or a transaction stays open for longer than any worker's can.
        StateNewer: a newer version of this project has written to the changelog.
        StateDamaged: the store cannot even be written anew.

    """
    reader = Replay(settings, topic, partition, extents=extents)
    try:
        return catch_up(reader, state, f"{topic}/{partition}", progress)
    finally:
        reader.close()


def catch_up(log: Log, state: PartitionState, name: str, progress: Progress = _nobody) -> int:
    """Bring a state up to the end of a changelog, called `name` in texts; as `restore`, which see."""
    extent = log.extent()
    _begin(state, name, extent)
    try:
        return _replay(log, state, extent, name, progress)
    except StateDamaged as error:
        state.rebuild("damaged", str(error))
        return _replay(log, state, extent, name, progress)


def _begin(state: PartitionState, name: str, extent: Extent) -> None:
    """Throw away a state that the changelog cannot bring up to date."""
    where = f"The state of {name} is at offset {state.position:,},"
    if state.position > extent.end:
        state.rebuild("ahead", f"{where} behind the log's end at {extent.end:,}: the topic was made anew, or lost records.")
    elif 0 < state.position < extent.start:
        state.rebuild("behind", f"{where} before the log's start at {extent.start:,}: records between were deleted.")
    elif state.position > 0 and state.age_ms > STALE_MS and extent.end > state.position + 1:  # one offset more is our own transaction's marker
        state.rebuild("stale", f"{where} and older than compaction keeps tombstones: deletions may be gone from the log.")


def _replay(log: Log, state: PartitionState, extent: Extent, name: str, progress: Progress) -> int:
    done = 0
    for portion in log.portions(max(state.position, extent.start), extent.end):
        state.replay(_ours(portion, name), portion.position)
        done += portion.records
        progress(done, max(0, extent.end - portion.position))
    return done


def _ours(portion: Portion, name: str) -> Changes:
    """Return the entries that are ours; what somebody else wrote to the topic is left out."""
    try:
        return {key: entry for key, entry in portion.entries.items() if codec.check(key, entry)}
    except codec.NewerFormatError as error:
        raise StateNewer(
            f"The changelog {name} holds {error} (before offset {portion.position:,}). "
            "Start the version that wrote it. To go back for good, delete that topic and the flow's stores, and with them this state."
        ) from error
