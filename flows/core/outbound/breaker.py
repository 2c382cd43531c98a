"""A circuit breaker as a pure machine: whether a target may be called now, and if not, when to come back.

    closed ---- a failed call too many in the window, or a slow one -> open; a probe asked for: closed, the window empty
    open ------ its time is over ------------------------------------> half open
    half open - too many probes of a rung failed or were slow -------> open, for longer
    half open - every rung of the ramp went well --------------------> closed
    open ------ somebody asks for a probe ---------------------------> half open
    any phase - it is another target --------------------------------> closed

Nothing here asks for the time or keeps anything: each function takes the state and the time and gives the state that follows. So it can
live in a flow's state, and a decision made again after a crash is the same. Whoever calls a target asks `permit` first and hands the
answer to `answered`, with the permit's generation: what comes back from an earlier phase counts for nothing.

Who gets no permit asks again when the opening is over, or after a second while probes are under way; that is no attempt. A clock that is set back
counts as one that stood still; one that is set forward only ends an opening early.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import orjson

from flows.core.outbound.backoff import SECOND_MS, spread

Phase = Literal["closed", "open", "half_open"]
LEVELS: Final[Mapping[Phase, int]] = {"closed": 0, "half_open": 1, "open": 2}
"""The phases, as a gauge shows them."""
FORMAT: Final = 2
MOST_DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When a breaker opens, for how long, and how it closes again."""

    window_ms: int = 60_000
    """Calls that ended within it are judged."""
    buckets: int = 10
    """Parts of the window: calls leave it by so many at a time, and this bounds what is kept."""
    minimum_calls: int = 10
    """With fewer of them in the window nothing is judged."""
    error_percent: int = 50
    """It opens when so many of the calls failed."""
    slow_percent: int = 80
    """It opens when so many of the calls were slow."""
    slow_ms: int = 10_000
    """A call is slow that takes so long, whatever came of it; see `for_timeout`."""
    open_ms: int = 5_000
    """The first opening; each one that follows soon is twice as long."""
    longest_open_ms: int = 300_000
    """No opening is longer, but for its jitter. Openings that are further apart than this do not add up."""
    jitter_percent: int = 20
    """How much longer an opening may be, so that breakers that opened together do not probe together."""
    ramp: tuple[int, ...] = (1, 3, 5, 9)
    """Probes of each rung; all of a rung must be back, and be judged good by the same percentages, before the next begins.
    Odd, so that half of them is more than half."""
    patience_ms: int = 120_000
    """Probes that are not back so long after the last was permitted count as failed; longer than a call can take."""


class Tally(NamedTuple):
    """Calls that ended from `start_ms` on."""

    start_ms: int
    calls: int = 0
    failed: int = 0
    slow: int = 0


NOTHING: Final = Tally(0)


class State(NamedTuple):
    """All there is to know of one breaker; its size is bounded by the policy's buckets."""

    phase: Phase
    salt: int
    """What makes its jitter differ from that of other breakers."""
    since_ms: int
    """When the phase began."""
    seen_ms: int
    """The time of the last change."""
    until_ms: int = 0
    """When the last opening is over, or was."""
    generation: int = 0
    """Grows with every phase and every rung."""
    openings: int = 0
    """How many there were in a row."""
    rung: int = 0
    granted: int = 0
    """Probes permitted on this rung."""
    granted_ms: int = 0
    """When the last of them was."""
    judged: Tally = NOTHING
    """The calls that last moved it: those that opened it, or those of the last rung that went well."""
    window: tuple[Tally, ...] = ()
    """Closed: the parts of the window, the oldest first. Half open: the calls of this rung."""


class Permit(NamedTuple):
    """Go on; hand `generation` back with the answer."""

    generation: int


class Parked(NamedTuple):
    """Ask again then; this is no attempt."""

    until_ms: int


class Answer(NamedTuple):
    """How a permitted call ended."""

    generation: int
    failed: bool
    """Whether it counts against the target, as `Outcome.failing` says."""
    took_ms: int


class View(NamedTuple):
    """A breaker as metrics, health and status show it."""

    state: Phase
    since_ms: int
    until_ms: int | None
    """Open: when probing begins."""
    calls: int
    """Calls that are judged: those of the window, or of the rung; before the first of them, those that last moved it."""
    error_ratio: float
    slow_ratio: float


def for_timeout(timeout_s: float) -> Policy:
    """Return the policy for calls that may take so long: one is slow that takes two thirds of it."""
    return Policy(slow_ms=round(timeout_s * SECOND_MS * 2 / 3))


def new(name: str, now_ms: int) -> State:
    """Return a closed breaker that has seen nothing; `name` makes its jitter its own."""
    return State("closed", spread(name, (1 << 32) - 1), now_ms, now_ms)


def permit(state: State, policy: Policy, now_ms: int) -> tuple[State, Permit | Parked]:
    """Ask for leave to call; a closed breaker gives it and is returned as it was, the same object."""
    if state.phase == "closed":
        return state, Permit(state.generation)
    state = _at(state, policy, now_ms)
    if state.phase == "closed":
        return state, Permit(state.generation)
    if state.phase == "half_open" and state.granted < _probes(state, policy):
        return state._replace(granted=state.granted + 1, granted_ms=now_ms), Permit(state.generation)
    return state, Parked(max(state.until_ms, now_ms + SECOND_MS))


def answered(state: State, policy: Policy, answer: Answer, now_ms: int) -> State:
    """Take how a permitted call ended; one permitted in an earlier phase counts for nothing."""
    state = _at(state, policy, now_ms)
    if answer.generation != state.generation or state.phase == "open":
        return state
    slow = answer.took_ms >= policy.slow_ms
    if state.phase == "half_open":
        if state.window[0].calls >= state.granted:  # of a probe that was given up
            return state
        return _judged(state._replace(window=(_with(state.window[0], answer.failed, slow),)), policy, now_ms)
    return _counted(state, policy, answer.failed, slow, now_ms)


def unused(state: State, policy: Policy, generation: int, now_ms: int) -> State:
    """Take back a permit with which nothing was called: it says nothing of the target, and where it was for a probe, another may be one."""
    if state.phase == "closed":
        return state
    state = _at(state, policy, now_ms)
    if state.phase != "half_open" or generation != state.generation or state.window[0].calls >= state.granted:
        return state
    return state._replace(granted=state.granted - 1)


def probed(state: State, now_ms: int) -> State:
    """End an opening, since somebody wants the target to be tried now, or forget what failed before; a rung goes on as it is."""
    if state.phase == "closed":
        return state._replace(seen_ms=now_ms, generation=state.generation + 1, judged=NOTHING, window=())
    opening = state.phase == "open"
    return _on_rung(state._replace(phase="half_open", since_ms=now_ms, seen_ms=now_ms, until_ms=now_ms), 0, now_ms) if opening else state


def anew(state: State, now_ms: int) -> State:
    """Begin anew, as for another target: a call of the one before counts for nothing."""
    return State("closed", state.salt, now_ms, now_ms, generation=state.generation + 1)


def view(state: State, policy: Policy, now_ms: int) -> View:
    """Return what is shown of a breaker; changes nothing."""
    state = _at(state, policy, now_ms)
    total = counted if (counted := _total(state.window)).calls else state.judged
    calls = max(total.calls, 1)
    until_ms = state.until_ms if state.phase == "open" else None
    return View(state.phase, state.since_ms, until_ms, total.calls, total.failed / calls, total.slow / calls)


def over(until_ms: int, now_ms: int) -> bool:
    """Tell whether an opening is over: the next call is a probe then."""
    return now_ms >= until_ms


def pack(state: State) -> bytes:
    """Encode a state."""
    return orjson.dumps([FORMAT, *state[:-2], list(state.judged), [list(tally) for tally in state.window]])


def unpack(data: bytes) -> State:
    """Decode what `pack` made; raises ValueError for anything else, such as what a newer version wrote."""
    try:
        version, phase, *numbers, judged, window = orjson.loads(data)
        state = State._make((phase, *numbers, Tally._make(judged), tuple(map(Tally._make, window))))
    except (TypeError, ValueError) as error:
        raise ValueError("these bytes are no breaker's state") from error
    if version != FORMAT or phase not in LEVELS or not all(type(number) is int for number in (*numbers, *state.judged, *sum(state.window, ()))):
        raise ValueError(f"a breaker's state of format {version!r}, and this version reads {FORMAT}")
    return state


def _at(state: State, policy: Policy, now_ms: int) -> State:
    """Bring a state to the present: what time alone changes."""
    if now_ms < state.seen_ms:
        state = _set_back(state, state.seen_ms - now_ms)
    state = state._replace(seen_ms=now_ms)
    if state.phase == "open" and over(state.until_ms, now_ms):
        return _on_rung(state._replace(phase="half_open", since_ms=state.until_ms), 0, state.until_ms)
    if state.phase == "half_open":
        missing = state.granted - state.window[0].calls
        if missing and now_ms - state.granted_ms >= policy.patience_ms:
            tally = state.window[0]
            lost = tally._replace(calls=tally.calls + missing, failed=tally.failed + missing)
            return _judged(state._replace(window=(lost,)), policy, now_ms)
    if state.phase == "closed" and state.window and state.window[0].start_ms <= now_ms - policy.window_ms:
        return state._replace(window=tuple(tally for tally in state.window if tally.start_ms > now_ms - policy.window_ms))
    return state


def _set_back(state: State, by_ms: int) -> State:
    """Move every time of a state back by as much as the clock was."""
    window = tuple(tally._replace(start_ms=tally.start_ms - by_ms) for tally in state.window)
    return state._replace(since_ms=state.since_ms - by_ms, until_ms=state.until_ms - by_ms, granted_ms=state.granted_ms - by_ms, window=window)


def _counted(state: State, policy: Policy, failed: bool, slow: bool, now_ms: int) -> State:  # noqa: FBT001  two of a call's facts
    """Count a call of a closed breaker, and open it where that was one failed or slow call too many: one that went well never opens it."""
    window = state.window
    if not window or now_ms - window[-1].start_ms >= policy.window_ms // policy.buckets:
        window = (*window, Tally(now_ms))
    window = (*window[:-1], _with(window[-1], failed, slow))
    total = _total(window)
    if total.calls >= policy.minimum_calls and _too_many(total._replace(failed=total.failed * failed, slow=total.slow * slow), total.calls, policy):
        return _opened(state, policy, total, now_ms)
    return state._replace(window=window)


def _judged(state: State, policy: Policy, now_ms: int) -> State:
    """Judge a rung: open again, go on to the next, close, or wait for the probes that are missing."""
    size, tally = _probes(state, policy), state.window[0]
    if _too_many(tally, size, policy):
        return _opened(state, policy, _total(state.window), now_ms)
    if tally.calls < size:
        return state
    state = state._replace(judged=_total(state.window))
    if state.rung + 1 < len(policy.ramp):
        return _on_rung(state, state.rung + 1, now_ms)
    return state._replace(phase="closed", since_ms=now_ms, generation=state.generation + 1, window=())


def _opened(state: State, policy: Policy, by: Tally, now_ms: int) -> State:
    """Open a breaker because of these calls, for longer where the last opening is not long ago."""
    again = state.phase == "half_open" or now_ms - state.since_ms < policy.longest_open_ms
    openings = min(state.openings + 1 if again else 1, MOST_DOUBLINGS)
    length_ms = min(policy.open_ms << (openings - 1), policy.longest_open_ms)
    length_ms += spread(f"{state.salt}/{state.generation}", length_ms * policy.jitter_percent // 100)
    return state._replace(phase="open", since_ms=now_ms, until_ms=now_ms + length_ms, generation=state.generation + 1, openings=openings, judged=by, window=())


def _on_rung(state: State, rung: int, now_ms: int) -> State:
    return state._replace(generation=state.generation + 1, rung=rung, granted=0, window=(Tally(now_ms),))


def _probes(state: State, policy: Policy) -> int:
    return policy.ramp[min(state.rung, len(policy.ramp) - 1)]  # the policy may have changed since


def _with(tally: Tally, failed: bool, slow: bool) -> Tally:  # noqa: FBT001  two of a call's facts
    return Tally(tally.start_ms, tally.calls + 1, tally.failed + failed, tally.slow + slow)


def _total(window: tuple[Tally, ...]) -> Tally:
    return Tally(0, sum(tally.calls for tally in window), sum(tally.failed for tally in window), sum(tally.slow for tally in window))


def _too_many(tally: Tally, calls: int, policy: Policy) -> bool:
    return tally.failed * 100 >= calls * policy.error_percent or tally.slow * 100 >= calls * policy.slow_percent
