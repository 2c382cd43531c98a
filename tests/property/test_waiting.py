"""Records that wait, against a model: work that ends in any order, retries, recalls, moves of the partition, crashes at each step of a checkpoint.

A *life* is a partition with a log of its own. What is committed is on the log: outputs, the changelog, the position. What a worker has in
memory and in its store is lost or stale after a crash, and it goes on from the log.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import cast

import pytest
from confluent_kafka import Message as ClientMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.testing import ManualClock
from flows.core.record import Output, Record
from flows.core.verdict import Await, Bury, Drop, Hold, Reason, Retry, Verdict
from flows.engine import changelog
from flows.engine.batch import Batch
from flows.engine.books import Books
from flows.engine.contents import Sent, Taken
from flows.engine.definitions import Definitions
from flows.engine.flow import Flow
from flows.engine.letters import attempt
from flows.engine.portion import Place, place
from flows.engine.share import Share
from flows.engine.tally import Tally
from flows.engine.work import Ended, Finished, Item
from flows.wire.messages import Message
from tests.kit.state import ListLog, opened

AWAY = Reason("away", "")
CHOICES: tuple[Verdict | None, ...] = (
    None,
    Drop("unwanted"),
    Bury((Reason("bad", ""),)),
    Retry(5, AWAY),
    Retry(0, AWAY, counts=False),
    Await("call", "lane"),
    Hold(),
)
CRASHES = ("no", "no", "no", "before it is committed", "before it is applied", "after")
FLOW = Flow(name="f", topic=None, build=None, resource=lambda record: (record.key or b"").decode())  # type: ignore[arg-type]  # neither is used


class Life:
    """One partition, and what is on the log of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = ManualClock(1000)
        self.log: list[tuple[bytes, bytes | None] | None] = []
        self.position = 0
        self.arrived = 0
        self.out: Counter[int] = Counter()
        self.tries: dict[int, int] = {}
        self.running: list[Item] = []
        """What has been started; it outlives the worker, as a call does that nobody could stop."""
        self.names, self.holdings = count(), count(1)
        self.share = self.assigned()

    def assigned(self) -> Share:
        """Open the store, or another machine's, and bring it up to the log."""
        state = opened(self.directory / "store", self.clock)
        changelog.catch_up(ListLog(self.log), state, "f")
        share = Share("f", state, self.position, next(self.holdings))
        self.running += share.work.unfinished()
        return share

    def move(self, *, elsewhere: bool) -> None:
        """Let go of the partition, and take it again, with its store or without."""
        self.share.close()
        if elsewhere:
            self.directory = self.directory / "next"
            self.directory.mkdir()
        self.share = self.assigned()

    def taken(self, new: int, ended: Sequence[Item]) -> Taken:
        """Take what has come, what is due and what has ended."""
        self.share.state.now_ms = self.clock.now_ms()
        self.arrived = max(self.arrived, self.position + new)
        arrived = [_message(offset) for offset in range(self.position, self.position + new)]
        fresh = {0: self.share.accept(arrived)} if arrived else {}
        again, due = self.share.take_due(self.clock.now_ms())
        finished: list[Finished] = []
        results: dict[Place, Finished] = {}
        for item in ended:
            found = self.share.finish(Ended(item, b"done", None))
            assert not isinstance(found, Finished)
            if found is not None:
                again.append(found[0])
                results[place(found[0].record)] = found[1]
        return Taken(fresh, again, due, finished, results)

    def batch(self, new: int, ended: Sequence[Item], recalled: Sequence[int], verdicts: Iterator[Verdict | None], crash: str) -> None:
        """Work on one batch and checkpoint it, as far as the crash lets it."""
        batch = Batch(self.taken(new, ended), {0: self.share}, Definitions({}), lambda _: 1000, self.clock.now_ms())
        for offset in recalled:
            batch.recall(0, offset)
        batch.settle()
        decided: dict[int, tuple[Record, Verdict | None]] = {}
        for record in batch.records:
            assert record.value == b"v%d" % record.offset
            assert attempt(record) == self.tries.get(record.offset, 0)
            verdict = next(verdicts)
            if isinstance(verdict, Retry):
                verdict = Retry(self.clock.now_ms() + verdict.due_ms, AWAY, verdict.counts)
            batch.emit(record, Output("out", None, b"%d" % record.offset))
            batch.decide(record, verdict)
            decided[record.offset] = (record, verdict)
        batch.settle()
        Books(FLOW, "1").book(batch, {0: self.share})
        self.checkpoint(batch, decided, crash)

    def checkpoint(self, batch: Batch, decided: dict[int, tuple[Record, Verdict | None]], crash: str) -> None:
        """Commit and apply; a crash leaves the log, and the store as it was."""
        if crash != "before it is committed":
            self.log += [*self.share.state.pending(), None]
            self.position = max(self.position, self.share.position)
            self.out.update(int(sent.output.value or b"") for sent in batch.standing() if isinstance(sent, Sent))
            self.tries |= {offset: attempt(record) + verdict.counts for offset, (record, verdict) in decided.items() if isinstance(verdict, Retry)}
            if crash in {"no", "after"}:
                self.share.state.apply(len(self.log))
        if crash == "no":
            self.running += self.share.work.take_submitted()
        else:
            self.move(elsewhere=False)

    def tallies(self) -> list[Tally]:
        """Return the tallies as they are in state."""
        return [Tally.read(text) for _, text in self.share.state.internal.scan(b"tally/")]


def _message(offset: int) -> Message:
    made = ClientMessage(topic="t", partition=0, offset=offset, key=b"k%d" % (offset % 2), value=b"v%d" % offset, headers=None, timestamp=(1, 7))
    return cast("Message", made)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_nothing_is_lost_or_doubled_whatever_ends_moves_or_crashes_when(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    life = Life(tmp_path_factory.mktemp("life"))
    try:
        for _ in range(data.draw(st.integers(1, 12))):
            step = data.draw(st.sampled_from(["batch", "batch", "batch", "move", "time"]))
            if step == "move":
                life.move(elsewhere=data.draw(st.booleans()))
            elif step == "time":
                life.clock.advance(data.draw(st.integers(1, 10)))
            else:
                ended = data.draw(st.lists(st.sampled_from(life.running), unique=True)) if life.running else []
                life.running = [item for item in life.running if item not in ended]
                recalled = data.draw(st.lists(st.integers(0, 12), unique=True, max_size=3))
                verdicts = iter(lambda: data.draw(st.sampled_from(CHOICES)), object())
                life.batch(data.draw(st.integers(0, 3)), ended, recalled, verdicts, data.draw(st.sampled_from(CRASHES)))
            add_up(life)
        finish(life)
    finally:
        life.share.close()


def add_up(life: Life) -> None:
    """See that every record is in one place, as the tallies have it."""
    tallies = life.tallies()
    assert sum(tally.arrived for tally in tallies) == life.position
    for tally in tallies:
        assert tally.arrived == tally.out + tally.dropped.total() + tally.buried.total() + tally.waiting
    assert sum(tally.out for tally in tallies) == life.out.total()
    assert sum(tally.waiting for tally in tallies) == sum(1 for _ in life.share.state.internal.scan(b"held/"))
    assert not [offset for offset, times in life.out.items() if times > 1]


def finish(life: Life) -> None:
    """Keep whatever still waits, once all of it has come back: nothing may be left."""
    for _ in range(3):
        life.clock.advance(10)
        ended, life.running = life.running, []
        life.batch(0, ended, range(life.position), iter(lambda: None, object()), "no")
    add_up(life)
    assert not [*life.share.state.internal.scan(b"held/"), *life.share.state.internal.scan(b"still/"), *life.share.state.internal.scan(b"work/")]
    assert life.share.state.timers.pending_count == 0
    assert sum(tally.waiting for tally in life.tallies()) == 0
