"""The two ends of a dataflow, as Bytewax wants them: a source and a sink that share one engine.

With `epoch_interval=0` every batch is an epoch of its own, so the source is not asked for another one before every step
and the sink are done with the last.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from flows.engine.batch import Batch

T = TypeVar("T")


class Noted:
    """Keeps the first error that leaves a step, the source or the sink: Bytewax wraps it and says less."""

    def __init__(self) -> None:
        """Begin without one."""
        self.error: BaseException | None = None

    def call(self, work: Callable[..., T], *args: Any) -> T:
        """Call `work`, and remember what it raises."""
        try:
            return work(*args)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = self.error or error
            raise


class Source(DynamicSource[Batch]):
    """Gives batches."""

    def __init__(self, take: Callable[[], Batch | None]) -> None:
        """Take what is asked for the next batch; None: nothing now; StopIteration: no more."""
        self._take = take

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> StatelessSourcePartition[Batch]:
        """Return the one worker's part."""
        return _Batches(self._take)


class _Batches(StatelessSourcePartition[Batch]):
    def __init__(self, take: Callable[[], Batch | None]) -> None:
        self._take = take

    def next_batch(self) -> list[Batch]:
        """Return one batch or none; StopIteration ends the flow."""
        batch = self._take()
        return [] if batch is None else [batch]


class Sink(DynamicSink[Batch]):
    """Checkpoints batches."""

    def __init__(self, put: Callable[[Batch], None]) -> None:
        """Take what each batch is handed to."""
        self._put = put

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> StatelessSinkPartition[Batch]:
        """Return the one worker's part."""
        return _Checkpoints(self._put)


class _Checkpoints(StatelessSinkPartition[Batch]):
    def __init__(self, put: Callable[[Batch], None]) -> None:
        self._put = put

    def write_batch(self, items: list[Batch]) -> None:
        """Checkpoint each batch."""
        for batch in items:
            self._put(batch)
