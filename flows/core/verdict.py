"""What a flow decides about a record: keep it, drop it with a reason, try it again later, or bury it with every reason."""

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


@dataclass(frozen=True, slots=True)
class Bury:
    """It will never pass: it goes to `xyra.dlq` with its original bytes and every reason at once."""

    reasons: tuple[Reason, ...]


Verdict = Drop | Retry | Bury
"""None of these means the record is kept."""
