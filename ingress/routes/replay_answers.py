"""What is answered about replays of the log."""

from typing import Any, Literal

from pydantic import Field

from flows.core.clock import rfc3339
from flows.core.reruns import Report, StoredRerun
from ingress.door import Door
from ingress.routes.delivery_answers import Answer


class Changed(Answer):
    """Records that came out otherwise; kept both then and now means that the event's value differs."""

    then: Literal["kept", "dropped", "buried"]
    then_reason: str | None
    now: Literal["kept", "dropped", "buried"]
    now_reason: str | None
    count: int


class Sample(Answer):
    """One of them."""

    event_id: str
    origin: str
    """Where it was received: topic/partition/offset."""
    then: str
    then_reason: str | None
    now: str
    now_reason: str | None


class Counts(Answer):
    """What became of the records now. read = skipped + kept + dropped + buried."""

    total: int
    """Records of the window: `read`, and the offsets still to be read, of which a few may be no records; so it may fall a little, to `read` when it is done."""
    read: int
    skipped: int
    """Of other endpoints or another time, or not chosen by the filter."""
    kept: int
    dropped: dict[str, int]
    """By reason."""
    buried: dict[str, int]
    """By code. A replay writes no dead letters: it counts them."""


class Difference(Answer):
    """What became of the records now, beside what became of them then."""

    same: int
    unknown: int
    """No topic tells any more what became of them then."""
    changed: tuple[Changed, ...]
    samples: tuple[Sample, ...]
    """The first few that changed."""


class ReplayAnswer(Answer):
    """A replay, and how far it has come."""

    replay_id: str
    status: Literal["accepted", "running", "done", "cancelling", "cancelled", "failed"]
    from_time: str = Field(serialization_alias="from")
    to_time: str = Field(serialization_alias="to")
    endpoint_id: str | None
    filter: str | None
    target_topic: str | None
    """Null: nothing is written."""
    shadow: bool
    dedupe: bool
    rate_per_second: int
    created_at: str
    updated_at: str | None
    counts: Counts | None
    """Null: no worker has begun."""
    diff: Difference | None
    trouble: str | None
    """Why it does not get on, or has failed."""
    note: str | None = None
    """What stays behind where a replay is cancelled or forgotten: the topic that was made for it."""

    def left(self) -> "ReplayAnswer":
        """Return it with the note of what stays behind."""
        note = f"The topic {self.target_topic} stays, with what was written to it; delete it in Kafka when nobody needs it any more."
        return self.model_copy(update={"note": note}) if self.shadow else self

    @classmethod
    def of(cls, door: Door, order: StoredRerun) -> "ReplayAnswer":
        """Show an order and what has come of it."""
        report = door.status.reruns.get(order.replay_id)
        return cls(
            replay_id=order.replay_id,
            status=_status(order, report),
            from_time=rfc3339(order.from_ms),
            to_time=rfc3339(order.until_ms),
            endpoint_id=order.endpoint_id,
            filter=order.filter,
            target_topic=order.target_topic,
            shadow=order.shadow,
            dedupe=order.dedupe,
            rate_per_second=order.rate_per_second,
            created_at=rfc3339(order.created_at_ms),
            updated_at=rfc3339(report.updated_at_ms) if report is not None else None,
            counts=_counts(report) if report is not None else None,
            diff=_diff(report) if report is not None else None,
            trouble=(report.trouble or None) if report is not None else None,
        )


class Replays(Answer):
    """A page of replays, the newest first."""

    items: tuple[ReplayAnswer, ...]
    next_cursor: str | None
    """Give it as `cursor` to get the next page; null: there is none."""


def is_over(door: Door, replay_id: str) -> bool:
    """Tell whether nothing more comes of a replay."""
    report = door.status.reruns.get(replay_id)
    return report is not None and report.over


def _status(order: StoredRerun, report: Report | None) -> Any:
    if report is not None and report.over:
        return report.state
    if order.cancelled:
        return "cancelling"
    return "accepted" if report is None else "running"


def _counts(report: Report) -> Counts:
    return Counts(total=report.total, read=report.read, skipped=report.skipped, kept=report.kept, dropped=dict(report.dropped), buried=dict(report.buried))


def _diff(report: Report) -> Difference:
    changed = (
        Changed.model_validate(
            {"then": one.then, "then_reason": one.then_reason or None, "now": one.now, "now_reason": one.now_reason or None, "count": one.count}
        )
        for one in report.changes
    )
    samples = (Sample(**{name: text or None if name.endswith("reason") else text for name, text in sample.items()}) for sample in report.samples)  # type: ignore[arg-type]  # only reasons may be None
    return Difference(same=report.same, unknown=report.unknown, changed=tuple(changed), samples=tuple(samples))
