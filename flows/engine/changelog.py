"""Brings a partition's state up to the end of its changelog: replays what other processes, or this one before a crash, committed."""

from collections.abc import Callable
from typing import Final

from flows.core import codec
from flows.core.errors import StateDamaged, StateNewer
from flows.core.settings import Settings
from flows.engine.state import PartitionState
from flows.wire.replay import Extent, Portion, Replay

STALE_MS: Final = 12 * 3_600_000
"""Half of Kafka's `delete.retention.ms` (24 h): a store that is older may have missed a deletion whose tombstone is gone."""

Progress = Callable[[int, int], None]
"""Told how many entries were replayed so far, and how many offsets remain."""


def _nobody(_done: int, _remaining: int) -> None:
    """Stand in for somebody who wants to know."""


def restore(  # noqa: PLR0913  whose, which, where to, and a bound; an object for one call would say no more
    settings: Settings,
    state: PartitionState,
    topic: str,
    partition: int,
    progress: Progress = _nobody,
    *,
    stall_s: float = 90.0,
) -> int:
    """Replay the changelog from the state's position to its end; return how many entries were read.

    Blocks until all that stood there when it began is applied; open transactions are waited for, since their outcome is
    part of the state. After a crash here the next call goes on where this one stopped.

    Raises:
        Unavailable: the broker is away, or nothing new came for `stall_s` seconds.
        StateNewer: a newer version of this project has written to the changelog.
        StateDamaged: the store cannot even be written anew.

    """
    reader = Replay(settings, topic, partition, stall_s=stall_s)
    try:
        extent = reader.extent()
        _begin(state, topic, extent)
        try:
            return _replay(reader, state, extent, topic, progress)
        except StateDamaged as error:
            state.rebuild("damaged", str(error))
            return _replay(reader, state, extent, topic, progress)
    finally:
        reader.close()


def _begin(state: PartitionState, topic: str, extent: Extent) -> None:
    """Throw away a state that the changelog cannot bring up to date."""
    where = f"The store of {topic}/{state.partition} is at offset {state.position:,},"
    if state.position > extent.end:
        state.rebuild("ahead", f"{where} behind the log's end at {extent.end:,}: the topic was made anew, or lost records.")
    elif 0 < state.position < extent.start:
        state.rebuild("behind", f"{where} before the log's start at {extent.start:,}: records between were deleted.")
    elif state.position > 0 and state.age_ms > STALE_MS and extent.end > state.position + 1:  # one offset more is our own transaction's marker
        state.rebuild("stale", f"{where} and older than compaction keeps tombstones: deletions may be gone from the log.")


def _replay(reader: Replay, state: PartitionState, extent: Extent, topic: str, progress: Progress) -> int:
    done = 0
    for portion in reader.portions(max(state.position, extent.start), extent.end):
        state.replay(_ours(portion, state, topic), portion.position)
        done += len(portion.entries)
        progress(done, max(0, extent.end - portion.position))
    return done


def _ours(portion: Portion, state: PartitionState, topic: str) -> dict[bytes, bytes | None]:
    """Return the entries that are ours; what somebody else wrote to the topic is left out."""
    try:
        return {key: entry for key, entry in portion.entries.items() if codec.check(key, entry)}
    except codec.NewerFormatError as error:
        raise StateNewer(
            f"The changelog {topic}/{state.partition} holds {error} (before offset {portion.position:,}). "
            "Start the version that wrote it. To go back for good, delete that topic and the flow's stores, and with them this state."
        ) from error
