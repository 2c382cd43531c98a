"""The checkpoint: everything a batch leads to, or nothing of it.

 1. begin the transaction, produce outputs, dead letters, the journal of what was dropped, traces and tallies;
 2. produce each changed state entry to the flow's changelog, same partition number as the source partition
    (records that wait, timers and work items are state entries too);
 3. send the source offsets with the group metadata (KIP-447) and commit;
 4. apply the state changes and the changelog position to RocksDB in one write batch;
 5. acknowledge sources outside Kafka.

A crash before 3 leaves nothing: the transaction is aborted, the state untouched. A crash between 3 and 4 is mended by the
changelog on the next assignment. A crash between 4 and 5 repeats an acknowledgement.

Step 3 waits for the broker and for nothing else, so it has a thread of its own: the flow takes and judges the next batch
meanwhile. `settle` waits for it and does 4 and 5; whoever touches state, or begins the next checkpoint, calls it first.
"""

from collections.abc import Callable, Mapping
from functools import partial
from threading import Thread
from typing import Any, NamedTuple

from flows.core import topics
from flows.core.clock import Clock
from flows.engine.batch import Batch
from flows.engine.books import Books, Ledger
from flows.engine.contents import Bulk
from flows.engine.flow import Flow
from flows.engine.journal import dropped
from flows.engine.portion import Place
from flows.engine.share import Share
from flows.engine.trace import Traces
from flows.wire.outlet import Outlet


def nothing(_step: int) -> None:
    """Stand in for somebody who wants to know which step is done."""


class Committed(NamedTuple):
    """A batch whose checkpoint is done."""

    batch: Batch
    ledger: Ledger
    """What it added to the tallies."""
    seconds: float
    """From the first step to the broker's answer."""


class Checkpoint:
    """Takes the numbered steps. An error in any of them ends the process: what counts is then on the log, and only there."""

    def __init__(self, flow: Flow, version: str, clock: Clock, outlet: Outlet, membership: Callable[[], Any], after: Callable[[int], None] = nothing) -> None:
        """Take the way out; `after` is called behind each step, for tests that crash there."""
        self._flow = flow
        self._books = Books(flow, version)
        self._clock = clock
        self._outlet = outlet
        self._membership = membership
        self._after = after
        self._open: _Open | None = None

    def begin(self, batch: Batch, shares: Mapping[int, Share], traces: Traces | None, tell: bool) -> None:  # noqa: FBT001  the caller names it
        """Take steps 1 and 2, and have 3 begun; what was begun before must be settled. May wait for room in the client's queue.

        Raises:
            Fatal: the transaction failed.

        """
        begun = self._clock.monotonic()
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
        offsets = {number: max(0, share.position) for number, share in touched.items()}
        for number, share in touched.items():
            share.state.passed(offsets[number])
            outlet.log(self._flow.changelog.name, number, share.state.pending())
        self._after(2)
        commit = _Commit(self._clock, outlet, self._flow.topic.name, offsets, self._membership())
        self._open = _Open(batch, ledger, touched, commit, begun)
        commit.start()

    def settle(self) -> Committed | None:
        """Wait for the commit that was begun, if one was, and take steps 4 and 5; blocks until the broker has answered.

        Raises the same again when it is called again: a step that swallows it gets no further.

        Raises:
            Fenced: another process holds this slot, or this one stood still.
            Expired: the group went on without this process.
            UnknownOutcome: the broker did not answer.
            Fatal: the transaction failed.

        """
        if self._open is None:
            return None
        batch, ledger, touched, commit, begun = self._open
        ended = commit.wait()
        self._after(3)
        for number, share in touched.items():
            position = self._outlet.position(number)
            if position is not None:
                share.state.apply(position)
        self._after(4)
        for acknowledge in batch.acknowledge:
            acknowledge()
        self._after(5)
        self._open = None
        return Committed(batch, ledger, ended - begun)

    def _outputs(self, batch: Batch, traces: Traces | None) -> None:
        outlet = self._outlet
        for sent in batch.standing():
            if isinstance(sent, Bulk):
                outlet.send_all(sent.topic, sent.keys, sent.values)
                continue
            report = partial(_delivered, traces, sent.place) if traces is not None and sent.place in traces else None
            outlet.send(*sent.output, report)
        for many in batch.many:
            outlet.send_all(many.topic, many.keys, many.values, many.headers)
        for output in (*self._books.letters(batch), *dropped(self._flow.name, batch), *batch.published):
            outlet.send(*output)
        if traces is not None:
            outlet.flush()  # a trace says where the outputs stand
            for output in traces.outputs(topics.STATUS.name, batch.decided):
                outlet.send(*output)


class _Commit(Thread):
    """Step 3 of one checkpoint; keeps no process alive."""

    def __init__(self, clock: Clock, outlet: Outlet, topic: str, offsets: Mapping[int, int], membership: Any) -> None:
        super().__init__(name="commit", daemon=True)
        self._clock = clock
        self._offsets = offsets
        self._outlet = outlet
        self._topic = topic
        self._membership = membership
        self._ended = 0.0
        self._error: BaseException | None = None

    def run(self) -> None:
        """Commit."""
        try:
            self._outlet.commit(self._topic, self._offsets, self._membership)
        except BaseException as error:  # noqa: BLE001  whatever it is, `wait` raises it where it is seen
            self._error = error
        self._ended = self._clock.monotonic()

    def wait(self) -> float:
        """Return when it was done, on the monotonic clock; raises what it raised."""
        self.join()
        if self._error is not None:
            raise self._error
        return self._ended


class _Open(NamedTuple):
    """A checkpoint between its steps 2 and 4."""

    batch: Batch
    ledger: Ledger
    touched: Mapping[int, Share]
    commit: _Commit
    begun: float


def _delivered(traces: Traces, where: Place, error: Any, message: Any) -> None:
    if error is None:
        traces.delivered(where, message.topic(), message.partition(), message.offset())
