"""Order by key against lists: whatever fails, is tried again, buried or cancelled, items of a key end in the order they came, and none is lost."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.testing import ManualClock
from flows.core.outbound.key_order import KeyOrder, Turn
from flows.engine.state import PartitionState
from tests.kit.state import content, opened

KEYS = st.sampled_from([b"", b"a", b"aw", b"a\x00\x00\x00\x01", b"\xff\xff"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), KEYS, st.just(0)),
        st.tuples(st.just("join"), KEYS, st.just(0)),
        st.tuples(st.sampled_from(["deliver", "bury", "retry"]), KEYS, st.just(0)),
        st.tuples(st.just("cancel"), KEYS, st.integers(0, 5)),
        st.tuples(st.just("commit"), st.just(b""), st.just(0)),
        st.tuples(st.just("restart"), st.just(b""), st.just(0)),
    ),
    max_size=60,
)


class Memory:
    """State as a dictionary."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.entries[key] = value

    def delete(self, key: bytes) -> None:
        self.entries.pop(key, None)


class Lists:
    """The order itself, and what has been told of it."""

    def __init__(self) -> None:
        self.lines: dict[bytes, list[tuple[int, bytes]]] = {}
        self.running: dict[bytes, tuple[int, bytes]] = {}
        """Of each key the item that has the turn, as the order under test gave it."""
        self.ended: dict[bytes, list[bytes]] = {}
        self.joined = 0

    def join(self, order: KeyOrder, key: bytes) -> None:
        self.joined += 1
        item = b"item %d" % self.joined
        ticket = order.join(key, item)
        line = self.lines.setdefault(key, [])
        assert ticket.first == (not line)
        assert ticket.number not in [number for number, _ in line]
        line.append((ticket.number, item))
        if ticket.first:
            self.running[key] = (ticket.number, item)

    def leave(self, order: KeyOrder, key: bytes, at: int) -> None:
        line = self.lines.get(key, [])
        if at >= len(line):
            return
        number, item = line.pop(at)
        turn = order.leave(key, number)
        self.ended.setdefault(key, []).append(item)
        if at == 0:
            assert self.running.pop(key) == (number, item)
            assert turn == (Turn(*line[0]) if line else None)
            if turn is not None:
                self.running[key] = (turn.number, turn.item)
        else:
            assert turn is None

    def drain(self, order: KeyOrder) -> None:
        """Deliver all that is left."""
        for key in [*self.lines]:
            while self.lines[key]:
                self.leave(order, key, 0)


def run(order: KeyOrder, model: Lists, step: str, key: bytes, at: int) -> None:
    if step == "join":
        model.join(order, key)
    elif step == "cancel":
        model.leave(order, key, at)
    elif step in {"deliver", "bury"}:
        model.leave(order, key, 0)
    # an item that is tried again keeps its turn: nothing is told to anybody
    assert {key: line[0] for key, line in model.lines.items() if line} == model.running


@given(STEPS)
def test_items_of_a_key_run_in_the_order_they_came(steps: list[tuple[str, bytes, int]]) -> None:
    store, model = Memory(), Lists()
    for step, key, at in steps:
        run(KeyOrder(store), model, step, key, at)
    waiting = sum(max(0, len(line) - 1) for line in model.lines.values())
    assert len(store.entries) == waiting + len(model.running)
    model.drain(KeyOrder(store))
    assert not store.entries
    assert sum(map(len, model.ended.values())) == model.joined


@given(STEPS)
def test_without_cancelling_the_order_of_the_ends_is_the_order_of_arrival(steps: list[tuple[str, bytes, int]]) -> None:
    store, model = Memory(), Lists()
    for step, key, at in steps:
        if step != "cancel":
            run(KeyOrder(store), model, step, key, at)
    model.drain(KeyOrder(store))
    for items in model.ended.values():
        numbers = [int(item.removeprefix(b"item ")) for item in items]
        assert numbers == sorted(numbers)


@settings(max_examples=60)
@given(STEPS)
def test_it_is_so_in_a_flows_state_and_after_restarts(steps: list[tuple[str, bytes, int]]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        state = opened(Path(scratch), ManualClock())
        empty, model = content(state), Lists()
        for step, key, at in steps:
            run(KeyOrder(state.user, b"order/"), model, step, key, at)
            state = settled(state, Path(scratch), step)
        model.drain(KeyOrder(state.user, b"order/"))
        state.apply(1)
        assert content(state) == empty
        state.close()
    assert sum(map(len, model.ended.values())) == model.joined


def settled(state: PartitionState, directory: Path, step: str) -> PartitionState:
    """Commit, and start again where the step says so."""
    if step in {"commit", "restart"}:
        state.apply(1)
    if step == "restart":
        state.close()
        return opened(directory, ManualClock())
    return state


def test_an_item_that_does_not_wait_costs_one_entry() -> None:
    store = Memory()
    order = KeyOrder(store)
    order.join(b"k", b"x" * 1000)
    assert [len(value) for value in store.entries.values()] == [16]
    assert order.leave(b"k", 0) is None
    assert not store.entries
    assert order.leave(b"k", 0) is None
