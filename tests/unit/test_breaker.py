"""The breaker's way through its phases, step by step, with a clock that is moved by hand."""

import pytest

from connectors.testing import ManualClock
from flows.core.outbound import breaker, told
from flows.core.outbound.breaker import Answer, Parked, Permit, Phase, Policy, State

POLICY = Policy(jitter_percent=0)
HOUR_MS = 3_600_000


class Target:
    """A breaker and its clock: calls are asked for, and answered."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.policy = policy
        self.clock = ManualClock()
        self.begin_ms = self.clock.now_ms()
        self.state: State = breaker.new("https://example.com", self.begin_ms)

    def phase(self) -> Phase:
        return breaker.view(self.state, self.policy, self.clock.now_ms()).state

    def ask(self) -> Permit | Parked:
        self.state, given = breaker.permit(self.state, self.policy, self.clock.now_ms())
        return given

    def permits(self, most: int = 100) -> list[Permit]:
        """Ask until one has to wait."""
        found: list[Permit] = []
        while len(found) < most and isinstance(given := self.ask(), Permit):
            found.append(given)
        return found

    def answer(self, permit: Permit, *, failed: bool = False, took_ms: int = 5) -> None:
        self.state = breaker.answered(self.state, self.policy, Answer(permit.generation, failed, took_ms), self.clock.now_ms())

    def call(self, *, failed: bool = False, took_ms: int = 5) -> None:
        given = self.ask()
        assert isinstance(given, Permit)
        self.answer(given, failed=failed, took_ms=took_ms)

    def open(self) -> int:
        """Fail until it opens; return when the opening is over, counted from now."""
        while self.phase() == "closed":
            self.call(failed=True)
        return self.state.until_ms - self.clock.now_ms()

    def close(self) -> None:
        """Let every probe succeed."""
        self.clock.advance(self.state.until_ms - self.clock.now_ms())
        while self.phase() == "half_open":
            self.call()


def test_it_opens_exactly_at_the_ratio_and_not_before_the_minimum_of_calls() -> None:
    target = Target()
    for n in range(9):
        target.call(failed=n % 2 == 1)
        assert target.phase() == "closed"
    target.call(failed=True)
    assert target.phase() == "open"
    below = Target()
    for n in range(100):
        below.call(failed=n >= 51)
    assert below.phase() == "closed"
    below.call(failed=True)
    below.call(failed=True)
    assert below.phase() == "open"


def test_a_call_that_goes_well_never_opens_it() -> None:
    target = Target()
    for _ in range(6):
        target.call(failed=True)
    for _ in range(6):
        target.call()
        assert target.phase() == "closed"
    target.call(failed=True)
    assert target.phase() == "open"
    slow = Target()
    for n in range(12):
        slow.call(took_ms=10_000 if n < 9 else 0)
    assert slow.phase() == "closed"


def test_whoever_asks_for_a_probe_has_the_failures_of_a_closed_one_forgotten() -> None:
    target = Target()
    early = target.permits(most=9)
    for permit in early[:-1]:
        target.answer(permit, failed=True)
    target.state = breaker.probed(target.state, target.clock.now_ms())
    target.answer(early[-1], failed=True)
    assert breaker.view(target.state, POLICY, target.clock.now_ms())[3:] == (0, 0.0, 0.0)
    for _ in range(9):
        target.call(failed=True)
        assert target.phase() == "closed"


def test_slow_calls_open_it_as_well() -> None:
    target = Target()
    for n in range(10):
        target.call(took_ms=9_999 if n < 2 else 10_000)
    assert target.phase() == "open"
    just_not = Target()
    for n in range(20):
        just_not.call(took_ms=10_000 if n >= 5 else 9_999)
    assert just_not.phase() == "closed"


def test_calls_leave_the_window() -> None:
    target = Target()
    for _ in range(9):
        target.call(failed=True)
    target.clock.advance(POLICY.window_ms)
    target.call(failed=True)
    assert target.phase() == "closed"
    assert breaker.view(target.state, POLICY, target.clock.now_ms()).calls == 1


def test_while_it_is_open_whoever_asks_is_told_when_it_is_over() -> None:
    target = Target()
    assert target.open() == POLICY.open_ms
    opened = target.state
    assert [target.ask() for _ in range(100)] == [Parked(target.state.until_ms)] * 100
    assert target.state == opened
    target.clock.advance(POLICY.open_ms - 1)
    assert target.ask() == Parked(target.clock.now_ms() + 1_000)
    assert target.phase() == "open"


@pytest.mark.parametrize(("timeout_s", "slow_ms"), [(1, 667), (5, 3_333), (15, 10_000), (60, 40_000)])
def test_a_call_is_slow_that_takes_two_thirds_of_its_time_out(timeout_s: float, slow_ms: int) -> None:
    target = Target(breaker.for_timeout(timeout_s))
    assert target.policy == Policy(slow_ms=slow_ms)
    for _ in range(10):
        target.call(took_ms=slow_ms - 1)
    assert target.phase() == "closed"
    for _ in range(40):
        target.ask()
        target.answer(Permit(0), took_ms=slow_ms)
    assert target.phase() == "open"


def test_half_open_it_lets_through_one_then_two_four_eight_and_closes() -> None:
    target = Target()
    target.open()
    target.clock.advance(POLICY.open_ms)
    for size in POLICY.ramp:
        assert target.phase() == "half_open"
        probes = target.permits()
        assert len(probes) == size
        waiting = target.ask()
        assert isinstance(waiting, Parked)
        assert waiting.until_ms > target.clock.now_ms()
        for probe in probes:
            target.answer(probe)
    assert target.phase() == "closed"
    assert len(target.permits(most=50)) == 50


def test_a_rung_that_goes_badly_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    target = Target()
    lengths = [target.open()]
    for _ in range(8):
        target.clock.advance(lengths[-1])
        target.call(failed=True)
        lengths.append(target.state.until_ms - target.clock.now_ms())
    assert lengths == [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000]


def test_openings_that_are_far_apart_do_not_add_up() -> None:
    target = Target()
    target.open()
    target.close()
    target.clock.advance(POLICY.longest_open_ms - 1)
    assert target.open() == 2 * POLICY.open_ms
    target.close()
    target.clock.advance(POLICY.longest_open_ms)
    assert target.open() == POLICY.open_ms


def test_answers_from_an_earlier_phase_count_for_nothing() -> None:
    target = Target()
    early = target.permits(most=30)
    for permit in early[:10]:
        target.answer(permit, failed=True)
    opened = target.state
    for permit in early[10:20]:
        target.answer(permit, failed=True)
    assert target.state == opened
    target.clock.advance(POLICY.open_ms)
    (probe,) = target.permits()
    for permit in early[20:]:
        target.answer(permit, failed=True)
    assert target.phase() == "half_open"
    target.answer(probe)
    assert len(target.permits()) == 3


def test_probes_that_never_come_back_count_as_failed() -> None:
    target = Target()
    target.open()
    target.clock.advance(POLICY.open_ms)
    (probe,) = target.permits()
    target.clock.advance(POLICY.patience_ms - 1)
    assert isinstance(target.ask(), Parked)
    target.clock.advance(1)
    assert isinstance(target.ask(), Parked)
    assert target.phase() == "open"
    target.answer(probe)
    assert target.phase() == "open"


def test_a_probe_that_was_not_made_makes_room_for_another() -> None:
    target = Target()
    target.clock.advance(target.open())
    for _ in range(5):
        (probe,) = target.permits()
        target.state = breaker.unused(target.state, POLICY, probe.generation, target.clock.now_ms())
    assert (target.phase(), target.state.rung, target.state.granted) == ("half_open", 0, 0)
    (probe,) = target.permits()
    target.answer(probe)
    assert target.state.rung == 1
    before = target.state
    target.state = breaker.unused(target.state, POLICY, probe.generation, target.clock.now_ms())
    assert target.state == before


def test_a_rung_waits_for_work_as_long_as_none_comes() -> None:
    target = Target()
    target.open()
    target.clock.advance(POLICY.open_ms)
    target.call()
    target.clock.advance(24 * HOUR_MS)
    assert target.phase() == "half_open"
    target.call()
    target.clock.advance(24 * HOUR_MS)
    target.call()
    target.call()
    assert len(target.permits()) == 5


def test_a_clock_set_back_holds_an_opening_no_longer_than_it_was() -> None:
    target = Target()
    target.open()
    target.clock.jump(-HOUR_MS)
    given = target.ask()
    assert isinstance(given, Parked)
    assert given.until_ms - target.clock.now_ms() == POLICY.open_ms
    target.clock.advance(POLICY.open_ms)
    assert isinstance(target.ask(), Permit)


def test_a_clock_set_forward_ends_an_opening_and_empties_the_window() -> None:
    target = Target()
    target.open()
    target.clock.jump(HOUR_MS)
    assert isinstance(target.ask(), Permit)
    closed = Target()
    for _ in range(9):
        closed.call(failed=True)
    closed.clock.jump(HOUR_MS)
    closed.call(failed=True)
    assert closed.phase() == "closed"


def test_jitter_makes_an_opening_longer_by_its_share_and_differs_between_breakers() -> None:
    policy = Policy()
    lengths = set()
    for n in range(50):
        state = breaker.new(f"target-{n}", 0)
        for _ in range(10):
            state = breaker.answered(state, policy, Answer(0, failed=True, took_ms=0), 0)
        lengths.add(state.until_ms)
    assert len(lengths) > 40
    assert policy.open_ms <= min(lengths) < max(lengths) <= policy.open_ms * 120 // 100


def test_a_closed_breaker_costs_no_write() -> None:
    target = Target()
    target.call(failed=True)
    before = target.state
    target.clock.advance(HOUR_MS)
    assert isinstance(target.ask(), Permit)
    assert target.state is before


def test_what_is_shown() -> None:
    target = Target()
    for n in range(4):
        target.call(failed=n == 0, took_ms=10_000 if n < 2 else 0)
    begin_ms = target.begin_ms
    assert breaker.view(target.state, POLICY, begin_ms) == breaker.View("closed", begin_ms, None, 4, 0.25, 0.5)
    target.open()
    target.ask()
    assert breaker.view(target.state, POLICY, begin_ms) == breaker.View("open", begin_ms, begin_ms + 5_000, 10, 0.7, 0.2)
    assert breaker.view(target.state, POLICY, begin_ms + 6_000) == breaker.View("half_open", begin_ms + 5_000, None, 10, 0.7, 0.2)
    target.clock.advance(6_000)
    target.call(took_ms=10_000 - 1)
    assert breaker.view(target.state, POLICY, begin_ms + 6_000) == breaker.View("half_open", begin_ms + 5_000, None, 1, 0.0, 0.0)
    for n in range(17):
        target.call(failed=n in {2, 6, 12})
    shown = breaker.view(target.state, POLICY, begin_ms + 6_000)
    assert shown == breaker.View("closed", begin_ms + 6_000, None, 9, shown.error_ratio, 0.0)
    assert shown.error_ratio == pytest.approx(1 / 9, abs=0.001)


def test_a_policy_with_a_shorter_ramp_goes_on_with_an_older_state() -> None:
    target = Target()
    target.open()
    target.clock.advance(POLICY.open_ms)
    for _ in range(10):
        target.call()
    target.policy = Policy(ramp=(1, 2))
    probes = target.permits()
    assert len(probes) == 1
    target.answer(probes[0])
    assert target.phase() == "closed"


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"x", b"{}", b"1", b"[]", b"\xff", b'[2,"open",0,[]]', b'[2,"open",0,[0,0,0,0],[]]'),
        *(b'[1,"closed",0,0,0,0,0,0,0,0,0,[0,0,0,0],[]]', b'[1,"closed",0,0,0,0,0,0,0,0,0,0,[]]', b'[2,"ajar",0,0,0,0,0,0,0,0,0,[0,0,0,0],[]]'),
        *(b'[2,"open",0,0,0,0,0,0,0,0,"0",[0,0,0,0],[]]', b'[2,"open",0,0,0,0,0,0,0,0,0,[0,0],[]]', b'[2,"open",0,0,0,0,0,0,0,0,0,[0,0,"0",0],[]]'),
        *(b'[2,"closed",0,0,0,0,0,0,0,0,0,[0,0,0,0],[[1,2]]]', b'[2,"closed",0,0,0,0,0,0,0,0,0,[0,0,0,0],[["1",2,3,4]]]'),
    ],
)
def test_other_bytes_are_no_state(data: bytes) -> None:
    with pytest.raises(ValueError, match="breaker"):
        breaker.unpack(data)


def test_the_bytes_of_a_state_are_known() -> None:
    written = b'[2,"closed",0,0,0,0,0,0,0,0,0,[0,1,1,0],[[5,2,1,0]]]'
    assert breaker.pack(breaker.unpack(written)) == written


def test_a_clock_set_back_makes_no_probe_wait_longer() -> None:
    target = Target()
    target.open()
    target.clock.advance(POLICY.open_ms)
    target.permits()
    target.clock.jump(-HOUR_MS)
    target.ask()
    target.clock.advance(POLICY.patience_ms)
    assert target.ask() == Parked(target.state.until_ms)
    assert target.phase() == "open"


def test_a_probe_that_was_given_up_is_not_counted_twice() -> None:
    target = Target(Policy(ramp=(8,)))
    target.open()
    target.clock.advance(2 * POLICY.open_ms)
    probe = target.ask()
    assert isinstance(probe, Permit)
    target.clock.advance(POLICY.patience_ms)
    target.ask()
    assert breaker.view(target.state, target.policy, target.clock.now_ms()).error_ratio == 1.0
    target.answer(probe)
    target.answer(probe)
    assert breaker.view(target.state, target.policy, target.clock.now_ms()).calls == 2


def test_what_was_told_of_an_opening_reads_later_as_the_machine_would_show_it() -> None:
    target = Target()
    left_ms = target.open()
    content = breaker.view(target.state, target.policy, target.clock.now_ms())._asdict()
    for step_ms in (0, left_ms - 1, 1, HOUR_MS):
        target.clock.advance(step_ms)
        seen = breaker.view(target.state, target.policy, target.clock.now_ms())
        assert told.read(content, target.clock.now_ms()) == (seen.state, seen.since_ms, seen.until_ms)
    assert told.read({"off": None}, 0) is None


@pytest.mark.parametrize(
    ("phase", "waiting", "trouble"),
    [("open", 0, True), ("open", 1, True), ("half_open", 0, False), ("half_open", 1, True), ("closed", 0, False), ("closed", 1, False)],
)
def test_a_target_for_which_nothing_waits_is_in_no_trouble_once_it_may_be_tried(phase: Phase, waiting: int, trouble: bool) -> None:
    assert told.in_trouble(phase, waiting) is trouble
