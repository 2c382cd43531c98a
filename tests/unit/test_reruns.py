"""What a flow makes of an order to judge the log anew, with real state and no broker."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from connectors.testing import ManualClock
from flows import webhooks
from flows.core.record import Output, Record
from flows.core.reruns import MOST_CHANGES, MOST_SAMPLES, Report, Side, StoredRerun
from flows.core.settings import load
from flows.engine import DueTimer, Finished
from flows.engine.batch import Batch
from flows.engine.contents import Taken
from flows.engine.definitions import Definitions
from flows.engine.share import Share
from flows.steps.past import Past, Wanted, hash_of
from flows.steps.rerun import AGAIN_MS, FORGOTTEN_MS, KIND, MOST_FAILURES, Rerun, Reruns
from tests.kit.line import LIMIT, stored
from tests.kit.state import opened

ID = b"rerun/r-1"


def of_endpoint(rerun: Rerun) -> Sequence[tuple[str, Any]]:
    """Judge as the flow does."""
    return webhooks.steps(load({}), rerun)


class Bench:
    """The step on one partition; each `run` is a batch and its checkpoint."""

    def __init__(self, directory: Path, partitions: int = 1) -> None:
        self.clock = ManualClock()
        self.config = Definitions(webhooks.FLOW.definitions, webhooks.FLOW.orders)
        self.config.apply("webhook/shop", stored({"endpoint_id": "shop", "filter": "body.n > 1"}), 0)
        self.step = Reruns(partitions, of_endpoint, webhooks.targets)
        self.share = Share("webhooks", opened(directory, self.clock), 0, 1)
        self.limits: Callable[[str], int] = lambda _: LIMIT
        self._position = 0

    def order(self, **fields: Any) -> None:
        """Write an order."""
        made = {"replay_id": "r-1", "from_ms": 0, "until_ms": 9, "rate_per_second": 100, "created_at_ms": self.clock.now_ms(), "target_topic": "t", **fields}
        self.config.apply("rerun/r-1", StoredRerun(**made).model_dump_json(exclude_none=True).encode(), 0)

    def run(self, *, due: Sequence[DueTimer] = (), finished: Sequence[Finished] = ()) -> Batch:
        """Put one batch through the step and write its state."""
        self.share.state.now_ms = self.clock.now_ms()
        batch = Batch(Taken({}, due=due, finished=finished), {0: self.share}, self.config, self.limits, self.clock.now_ms())
        self.step(batch)
        self._position += 1
        self.share.state.apply(self._position)
        return batch

    def asked(self) -> Wanted | None:
        """Return what is to be read, once."""
        items = self.share.work.take_submitted()
        return Wanted.unpack(items[-1].entry.partition(b"\n")[2]) if items else None

    def came(self, past: Past | None, error: str | None = None) -> Batch:
        """Let a portion come."""
        return self.run(finished=[Finished(0, ID, KIND, b"", past.pack() if past is not None else None, error)])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state")
    yield made
    made.share.close()


def outputs(batch: Batch, topic: str) -> list[Output]:
    return [output for output in batch.published if output.topic == topic]


def report(batch: Batch) -> Report:
    return Report.of(orjson.loads(outputs(batch, "xyra.status")[-1].value or b""))


def record(n: int, offset: int, endpoint: str = "shop", partition: int = 3) -> Record:
    return Record("xyra.webhooks", partition, offset, 1000, b"k", b'{"n":%d}' % n, (("ce_source", f"/webhooks/{endpoint}".encode()),))


def test_an_order_is_asked_for_judged_and_written_portion_by_portion(bench: Bench) -> None:
    bench.order()
    begun = bench.run()
    assert begun.partitions() == {0}
    assert report(begun).state == "running"
    wanted = bench.asked()
    assert wanted is not None
    assert (wanted.at, wanted.records, wanted.source, list(wanted.targets)) == (None, 100, "", [])
    sides = [Side("kept", value=hash_of(b'{"n":2}')), Side("kept", value="other"), Side("dropped", "filtered"), Side("unknown")]
    past = Past({3: 5, 4: 9}, {3: 6, 4: 9}, 5, [record(2, 0), record(3, 1), record(1, 2), record(0, 3, "nobody")], sides)
    batch = bench.came(past)
    assert [output.value for output in outputs(batch, "t")] == [b'{"n":2}', b'{"n":3}']
    assert {dict(output.headers)["x-rerun"] for output in outputs(batch, "t")} == {b"r-1"}
    told = report(batch)
    assert (told.total, told.read, told.skipped, told.kept, told.dropped, told.buried) == (6, 5, 1, 2, {"filtered": 1}, {"unknown_endpoint": 1})
    assert (told.same, told.unknown, [(one.then, one.now, one.count) for one in told.changes]) == (2, 1, [("kept", "kept", 1)])
    assert bench.share.state.timers.next_due_ms() == bench.clock.now_ms() + 50
    bench.run(due=[DueTimer(0, ID, 0, b"")])
    following = bench.asked()
    assert following is not None
    assert (following.at, following.ends) == ({3: 5, 4: 9}, {3: 6, 4: 9})
    assert report(bench.came(Past({3: 6}, {3: 6}, 1, [record(7, 5)], [Side("unknown")]))).state == "done"
    assert outputs(bench.came(Past({3: 6}, {3: 6}, 1, [record(7, 5)], [Side("unknown")])), "t") == []  # it is over


def test_what_is_not_held_here_or_was_forgotten_is_not_begun(bench: Bench, tmp_path: Path) -> None:
    bench.order(created_at_ms=bench.clock.now_ms() - FORGOTTEN_MS)
    bench.run()
    assert bench.asked() is None
    other = Bench(tmp_path / "other", partitions=1000)
    other.order()
    assert other.step.owner("r-1")
    other.run()
    assert other.asked() is None
    other.share.close()


def test_a_log_that_cannot_be_read_is_tried_again_and_then_given_up(bench: Bench) -> None:
    bench.order()
    bench.run()
    for n in range(1, MOST_FAILURES + 1):
        told = report(bench.came(None, "Unavailable: away"))
        assert ("away" in told.trouble, told.state) == (True, "running" if n < MOST_FAILURES else "failed")
        if n == 1:
            assert bench.share.state.timers.next_due_ms() == bench.clock.now_ms() + AGAIN_MS


def test_a_topic_that_cannot_be_made_ends_it(bench: Bench) -> None:
    bench.order()
    bench.run()
    bench.limits = lambda topic: 0 if topic == "t" else LIMIT
    told = report(bench.came(Past({3: 1}, {3: 1}, 1, [record(2, 0)], [Side("unknown")])))
    assert (told.state, told.read) == ("failed", 0)
    assert "topic t cannot be made" in told.trouble


def test_a_cancelled_one_stops_whatever_is_on_its_way(bench: Bench) -> None:
    bench.order()
    bench.run()
    bench.order(cancelled=True)
    assert report(bench.run()).state == "cancelled"
    assert list(bench.share.work.unfinished()) == []
    assert outputs(bench.came(Past({3: 1}, {3: 1}, 1, [record(2, 0)], [Side("unknown")])), "t") == []
    assert outputs(bench.run(due=[DueTimer(0, ID, 0, b"")]), "xyra.status") == []


def test_an_order_that_cannot_be_read_is_none(bench: Bench) -> None:
    bench.order(filter="body.")
    bench.run()
    assert bench.asked() is None


@pytest.mark.parametrize(("dedupe", "kept"), [(False, 3), (True, 1)])
def test_repeats_are_dropped_where_that_was_asked_for(bench: Bench, dedupe: bool, kept: int) -> None:
    bench.order(dedupe=dedupe, filter="body.n < 9")
    bench.run()
    records = [record(2, 0), record(2, 1, partition=4), record(9, 2)]
    told = report(bench.came(Past({3: 1}, {3: 9}, 3, records, [Side("unknown")] * 3)))
    assert (told.read, told.total) == (3, 11)
    told = report(bench.came(Past({3: 9}, {3: 9}, 1, [record(2, 5)], [Side("unknown")])))
    assert (told.state, told.read, told.total) == ("done", 4, 4), "four offsets of the window were no records"
    assert (told.kept, told.skipped, told.dropped) == (kept, 1, {"duplicate": 2} if dedupe else {})


def test_a_report_is_bounded_and_reads_back() -> None:
    made = Report(2)
    for n in range(MOST_CHANGES + 50):
        made.count(f"e-{n}", "t/0/1", Side("kept"), Side("dropped", f"reason {n}"))
    assert (len(made.changes), len(made.samples)) == (MOST_CHANGES, MOST_SAMPLES)
    assert Report.of(orjson.loads(made.text())) == made
    wanted = Wanted(1, 2, {3: 4}, {3: 9}, "", ["t"], 5)
    assert Wanted.unpack(wanted.pack()) == wanted
    past = Past({1: 2}, {1: 3}, 5, [record(1, 1)], [Side("buried", "x")])
    assert Past.unpack(past.pack()) == past
