"""What a flow decides about a record: keep it, drop it with a reason, let it wait, or bury it with every reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is wrong with a record: a stable code, a sentence, and where in the value it stands."""

    code: str
    detail: str
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is wrong and nothing is to be done: a duplicate, an event nobody asked for. Counted by `reason`."""

    reason: str
    detail: str = ""
    """A sentence for a trace; not counted by."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Something it depends on is away: the record waits in state until `due_ms` and enters the flow again."""

    due_ms: int
    reason: Reason
    counts: bool = True
    """Whether this was an attempt; not where nothing was tried, as with a breaker that is open."""


@dataclass(frozen=True, slots=True)
class Await:
    """It needs slow work: the record waits in state while that is done, and enters the flow again with what came of it; no attempt is counted."""

    kind: str
    """Which of the flow's handlers does it."""
    lane: str
    """What shares its slots, such as all calls to one target."""
    payload: bytes = b""
    """What the handler is given beside the record."""
    slots: int | None = None
    """Work of this lane that runs at once; None: as the flow says."""


@dataclass(frozen=True, slots=True)
class Hold:
    """It has to stand back: the record waits in state until a step recalls it by its place; no attempt is counted."""

    detail: str = ""
    """A sentence for a trace."""


@dataclass(frozen=True, slots=True)
class Bury:
    """It will never pass: it goes to `xyra.dlq` with its original bytes and every reason at once."""

    reasons: tuple[Reason, ...]
    counts: bool = False
    """Whether this was an attempt, one more than `x-attempt` says; not where nothing was tried, as with a record that a schema does not allow."""


Waiting = Retry | Await | Hold
"""The record waits in state: it counts as `waiting`, and its bytes stand there once, however often it waits."""
Verdict = Drop | Waiting | Bury
"""None of these means the record is kept."""
