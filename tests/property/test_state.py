"""A partition's state against a plain model: entries with expiries, timers, restarts, kills, and a second store made from the changelog."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connectors.testing import ManualClock
from flows.core import codec
from flows.engine import changelog
from flows.engine.entries import Entries
from flows.engine.timers import DueTimer
from tests.kit.state import ListLog, content, copy_as_killed, from_nothing, opened

KEYS = st.sampled_from([b"", b"a", b"ab", b"b", b"\xff", b"\xff\xff", b"a\x00"])
VALUES = st.binary(max_size=3)
DELAYS = st.integers(-3, 12)
Value = tuple[bytes, int | None]


class StateAgainstModel(RuleBasedStateMachine):
    """`applied` is what a store must hold, `current` what reads must see."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.clock = ManualClock(1000)
        self.directory = self.home / "0-th"
        self.log: list[tuple[bytes, bytes | None] | None] = []
        self.applied: dict[tuple[bytes, bytes], Value] = {}
        self.timers: dict[bytes, tuple[int, bytes]] = {}
        self.current = dict(self.applied)
        self.current_timers = dict(self.timers)
        self.places = 0

    @initialize()
    def begin(self) -> None:
        self.state = opened(self.directory, self.clock)

    def entries(self, namespace: bytes) -> Entries:
        return self.state.user if namespace == codec.USER else self.state.internal

    def seen(self, namespace: bytes, key: bytes) -> bytes | None:
        value, expires = self.current.get((namespace, key), (None, None))
        return None if expires is not None and expires <= self.state.now_ms else value

    @rule(namespace=st.sampled_from([codec.USER, codec.ENGINE]), key=KEYS, value=VALUES, delay=st.none() | DELAYS)
    def put(self, namespace: bytes, key: bytes, value: bytes, delay: int | None) -> None:
        expires = None if delay is None else self.clock.now_ms() + delay
        self.entries(namespace).put(key, value, expires)
        self.current[namespace, key] = (value, expires)

    @rule(namespace=st.sampled_from([codec.USER, codec.ENGINE]), key=KEYS)
    def delete(self, namespace: bytes, key: bytes) -> None:
        self.entries(namespace).delete(key)
        self.current.pop((namespace, key), None)

    @rule(namespace=st.sampled_from([codec.USER, codec.ENGINE]), key=KEYS)
    def get(self, namespace: bytes, key: bytes) -> None:
        assert self.entries(namespace).get(key) == self.seen(namespace, key)

    @rule(keys=st.lists(KEYS, max_size=5))
    def get_many(self, keys: list[bytes]) -> None:
        assert self.state.get_many(keys) == [self.seen(codec.USER, key) for key in keys]

    @rule(prefix=KEYS)
    def scan(self, prefix: bytes) -> None:
        keys = sorted(key for namespace, key in self.current if namespace == codec.USER and key.startswith(prefix))
        assert list(self.state.scan(prefix)) == [(key, value) for key in keys if (value := self.seen(codec.USER, key)) is not None]

    @rule(milliseconds=st.integers(-2, 6))
    def time_moves(self, milliseconds: int) -> None:
        self.clock.jump(milliseconds)
        self.state.now_ms = self.clock.now_ms()

    @rule(limit=st.integers(0, 4))
    def sweep(self, limit: int) -> None:
        now_ms = self.clock.now_ms()
        dead = {at for at, (_, expires) in self.applied.items() if expires is not None and expires <= now_ms and self.current.get(at) == self.applied[at]}
        before = dict(self.state.pending())
        swept = self.state.sweep(now_ms, limit)
        gone = {(key[:1], key[1:]) for key, entry in self.state.pending() if key not in before and entry is None}
        assert swept == len(gone) <= limit
        assert gone <= dead
        assert swept == limit or all(namespace + key in dict(self.state.pending()) for namespace, key in dead)
        for at in gone:
            del self.current[at]

    @rule(timer_id=KEYS, delay=DELAYS, payload=VALUES)
    def timer_set(self, timer_id: bytes, delay: int, payload: bytes) -> None:
        self.state.timers.set(timer_id, self.clock.now_ms() + delay, payload)
        self.current_timers[timer_id] = (self.clock.now_ms() + delay, payload)

    @rule(timer_id=KEYS)
    def timer_cancel(self, timer_id: bytes) -> None:
        self.state.timers.cancel(timer_id)
        self.current_timers.pop(timer_id, None)

    @rule(limit=st.integers(0, 5))
    def timers_due(self, limit: int) -> None:
        now_ms = self.clock.now_ms()
        expected = sorted((due, timer_id, payload) for timer_id, (due, payload) in self.current_timers.items() if due <= now_ms)[:limit]
        assert self.state.timers.due(now_ms, limit) == [DueTimer(timer_id, due, payload) for due, timer_id, payload in expected]
        for _, timer_id, _ in expected:
            del self.current_timers[timer_id]

    @rule()
    def next_due(self) -> None:
        assert self.state.timers.next_due_ms() == min((due for due, _ in self.current_timers.values()), default=None)

    @rule(marker=st.booleans())
    def apply(self, marker: bool) -> None:
        changes = list(self.state.pending())
        assert len({key for key, _ in changes}) == len(changes)
        self.log += changes
        position = len(self.log)
        self.log += [None] * marker
        self.state.apply(position)
        self.applied, self.timers = dict(self.current), dict(self.current_timers)
        assert not list(self.state.pending())
        assert self.state.position == position
        assert self.state.timers.pending_count == len(self.timers)

    @rule()
    def discard(self) -> None:
        self.state.discard()
        self.forget()

    def forget(self) -> None:
        self.current, self.current_timers = dict(self.applied), dict(self.timers)

    @rule()
    def restart(self) -> None:
        self.state.close()
        self.reopen(self.directory)

    @rule()
    def killed(self) -> None:
        self.places += 1
        copy = self.home / str(self.places)
        copy_as_killed(self.directory, copy)
        self.state.close()
        self.reopen(copy)

    def reopen(self, directory: Path) -> None:
        self.directory = directory
        position, reasons = self.state.position, list[str]()
        self.state = opened(directory, self.clock, reasons)
        assert (self.state.position, reasons) == (position, [])
        assert self.state.timers.pending_count == len(self.timers)
        self.forget()

    @rule(portion=st.integers(1, 9))
    def another_worker_makes_the_same_of_the_changelog(self, portion: int) -> None:
        assert from_nothing(self.home / "other", self.clock, ListLog(self.log, portion=portion)) == content(self.state)

    @rule(portion=st.integers(1, 9))
    def nothing_is_missing(self, portion: int) -> None:
        self.state.discard()
        self.forget()
        changelog.catch_up(ListLog(self.log, portion=portion), self.state, "changelog/0")
        assert self.state.timers.pending_count == len(self.timers)

    @invariant()
    def derived_rows_are_those_of_the_entries(self) -> None:
        if not hasattr(self, "state"):
            return
        rows = [row for row, _ in content(self.state)]
        expiring = {codec.EXPIRY + codec.pack_time(expires) + namespace + key for (namespace, key), (_, expires) in self.applied.items() if expires is not None}
        assert {row for row in rows if row[:1] == codec.EXPIRY} == expiring
        assert {row for row in rows if row[:1] == codec.DUE} == {codec.DUE + codec.pack_time(due) + name for name, (due, _) in self.timers.items()}

    def teardown(self) -> None:
        self.state.close()
        shutil.rmtree(self.home)


TestState = StateAgainstModel.TestCase
TestState.settings = settings(max_examples=30, stateful_step_count=40)
