"""What is known of a target between calls: whether one may be made now, and if not, when to ask again. Pure; it lives in a flow's state.

A target has a line of records that wait for their turn, calls under way, a pace, a breaker, and it may be switched off. What waits in the line
costs no attempt.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import orjson

from flows.core.outbound import breaker
from flows.core.outbound.backoff import SECOND_MS

FORMAT: Final = 3
WITHOUT_ASKED: Final = 2
"""The format before it: nobody could ask for a probe."""
LOOK_MS: Final = SECOND_MS
"""How soon a target is looked at again whose definition has it stand still."""
BURST_MS: Final = 100
"""How far calls may be ahead of their pace: a batch makes several at once."""
DAY_MS: Final = 86_400_000
SILENCE_MS: Final = 2 * DAY_MS
"""Failures that are further apart are no row: the longest `Retry-After` that is obeyed, and as much again for what else may delay an attempt."""


class Limits(NamedTuple):
    """What a definition allows."""

    concurrency: int
    rate_per_second: int | None
    paused: bool
    disable_after_days: int | None


class Failing(NamedTuple):
    """Failures in a row, with nothing delivered between."""

    since_ms: int
    last_ms: int

    def again(self, days: int, now_ms: int) -> "Failing":
        """Add one to a row that may last so many days.

        After a silence of more than half of them, or of two days, nobody knows how the target was meanwhile: it is the first of a new row.
        So a row that lasts has a failure at its beginning, at its end, and between.
        """
        if now_ms - self.last_ms > min(days * DAY_MS // 2, SILENCE_MS):
            return Failing(now_ms, now_ms)
        return Failing(min(self.since_ms, now_ms), now_ms)

    def lasts(self, days: int) -> bool:
        """Tell whether so many days have seen nothing but failures."""
        return self.last_ms - self.since_ms >= days * DAY_MS


class Off(NamedTuple):
    """Why a target is called no more, until its definition says otherwise."""

    epoch: int
    """The definition's, under which it was switched off."""
    since_ms: int
    why: str


class Asked(NamedTuple):
    """What a definition asks of its target, whatever is known of it."""

    probes: int
    """How often somebody has asked to be delivered to at once (`probe_epoch`): each time counts once."""
    address: str
    """Tells one address from another; empty where there is none."""


NOTHING_ASKED: Final = Asked(0, "")


class Go(NamedTuple):
    """Call now; `generation` goes back with the answer."""

    generation: int


class Stay(NamedTuple):
    """Call later: at a time, or when a call under way is back."""

    until_ms: int | None


@dataclass(frozen=True, slots=True)
class State:
    """One target's."""

    breaker: breaker.State
    running: int = 0
    """Calls under way."""
    head: int = 0
    """The number of the first in line, and that of the next to join."""
    tail: int = 0
    paced_ms: float = 0.0
    """When the next call is due by the rate."""
    failing: Failing | None = None
    """None: the last call went well, or nobody asks."""
    off: Off | None = None
    asked: Asked = NOTHING_ASKED
    """What its definition asked for when it was last heeded."""

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return self.tail - self.head

    def with_line(self, head: int, tail: int) -> "State":
        """Return it with another line."""
        return replace(self, head=head, tail=tail)

    def is_off(self, epoch: int) -> bool:
        """Tell whether it was switched off, and not on again since."""
        return self.off is not None and self.off.epoch >= epoch


def new(name: str, now_ms: int) -> State:
    """Return what is known of a target that was never called."""
    return State(breaker.new(name, now_ms))


def heeded(state: State, asked: Asked, now_ms: int) -> State:
    """Do what a definition asks for, unless that was done: under another address it is another target, else it is tried now (`breaker.probed`).

    A definition that is older than one that was heeded, as a worker may see it that has not read on, asks for nothing.
    """
    if asked.probes <= state.asked.probes:
        return state
    known = state.asked.address
    state = replace(state, asked=asked._replace(address=asked.address or known))
    if known and asked.address not in {"", known}:
        return replace(state, breaker=breaker.anew(state.breaker, now_ms), failing=None)
    return replace(state, breaker=breaker.probed(state.breaker, now_ms))


def ask(state: State, limits: Limits, policy: breaker.Policy, now_ms: int) -> tuple[State, Go | Stay]:
    """Ask for leave to call; with it the call counts as under way."""
    if limits.paused:
        return state, Stay(now_ms + LOOK_MS)
    if state.running >= limits.concurrency:
        return state, Stay(None)
    paced_ms, step_ms = float(now_ms), 0.0
    if limits.rate_per_second is not None:
        step_ms = SECOND_MS / limits.rate_per_second
        ahead_ms = BURST_MS if step_ms < BURST_MS else 0
        if now_ms < state.paced_ms <= now_ms + ahead_ms + step_ms:  # later than that only where the clock was set back
            paced_ms = state.paced_ms
        if paced_ms > now_ms + ahead_ms:
            return state, Stay(now_ms + max(1, round(paced_ms - now_ms - ahead_ms / 2)))
    after, given = breaker.permit(state.breaker, policy, now_ms)
    if isinstance(given, breaker.Parked):
        return replace(state, breaker=after), Stay(given.until_ms)
    return replace(state, breaker=after, running=state.running + 1, paced_ms=paced_ms + step_ms), Go(given.generation)


class Back(NamedTuple):
    """How a call ended."""

    generation: int
    delivered: bool
    failing: bool
    """Whether it counts against the target."""
    took_ms: int
    gone: bool
    """Whether the target wants nothing any more."""


def answered(state: State, limits: Limits, policy: breaker.Policy, back: Back, epoch: int, now_ms: int) -> State:
    """Take the end of a call; days of nothing but failures (`Failing`) switch the target off, as does one that says it is gone."""
    after = breaker.answered(state.breaker, policy, breaker.Answer(back.generation, back.failing, back.took_ms), now_ms)
    days = limits.disable_after_days
    failing = None if back.delivered or days is None else (state.failing or Failing(now_ms, now_ms)).again(days, now_ms)
    state = replace(state, breaker=after, running=max(0, state.running - 1), failing=failing)
    if back.gone:
        return replace(state, off=Off(epoch, now_ms, "the target answered 410 (gone)"), failing=None)
    if failing is not None and days is not None and failing.lasts(days) and not state.is_off(epoch):
        return replace(state, off=Off(epoch, now_ms, f"nothing was delivered for {days} days"), failing=None)
    return state


def unused(state: State, policy: breaker.Policy, generation: int, now_ms: int) -> State:
    """Take back leave to call with which nothing was called: nothing is learnt of the target from it."""
    return replace(state, breaker=breaker.unused(state.breaker, policy, generation, now_ms), running=max(0, state.running - 1))


def pack(state: State) -> bytes:
    """Encode a state."""
    head = [FORMAT, state.running, state.head, state.tail, state.paced_ms, *([*part] if part else None for part in (state.failing, state.off)), *state.asked]
    return orjson.dumps(head) + b"\n" + breaker.pack(state.breaker)


def unpack(data: bytes) -> State:
    """Decode what `pack` made; raises ValueError for anything else."""
    head, _, rest = data.partition(b"\n")
    try:
        version, running, first, tail, paced_ms, failing, off, *asked = orjson.loads(head)
    except (TypeError, ValueError) as error:
        raise ValueError("these bytes are no target's state") from error
    if version not in {WITHOUT_ASKED, FORMAT} or len(asked) != len(Asked._fields) * (version == FORMAT):
        raise ValueError(f"a target's state of format {version!r}, and this version reads {FORMAT}")
    return State(
        breaker.unpack(rest),
        running,
        first,
        tail,
        float(paced_ms),
        Failing(*failing) if failing else None,
        Off(*off) if off else None,
        Asked(*asked) if asked else NOTHING_ASKED,
    )
