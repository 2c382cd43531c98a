"""Reruns: a window of the log judged anew by the present definitions; the order as it stands on `xyra.config`, and what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import orjson
from pydantic import Field

from flows.core.fields import Identifier, Model

RERUN: Final = "rerun"
"""Kind of the order on `xyra.config`, and first part of the key on `xyra.status`."""
SHADOW: Final = "xyra.shadow."
"""What the topic of a rerun that names none begins with; its id follows."""
MOST_RATE: Final = 10_000
MOST_SAMPLES: Final = 50
MOST_CHANGES: Final = 400
"""Kinds of change: reasons are few, so that there are no more."""
MOST_TEXT: Final = 300

State = Literal["running", "done", "cancelled", "failed"]
Then = Literal["kept", "dropped", "buried", "unknown"]


class StoredRerun(Model):
    """What stands on `xyra.config` under `rerun/<replay_id>`."""

    replay_id: Identifier
    from_ms: int
    until_ms: int
    """Records received from the one time on, and before the other."""
    endpoint_id: str | None = None
    filter: str | None = None
    """CEL: only records for which it is true."""
    target_topic: str | None = None
    """None: nothing is written."""
    shadow: bool = False
    """Whether that topic was made for this."""
    dedupe: bool = False
    rate_per_second: int = Field(ge=1, le=MOST_RATE)
    created_at_ms: int
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """What became of a record, then or now."""

    outcome: Then
    reason: str = ""
    value: str = ""
    """Hash of the event's value, where it was kept."""


@dataclass(slots=True)
class Change:
    """How often one outcome has become another."""

    then: str
    then_reason: str
    now: str
    now_reason: str
    count: int = 0


@dataclass(slots=True)
class Report:
    """What has come of a rerun so far. read = skipped + kept + dropped + buried."""

    updated_at_ms: int
    state: State = "running"
    total: int = 0
    """Records of the window: those that were read, and as many as there are offsets left, which may be a few too many. At the end it is `read`."""
    read: int = 0
    skipped: int = 0
    """Records of other endpoints, and those the filter did not choose."""
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    buried: dict[str, int] = field(default_factory=dict)
    same: int = 0
    """Outcome, reason and value as they were."""
    unknown: int = 0
    """Records of which no topic tells any more what became of them then."""
    changes: list[Change] = field(default_factory=list)
    samples: list[dict[str, str]] = field(default_factory=list)
    """The first of the records that came out otherwise."""
    trouble: str = ""
    """Why it does not get on, or has failed."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state != "running"

    def count(self, event_id: str, origin: str, then: Side, now: Side) -> None:
        """Count what became of one record."""
        if now.outcome == "kept":
            self.kept += 1
        else:
            counts = self.dropped if now.outcome == "dropped" else self.buried
            counts[now.reason] = counts.get(now.reason, 0) + 1
        if then.outcome == "unknown":
            self.unknown += 1
        elif then == now:
            self.same += 1
        else:
            self._changed(event_id, origin, then, now)

    def _changed(self, event_id: str, origin: str, then: Side, now: Side) -> None:
        kind = (then.outcome, then.reason, now.outcome, now.reason)
        found = next((one for one in self.changes if (one.then, one.then_reason, one.now, one.now_reason) == kind), None)
        if found is None and len(self.changes) < MOST_CHANGES:
            found = Change(*kind)
            self.changes.append(found)
        if found is not None:
            found.count += 1
        if len(self.samples) < MOST_SAMPLES:
            names = ("then", "then_reason", "now", "now_reason")
            told = {name: text[:MOST_TEXT] for name, text in zip(names, kind, strict=True)}
            self.samples.append({"event_id": event_id[:MOST_TEXT], "origin": origin} | told)

    def text(self) -> bytes:
        """Write it as it stands in state and on `xyra.status`."""
        return orjson.dumps(asdict(self))

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "Report":
        """Make one of the JSON that `text` wrote; raises TypeError or AttributeError when it is none."""
        return cls(**{**found, "changes": [Change(**change) for change in found.get("changes", ())]})
