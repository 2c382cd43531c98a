"""The arithmetic of batches and tallies: every record is counted once, and the offset to commit is the one behind the last."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest
from confluent_kafka import Message as ClientMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.testing import ManualClock
from flows.core.record import ATTEMPT, Output
from flows.core.verdict import Await, Bury, Drop, Hold, Reason, Retry, Verdict
from flows.engine.batch import Batch
from flows.engine.books import Books
from flows.engine.contents import Bulk, Sent, Taken
from flows.engine.definitions import Definitions
from flows.engine.flow import Flow
from flows.engine.portion import place
from flows.engine.share import Share
from flows.engine.tally import Tally, changes
from flows.wire.messages import Message, bounded, record_of
from tests.kit.state import opened

VERDICTS: tuple[Verdict | None, ...] = (
    *(None, None, Drop("duplicate"), Drop("filtered"), Bury((Reason("bad", ""),))),
    *(Retry(5000, Reason("away", "")), Await("call", "lane"), Hold()),
)
RESOURCES = ("a", "b", "-")


def message(partition: int, offset: int, key: bytes = b"k", value: bytes | None = b"v") -> Message:
    return cast("Message", ClientMessage(topic="t", partition=partition, offset=offset, key=key, value=value, headers=None, timestamp=(1, 7)))


offsets = st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=30).map(sorted)
"""With gaps: transaction markers and compaction leave them."""


@pytest.fixture(scope="module")
def share_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Share]]:
    """Return shares with a state of their own."""
    made: list[Share] = []

    def new(position: int) -> Share:
        while made:
            made.pop().close()  # an example's ends with it
        directory: Path = tmp_path_factory.mktemp("state") / uuid4().hex
        made.append(Share("f", opened(directory, ManualClock()), position, 1))
        return made[-1]

    yield new
    made.pop().close()


@settings(max_examples=40)
@given(taken=offsets, cuts=st.lists(st.integers(0, 30), max_size=4), committed=st.integers(-1, 10_001))
def test_the_offset_to_commit_is_the_one_behind_the_last_taken(share_of: Callable[[int], Share], taken: list[int], cuts: list[int], committed: int) -> None:
    share = share_of(committed)
    bounds = [0, *sorted(min(cut, len(taken)) for cut in cuts), len(taken)]
    accepted: list[int] = []
    for begin, end in pairwise(bounds):
        if begin < end:
            accepted += [found.offset() for found in share.accept([message(0, offset) for offset in taken[begin:end]])]
            assert share.position == max(committed, *(offset + 1 for offset in taken[:end]))
    assert accepted == [offset for offset in taken if offset >= committed]


@given(st.lists(st.integers(0, 12 << 20), max_size=12))
def test_a_batch_is_bounded_in_bytes_and_loses_nothing(sizes: list[int]) -> None:
    blob = bytes(12 << 20)
    messages = [cast("ClientMessage", message(0, n, value=blob[:size])) for n, size in enumerate(sizes)]
    now, later = bounded(messages)
    assert now + later == messages
    assert sum(map(len, now)) <= 16 << 20 or len(now) == 1
    assert now or not messages


@settings(max_examples=30)
@given(
    fresh=st.lists(st.tuples(st.sampled_from(RESOURCES), st.sampled_from(VERDICTS)), max_size=40),
    again=st.lists(st.tuples(st.sampled_from(RESOURCES), st.sampled_from(VERDICTS)), max_size=20),
)
def test_every_record_is_in_out_dropped_buried_or_waiting(
    share_of: Callable[[int], Share], fresh: Sequence[tuple[str, Verdict | None]], again: Sequence[tuple[str, Verdict | None]]
) -> None:
    """Two batches: the first leaves the records of the second waiting; after both, and from disk, the tallies add up."""
    share = share_of(0)
    flow = Flow(name="f", topic=None, build=None, resource=lambda record: (record.key or b"").decode())  # type: ignore[arg-type]  # neither is used
    books = Books(flow, "1")
    arrived = [message(0, n, resource.encode()) for n, (resource, _) in enumerate(again)]
    batch = Batch(Taken({0: arrived}), {0: share}, Definitions({}), lambda _: 100, 1)
    for record in batch.records:
        batch.retry(record, 1, Reason("away", ""))
    books.book(batch, {0: share})
    share.state.apply(1)
    waited, timers = share.take_due(2)
    assert [(one.resource, one.record.header(ATTEMPT)) for one in sorted(waited, key=lambda one: one.record.offset)] == [(r, b"1") for r, _ in again]
    assert timers == []
    wanted = {(0, n): verdict for n, (_, verdict) in enumerate(again)} | {(0, 100 + n): verdict for n, (_, verdict) in enumerate(fresh)}
    arrived = [message(0, 100 + n, resource.encode()) for n, (resource, _) in enumerate(fresh)]
    batch = Batch(Taken({0: arrived} if arrived else {}, waited), {0: share}, Definitions({}), lambda _: 100, 3)
    for record in batch.records:
        batch.decide(record, wanted[place(record)])
    books.book(batch, {0: share})
    share.state.apply(2)
    tallies = [Tally.read(text) for _, text in Share("f", share.state, 0, 2).state.internal.scan(b"tally/")]
    assert sum(tally.arrived for tally in tallies) == len(fresh) + len(again)
    kinds = Counter(type(verdict).__name__ for verdict in wanted.values())
    assert sum(tally.out for tally in tallies) == kinds["NoneType"]
    assert sum(tally.dropped.total() for tally in tallies) == kinds["Drop"]
    assert sum(tally.buried.total() for tally in tallies) == kinds["Bury"]
    assert sum(tally.waiting for tally in tallies) == kinds["Retry"] + kinds["Await"] + kinds["Hold"]
    assert kinds["Retry"] == share.state.timers.pending_count
    for tally in tallies:
        assert tally.arrived == tally.out + tally.dropped.total() + tally.buried.total() + tally.waiting


@given(st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 50)), st.lists(st.sampled_from(RESOURCES), max_size=20))
def test_records_that_nobody_decided_on_are_out(arrived: dict[str, int], returned: list[str]) -> None:
    found = changes(arrived, returned, [])
    assert {resource: change.out for resource, change in found.items()} == {k: v for k, v in (Counter(arrived) + Counter(returned)).items() if v}


@given(
    partitions=st.dictionaries(st.integers(0, 3), offsets, min_size=1, max_size=3),
    data=st.data(),
    early=st.booleans(),
)
def test_an_output_goes_where_its_record_goes(partitions: dict[int, list[int]], data: st.DataObject, early: bool) -> None:
    """Whether outputs are given one by one or by portion, before or after some records have left: those of kept records stand, in order."""
    fresh = {number: [message(number, offset) for offset in own] for number, own in partitions.items()}
    places = [(number, offset) for number, own in partitions.items() for offset in own]
    gone = data.draw(st.sets(st.sampled_from(places)))
    batch = Batch(Taken(fresh), {}, Definitions({}), lambda _: 100, 1)

    def leave() -> None:
        for record in batch.records:
            if place(record) in gone:
                batch.drop(record, "left")
        batch.settle()

    if early:
        leave()
    for portion in batch.portions():
        batch.emit_all(portion, "bulk", [b"%d" % portion.place(i)[1] for i in range(len(portion.keys))])
    for record in batch.records:
        batch.emit(record, Output("single", None, b"%d" % record.offset))
    leave()
    kept = [(number, offset) for number, offset in sorted(places) if (number, offset) not in gone]
    bulk = [value for sent in batch.standing() if isinstance(sent, Bulk) for value in sent.values]
    single = [sent.output.value for sent in batch.standing() if isinstance(sent, Sent)]
    assert sorted(bulk) == sorted(single) == sorted(b"%d" % offset for _, offset in kept)  # type: ignore[type-var]  # no value is None
    assert [place(record) for record in batch.records if record[1] == kept[0][0]] == [where for where in kept if where[0] == kept[0][0]] if kept else True


def test_a_record_is_only_made_when_it_is_asked_for() -> None:
    fresh = {1: [message(1, 5, b"a", b"x"), message(1, 9, b"b", None)]}
    batch = Batch(Taken(fresh), {}, Definitions({}), lambda _: 100, 1)
    (portion,) = batch.portions()
    assert (portion.keys, portion.values) == ([b"a", b"b"], [b"x", None])
    assert portion.record(1) == record_of(fresh[1][1])
    assert portion.place(1) == (1, 9)
