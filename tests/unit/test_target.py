"""What is known of a target between calls: leave to call, pace, breaker, switch."""

from collections.abc import Iterable

import orjson
import pytest

from flows.core.outbound import breaker
from flows.core.outbound.target import DAY_MS, NOTHING_ASKED, Asked, Back, Go, Limits, State, Stay, answered, ask, heeded, new, pack, unpack, unused

NOW = 1_800_000_000_000
POLICY = breaker.Policy()
FREE = Limits(concurrency=2, rate_per_second=None, paused=False, disable_after_days=2)


def back(*, delivered: bool = True, gone: bool = False, generation: int = 0) -> Back:
    return Back(generation, delivered, not delivered, 5, gone)


def given(state: State, limits: Limits, now_ms: int = NOW) -> tuple[State, Go | Stay]:
    return ask(state, limits, POLICY, now_ms)


def test_no_more_calls_than_slots() -> None:
    state, first = given(new("t", NOW), FREE)
    state, second = given(state, FREE)
    full, third = given(state, FREE)
    assert (type(first), type(second), third) == (Go, Go, Stay(None))
    assert full == state
    state, fourth = given(answered(state, FREE, POLICY, back(), 0, NOW), FREE)
    assert isinstance(fourth, Go)


def test_a_pause_costs_nothing_and_is_looked_at_again() -> None:
    state = new("t", NOW)
    assert given(state, FREE._replace(paused=True)) == (state, Stay(NOW + 1000))


@pytest.mark.parametrize("rate", [1, 2, 7, 50, 1000])
def test_the_pace_is_kept_over_any_second(rate: int) -> None:
    limits = Limits(1_000_000, rate, paused=False, disable_after_days=None)
    state, calls = new("t", NOW), list[int]()
    for now_ms in range(NOW, NOW + 4000):
        while True:
            state, leave = given(state, limits, now_ms)
            if isinstance(leave, Stay):
                assert leave.until_ms is not None
                assert leave.until_ms > now_ms
                break
            calls.append(now_ms)
    bursts = rate // 10 + 1
    assert rate * 4 - 1 <= len(calls) <= rate * 4 + bursts
    assert all(sum(begin <= call < begin + 1000 for call in calls) <= rate + bursts for begin in range(NOW, NOW + 3000, 97))


def test_a_clock_that_is_set_back_does_not_stop_the_pace() -> None:
    limits = Limits(10, 1, paused=False, disable_after_days=None)
    state, _ = given(new("t", NOW), limits)
    _, leave = given(state, limits, NOW - 3_600_000)
    assert isinstance(leave, Go)


def test_an_open_breaker_gives_no_leave_and_counts_nobody() -> None:
    limits = Limits(100, None, paused=False, disable_after_days=None)
    state = new("t", NOW)
    for _ in range(10):
        state, leave = given(state, limits)
        assert isinstance(leave, Go)
        state = answered(state, limits, POLICY, back(delivered=False, generation=leave.generation), 0, NOW)
    assert state.breaker.phase == "open"
    for _ in range(100):
        state, refused = given(state, limits)
        assert refused == Stay(state.breaker.until_ms)
    assert state.running == 0
    state, leave = given(state, limits, state.breaker.until_ms)
    assert isinstance(leave, Go)


def test_leave_that_was_not_used_teaches_nothing() -> None:
    slow, failing = FREE._replace(concurrency=100), answered(new("t", NOW), FREE, POLICY, back(delivered=False), 0, NOW)
    state = failing
    for _ in range(100):
        state, leave = given(state, slow)
        assert isinstance(leave, Go)
        state = unused(state, POLICY, leave.generation, NOW)
    assert (state.running, state.breaker, state.failing) == (0, failing.breaker, failing.failing)


def test_days_of_failures_switch_it_off_and_a_success_begins_anew() -> None:
    state = answered(new("t", NOW), FREE, POLICY, back(delivered=False), 0, NOW)
    state = answered(state, FREE, POLICY, back(), 0, NOW + DAY_MS)
    state = answered(state, FREE, POLICY, back(delivered=False), 0, NOW + 2 * DAY_MS)
    assert state.off is None
    state = answered(state, FREE, POLICY, back(delivered=False), 0, NOW + 3 * DAY_MS)
    assert state.off is None
    state = answered(state, FREE, POLICY, back(delivered=False), 0, NOW + 4 * DAY_MS)
    assert state.is_off(0)
    assert not state.is_off(1)
    assert failed_at(range(99), FREE._replace(disable_after_days=None)).off is None


def failed_at(days: Iterable[float], limits: Limits = FREE) -> State:
    """Fail so many days after the beginning."""
    state = new("t", NOW)
    for day in days:
        state = answered(state, limits, POLICY, back(delivered=False), 0, NOW + round(day * DAY_MS))
    return state


@pytest.mark.parametrize(
    ("days", "failures", "off"),
    [
        (2, (0, 2), False),
        (2, (0, 9), False),
        (2, (0, 0, 0, 0, 9), False),
        (2, (0, 9, 9, 9), False),
        (2, (0, 9, 10, 11), True),
        (2, (0, 1, 1.999), False),
        (2, (0, 1, 2), True),
        (2, (0, 0, 2), False),
        (2, (0, 1.001, 2), False),
        (2, (0, 1, 2, 3.001), True),
        (2, (0, 1, 2.001, 3), False),
        (1, (0, 1), False),
        (1, (0, 0.5, 1), True),
        (7, (0, 2, 4, 6, 8), True),
        (7, (0, 2, 4, 6.1, 8), False),
        (7, (0, 7, 14, 21), False),
        (7, (1, 2, 0, 2, 4, 6), False),
        (7, (1, 2, 0, 2, 4, 6, 7), True),
    ],
)
def test_a_row_of_failures_has_failures_in_it_and_no_long_silence(days: int, failures: tuple[float, ...], off: bool) -> None:
    assert failed_at(failures, FREE._replace(disable_after_days=days)).is_off(0) is off


def test_one_that_is_gone_is_off_at_once() -> None:
    state = answered(new("t", NOW), FREE, POLICY, back(delivered=False, gone=True), 3, NOW)
    assert (state.is_off(3), state.is_off(4)) == (True, False)


def test_a_state_is_read_as_it_was_written() -> None:
    state = answered(given(new("t", NOW), FREE)[0].with_line(3, 9), FREE, POLICY, back(delivered=False, gone=True), 3, NOW)
    assert unpack(pack(state)) == state
    assert unpack(pack(new("t", NOW))) == new("t", NOW)
    assert unpack(pack(failed_at((0, 1)))) == failed_at((0, 1))
    asked = heeded(state, Asked(7, "there"), NOW)
    assert unpack(pack(asked)) == asked


def test_a_state_is_read_that_was_written_before_anybody_could_ask_for_a_probe() -> None:
    state = failed_at((0, 1))
    head, _, rest = pack(state).partition(b"\n")
    before = orjson.dumps([2, *orjson.loads(head)[1:-2]]) + b"\n" + rest
    assert unpack(before) == state
    assert state.asked == NOTHING_ASKED
    with pytest.raises(ValueError, match="format 2"):
        unpack(head.replace(b"[3", b"[2", 1) + b"\n" + rest)


def opened(asked: Asked) -> State:
    """Return a target whose breaker is open, and may stay so for minutes; its definition asks for this."""
    limits = FREE._replace(concurrency=10)
    state = heeded(new("t", NOW), asked, NOW)
    for _ in range(10):
        state, leave = given(state, limits)
        assert isinstance(leave, Go)
        state = answered(state, limits, POLICY, back(delivered=False, generation=leave.generation), 0, NOW)
    assert state.breaker.phase == "open"
    assert isinstance(given(state, limits)[1], Stay)
    return state


def test_who_asks_for_it_gets_one_probe_at_once_and_the_ramp_behind_it() -> None:
    state = heeded(opened(Asked(1, "a")), Asked(2, "a"), NOW)
    state, first = given(state, FREE)
    state, second = given(state, FREE)
    assert (type(first), second, state.breaker.phase) == (Go, Stay(NOW + 1000), "half_open")
    assert isinstance(first, Go)
    failed = answered(state, FREE, POLICY, back(delivered=False, generation=first.generation), 0, NOW)
    assert failed.breaker.phase == "open"
    assert failed.breaker.until_ms >= NOW + 2 * POLICY.open_ms
    went_well = answered(state, FREE, POLICY, back(generation=first.generation), 0, NOW)
    assert (went_well.breaker.phase, went_well.breaker.rung) == ("half_open", 1)


def test_what_was_asked_for_once_is_done_once() -> None:
    state = heeded(opened(Asked(1, "a")), Asked(2, "a"), NOW)
    state, leave = given(state, FREE)
    assert isinstance(leave, Go)
    state = answered(state, FREE, POLICY, back(delivered=False, generation=leave.generation), 0, NOW)
    for asked in (Asked(2, "a"), Asked(1, "b"), NOTHING_ASKED):
        assert heeded(unpack(pack(state)), asked, NOW) == state


def test_another_address_is_another_target() -> None:
    before = opened(Asked(1, "a"))
    state = heeded(before, Asked(2, "b"), NOW)
    assert (state.breaker.phase, state.breaker.openings, state.failing) == ("closed", 0, None)
    late = answered(state, FREE, POLICY, back(delivered=False, generation=before.breaker.generation - 1), 0, NOW)
    assert late.breaker == state.breaker
    without = heeded(before, Asked(2, ""), NOW)
    assert without.breaker.phase == "half_open"
    assert heeded(without, Asked(3, "b"), NOW).breaker.phase == "closed"


@pytest.mark.parametrize(
    "data", [b"", b"x", b"[]", b"[1,0,0,0,0,0,null]\n[]", b"[2,0,0,0,0,null,null]\nx", b"[2,0,0,0,0,[1],null]\n[]", b"[3,0,0,0,0,null,null]\n[]"]
)
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"state"):
        unpack(data)
