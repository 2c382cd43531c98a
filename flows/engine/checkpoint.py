"""The checkpoint: everything a batch leads to, or nothing of it.

 1. begin the transaction, produce outputs, dead letters, the journal of what was dropped, traces and tallies;
 2. produce each changed state entry to the flow's changelog, same partition number as the source partition
    (records that wait, timers and work items are state entries too);
 3. send the source offsets with the group metadata (KIP-447) and commit;
 4. apply the state changes and the changelog position to RocksDB in one write batch;
 5. acknowledge sources outside Kafka.

A crash before 3 leaves nothing: the transaction is aborted, the state untouched. A crash between 3 and 4 is mended by the
changelog on the next assignment. A crash between 4 and 5 repeats an acknowledgement.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flows.core import topics
from flows.engine.batch import Batch, Bulk
from flows.engine.books import Books, Ledger
from flows.engine.flow import Flow
from flows.engine.journal import dropped
from flows.engine.portion import Place
from flows.engine.share import Share
from flows.engine.trace import Traces
from flows.wire.outlet import Outlet


def nothing(_step: int) -> None:
    """Stand in for somebody who wants to know which step is done."""


class Checkpoint:
    """Takes the numbered steps. An error in any of them ends the process: what counts is then on the log, and only there."""

    def __init__(self, flow: Flow, version: str, outlet: Outlet, membership: Callable[[], Any], after: Callable[[int], None] = nothing) -> None:
        """Take the way out; `after` is called behind each step, for tests that crash there."""
        self._flow = flow
        self._books = Books(flow, version)
        self._outlet = outlet
        self._membership = membership
        self._after = after

    def __call__(self, batch: Batch, shares: Mapping[int, Share], traces: Traces | None, tell: bool) -> Ledger:  # noqa: FBT001  the caller names it
        """Checkpoint one batch and return what it added to the tallies; blocks until the broker has answered.

        Raises:
            Fenced: another process holds this slot or these partitions.
            UnknownOutcome: the broker did not answer.
            Fatal: the transaction failed.

        """
        touched = {number: shares[number] for number in sorted(batch.partitions())}
        if tell:
            touched |= {number: share for number, share in shares.items() if share.tallies.untold}
        outlet = self._outlet
        outlet.begin()
        self._outputs(batch, traces)
        ledger = self._books.book(batch, touched)
        for share in touched.values():
            for key, text in [*share.tell_pause(), *(share.tallies.tell() if tell else ())]:
                outlet.send(topics.STATUS.name, key, text)
        self._after(1)
        for number, share in touched.items():
            outlet.log(self._flow.changelog.name, number, share.state.pending())
        self._after(2)
        outlet.commit(self._flow.topic.name, {number: max(0, share.position) for number, share in touched.items()}, self._membership())
        self._after(3)
        for number, share in touched.items():
            position = outlet.position(number)
            if position is not None:
                share.state.apply(position, max(0, share.position))
        self._after(4)
        for acknowledge in batch.acknowledge:
            acknowledge()
        self._after(5)
        return ledger

    def _outputs(self, batch: Batch, traces: Traces | None) -> None:
        outlet = self._outlet
        for sent in batch.standing():
            if isinstance(sent, Bulk):
                outlet.send_all(sent.topic, sent.keys, sent.values)
                continue
            report = partial(_delivered, traces, sent.place) if traces is not None and sent.place in traces else None
            outlet.send(*sent.output, report)
        for output in (*self._books.letters(batch), *dropped(self._flow.name, batch), *batch.published):
            outlet.send(*output)
        if traces is not None:
            outlet.flush()  # a trace says where the outputs stand
            for output in traces.outputs(topics.STATUS.name, batch.decided):
                outlet.send(*output)


def _delivered(traces: Traces, where: Place, error: Any, message: Any) -> None:
    if error is None:
        traces.delivered(where, message.topic(), message.partition(), message.offset())
