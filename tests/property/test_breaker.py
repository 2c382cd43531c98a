"""The breaker against a naive one that keeps every call and lives on a clock that never goes back; and what must hold whatever happens."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.core.outbound import breaker
from flows.core.outbound.breaker import Answer, Parked, Permit, Phase, Policy, State

PERCENTS = st.sampled_from([1, 30, 50, 67, 100])
POLICIES = st.builds(
    Policy,
    window_ms=st.sampled_from([100, 1_000]),
    buckets=st.integers(1, 4),
    minimum_calls=st.integers(1, 5),
    error_percent=PERCENTS,
    slow_percent=PERCENTS,
    slow_ms=st.just(10),
    open_ms=st.sampled_from([50, 1_500]),
    longest_open_ms=st.sampled_from([1_500, 4_000]),
    jitter_percent=st.just(0),
    ramp=st.sampled_from([(1,), (1, 2, 4), (3, 1), (2, 5)]),
    patience_ms=st.sampled_from([40, 2_000]),
)
ASK = st.tuples(st.just("ask"), st.just(0), st.just(False))
STEPS = st.lists(
    st.one_of(
        ASK,
        ASK,
        st.tuples(st.just("answer"), st.integers(0, 19), st.booleans()),
        st.tuples(st.just("slow answer"), st.integers(0, 19), st.booleans()),
        st.tuples(st.just("no answer"), st.integers(0, 19), st.just(False)),
        st.tuples(st.just("move"), st.sampled_from([1, 7, 25, 40, 50, 100, 1_000, 1_500, 4_000, -1, -60, -5_000]), st.just(False)),
    ),
    min_size=10,
    max_size=120,
)
START_MS = 10_000_000


@dataclass
class Naive:
    """Everything that happened in the phase, judged anew each time; times are those of a clock that stands still while the real one is behind."""

    policy: Policy
    seen_ms: int = START_MS
    time_ms: int = 0
    phase: Phase = "closed"
    since_ms: int = 0
    until_ms: int = 0
    token: object = field(default_factory=object)
    calls: list[tuple[int, bool, bool]] = field(default_factory=list)
    openings: int = 0
    rung: int = 0
    granted: int = 0
    granted_ms: int = 0
    led: list[tuple[int, bool, bool]] = field(default_factory=list)
    """The calls that last moved it."""

    def now(self, now_ms: int) -> int:
        self.time_ms, self.seen_ms = self.time_ms + max(0, now_ms - self.seen_ms), now_ms
        if self.phase == "open" and self.time_ms >= self.until_ms:
            self.enter("half_open", self.until_ms)
            self.rung = 0
        if self.phase == "half_open" and self.granted > len(self.calls) and self.time_ms - self.granted_ms >= self.policy.patience_ms:
            self.calls += [(0, True, False)] * (self.granted - len(self.calls))
            self.judge()
        if self.phase == "closed":
            self.calls = [call for call in self.calls if call[0] > self.time_ms - self.policy.window_ms]
        return self.time_ms

    def enter(self, phase: Phase, since_ms: int) -> None:
        self.led = self.calls or self.led
        self.phase, self.since_ms, self.token, self.calls, self.granted = phase, since_ms, object(), [], 0

    def bad(self, of: int, *, failed: bool = True, slow: bool = True) -> bool:
        """Tell whether too many failed or were slow; of those that the last call is not one of there are not too many now."""
        errors, slows = (Fraction(sum(call[n] for call in self.calls), of) for n in (1, 2))
        return (failed and errors >= Fraction(self.policy.error_percent, 100)) or (slow and slows >= Fraction(self.policy.slow_percent, 100))

    def judge(self) -> None:
        size = self.policy.ramp[self.rung]
        if self.bad(size):
            self.open()
        elif len(self.calls) == size:
            if self.rung + 1 == len(self.policy.ramp):
                self.enter("closed", self.time_ms)
            else:
                self.rung += 1
                self.enter("half_open", self.since_ms)

    def open(self) -> None:
        soon = self.phase == "half_open" or self.time_ms - self.since_ms < self.policy.longest_open_ms
        self.openings = self.openings + 1 if soon else 1
        self.enter("open", self.time_ms)
        self.until_ms = self.time_ms + min(self.policy.open_ms * 2 ** (self.openings - 1), self.policy.longest_open_ms)

    def ask(self, now_ms: int) -> object:
        """Give a token, or how long to wait."""
        if self.phase != "closed":
            self.now(now_ms)
        return self.token if self.phase == "closed" else self.ask_probe()

    def ask_probe(self) -> object:
        if self.phase == "half_open" and self.granted < self.policy.ramp[self.rung]:
            self.granted, self.granted_ms = self.granted + 1, self.time_ms
            return self.token
        return max(self.until_ms - self.time_ms, 1000)

    def unused(self, token: object, now_ms: int) -> None:
        if self.phase == "closed":
            return
        self.now(now_ms)
        if self.phase == "half_open" and token is self.token and len(self.calls) < self.granted:
            self.granted -= 1

    def answer(self, token: object, *, failed: bool, slow: bool, now_ms: int) -> None:
        self.now(now_ms)
        if token is not self.token:
            return
        if self.phase == "half_open":
            if len(self.calls) < self.granted:
                self.calls.append((0, failed, slow))
                self.judge()
            return
        begin = self.calls[-1][0] if self.calls else None
        fresh = begin is None or self.time_ms - begin >= self.policy.window_ms // self.policy.buckets
        self.calls.append((self.time_ms if fresh or begin is None else begin, failed, slow))
        if len(self.calls) >= self.policy.minimum_calls and self.bad(len(self.calls), failed=failed, slow=slow):
            self.open()


def compare(state: State, model: Naive, now_ms: int) -> None:
    seen = breaker.view(state, model.policy, now_ms)
    model = replace(model, calls=[*model.calls])  # looking changes nothing
    time_ms = model.now(now_ms)
    assert seen.state == model.phase
    assert now_ms - seen.since_ms == time_ms - model.since_ms
    judged = model.calls or model.led
    assert seen.calls == len(judged)
    assert seen.error_ratio == sum(call[1] for call in judged) / max(1, len(judged))
    assert seen.slow_ratio == sum(call[2] for call in judged) / max(1, len(judged))
    if model.phase == "open":
        assert seen.until_ms is not None
        assert seen.until_ms - now_ms == model.until_ms - time_ms


@settings(max_examples=300)
@given(POLICIES, STEPS)
def test_it_does_what_the_naive_one_does(policy: Policy, steps: list[tuple[str, int, bool]]) -> None:
    model, state, now_ms = Naive(policy), breaker.new("a", START_MS), START_MS
    out: list[tuple[Permit, object]] = []
    for step, number, failed in steps:
        if step == "move":
            now_ms += number
        elif step == "ask":
            state, given_out = breaker.permit(state, policy, now_ms)
            expected = model.ask(now_ms)
            if isinstance(given_out, Permit):
                assert not isinstance(expected, int)
                out.append((given_out, expected))
            else:
                assert given_out.until_ms - now_ms == expected
        elif out:
            permit, token = out.pop(number % len(out))
            if step == "no answer":
                state = breaker.unused(state, policy, permit.generation, now_ms)
                model.unused(token, now_ms)
                continue
            took_ms = 10 if step == "slow answer" else 9
            state = breaker.answered(state, policy, Answer(permit.generation, failed, took_ms), now_ms)
            model.answer(token, failed=failed, slow=took_ms == 10, now_ms=now_ms)
        if step != "move" and model.phase != "closed":
            compare(state, model, now_ms)
        state = breaker.unpack(breaker.pack(state))
    state, _ = breaker.permit(state, policy, now_ms)
    state = breaker.answered(state, policy, Answer(-1, failed=True, took_ms=0), now_ms)
    model.ask(now_ms)
    model.answer(None, failed=True, slow=False, now_ms=now_ms)
    compare(state, model, now_ms)


def ended(state: State, policy: Policy, permit: Permit, how: tuple[str, bool], probes: dict[int, int], now_ms: int) -> State:
    """End a call; one that was not made is no probe."""
    step, failed = how
    if step != "no answer":
        return breaker.answered(state, policy, Answer(permit.generation, failed, 10 * (step == "slow answer")), now_ms)
    after = breaker.unused(state, policy, permit.generation, now_ms)
    if after.generation == state.generation:
        probes[permit.generation] = probes.get(permit.generation, 0) - (state.granted - after.granted)
    return after


@settings(max_examples=200)
@given(POLICIES, STEPS, st.integers(0, 100))
def test_what_holds_whatever_happens(policy: Policy, steps: list[tuple[str, int, bool]], jitter: int) -> None:
    """No rung has more probes than the ramp says, no opening is longer than its bound, nothing grows, and nobody waits for ever."""
    policy = Policy(**{name: getattr(policy, name) for name in Policy.__slots__} | {"jitter_percent": jitter})
    state, now_ms = breaker.new("a", START_MS), START_MS
    out: list[Permit] = []
    probes: dict[int, int] = {}
    for step, number, failed in steps:
        if step == "move":
            now_ms += number
        elif step == "ask":
            state, found = breaker.permit(state, policy, now_ms)
            if isinstance(found, Parked):
                assert found.until_ms > now_ms
            else:
                out.append(found)
                if state.phase == "half_open":
                    probes[found.generation] = probes.get(found.generation, 0) + 1
                    assert probes[found.generation] <= policy.ramp[state.rung]
        elif out:
            state = ended(state, policy, out.pop(number % len(out)), (step, failed), probes, now_ms)
        assert len(state.window) <= policy.buckets + 1
        if state.phase == "open":
            assert state.until_ms - state.since_ms <= policy.longest_open_ms * (100 + jitter) // 100
    for _ in range(40):  # one piece of work that comes back when it is told to, to a target that is well again
        state, found = breaker.permit(state, policy, now_ms)
        if isinstance(found, Parked):
            now_ms = found.until_ms
        else:
            state = breaker.answered(state, policy, Answer(found.generation, failed=False, took_ms=0), now_ms)
    assert state.phase == "closed"
