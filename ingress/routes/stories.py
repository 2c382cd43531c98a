"""Puts an event's life into the words it is answered in."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from flows.core import verification
from flows.core.clock import rfc3339
from flows.core.deadletters.summaries import reasons_in
from flows.core.history import WEBHOOK_STEPS, Fate
from flows.core.imports.jobs import row_source
from flows.core.record import CE_SOURCE, CE_TIME, CE_TYPE, CONTENT_TYPE, HTTP, KEY_ID, SENDER_ID, TEST, Record
from flows.core.reruns import StoredRerun
from ingress import masks
from ingress.life import FLOW, SOURCE, Entry, Life, Return
from ingress.routes.answers import Spot
from ingress.routes.story_answers import (
    Attempt,
    Burial,
    Delivery,
    HttpRequest,
    Imported,
    Received,
    Rejudged,
    Returned,
    Signature,
    StepVerdict,
    Story,
    Unseen,
    Written,
)

LINE: Final = "Its delivery stands in its target's line."


class Sight(NamedTuple):
    """What may be seen of the request."""

    proof: verification.Signature | None = None
    """Where its sender proves itself."""
    body: bytes | None = None
    """Its body with credentials masked, where it was asked for."""


class Waits(NamedTuple):
    """What an event may be waiting for, as it stands now."""

    now_ms: int
    flow: str | None = None
    """Why the flow that decides on it stands."""
    target: str | None = None
    """Why nothing is sent to its target."""


def story(life: Life, orders: Iterable[StoredRerun], waits: Waits, sight: Sight) -> Story:
    """Show what was found, which of the orders to judge the log anew concern it, and what it may wait for."""
    fate, delivery = life.fate, _delivery(life, waits) if life.handed_on else None
    return Story(
        event_id=life.event_id,
        outcome="waiting" if life.waits else fate.outcome if fate is not None else "kept" if life.row is not None else "unknown",
        waits_for=waits.flow if life.waits else _waits_for(delivery) if delivery is not None else None,
        received=_received(life.received, sight) if life.received is not None else None,
        imported=_imported(life.row, sight) if life.row is not None else None,
        steps=tuple(step for one in life.fates for step in _steps(one)),
        outputs=tuple(Written(at=rfc3339(record.timestamp_ms), record=_spot(record)) for record in life.outputs),
        delivery=delivery,
        attempts=tuple(map(_attempt, life.entries)),
        burials=tuple(map(_burial, life.letters)),
        returns=tuple(map(_returned, life.returns)),
        replays=_replays(life.received, orders) if life.received is not None else (),
        incomplete=tuple(Unseen(topic=one.topic, partition=one.partition, offset=one.offset, why=one.why) for one in life.left),
    )


def _imported(record: Record, sight: Sight) -> Imported:
    source = record.text(CE_SOURCE) or ""
    text, encoding = _text(sight.body) if sight.body is not None else (None, None)
    return Imported(
        job_id=source.removeprefix(row_source()),
        source=source,
        type=record.text(CE_TYPE),
        key=_key(record),
        content_type=record.text(CONTENT_TYPE),
        size=len(record.value or b""),
        body=text,
        body_encoding=encoding,
    )


def _received(record: Record, sight: Sight) -> Received:
    value = record.value or b""
    key_id = record.text(KEY_ID)
    source = record.text(CE_SOURCE) or ""
    text, encoding = _text(sight.body) if sight.body is not None else (None, None)
    return Received(
        at=record.text(CE_TIME) or rfc3339(record.timestamp_ms),
        endpoint_id=source.removeprefix(SOURCE) if source.startswith(SOURCE) else None,
        type=record.text(CE_TYPE),
        sender_id=record.text(SENDER_ID),
        test=record.header(TEST) is not None,
        record=_spot(record),
        key=_key(record),
        http=_http(record.header(HTTP), sight.proof),
        signature=Signature(verdict="valid" if key_id else "not_checked", key_id=key_id or None),
        content_type=record.text(CONTENT_TYPE),
        size=len(value),
        sha256=hashlib.sha256(value).hexdigest(),
        body=text,
        body_encoding=encoding,
    )


def _http(raw: bytes | None, proof: verification.Signature | None) -> HttpRequest | None:
    found = masks.request(raw, proof)
    return HttpRequest(**found._asdict()) if found is not None else None


def _key(record: Record) -> str | None:
    return record.key.decode("utf-8", "replace") if record.key is not None else None


def _text(value: bytes) -> tuple[str, Literal["text", "base64"]]:
    try:
        return value.decode(), "text"
    except UnicodeDecodeError:
        return base64.b64encode(value).decode(), "base64"


def _steps(fate: Fate) -> tuple[StepVerdict, ...]:
    """Give each step up to the one that decided; all of them where it was kept."""
    if fate.outcome == "kept":
        return tuple(StepVerdict(flow=FLOW, step=step, verdict="kept") for step in WEBHOOK_STEPS)
    before = WEBHOOK_STEPS[: WEBHOOK_STEPS.index(fate.step)] if fate.step in WEBHOOK_STEPS else ()
    last = StepVerdict(flow=FLOW, step=fate.step, verdict=fate.outcome, reason=fate.reason or None, detail=fate.detail or None)
    return (*(StepVerdict(flow=FLOW, step=step, verdict="kept") for step in before), last)


def _waits_for(delivery: Delivery) -> str | None:
    """Say what a delivery waits for; None: it waits no more, or nobody knows."""
    if delivery.why is not None or delivery.state == "unknown":
        return delivery.why
    return {"waiting": LINE, "retry_due": f"Its next attempt to be delivered is due at {delivery.retry_due_at}."}.get(delivery.state)


def _delivery(life: Life, waits: Waits) -> Delivery:
    state: Any = life.ended
    if state is None:
        to_come = life.due_ms is not None and life.due_ms > waits.now_ms
        state = "retry_due" if to_come else "waiting" if life.complete else "unknown"
    due = rfc3339(life.due_ms) if life.due_ms is not None else None
    return Delivery(endpoint_id=life.endpoint_id, state=state, retry_due_at=due, why=waits.target if state in {"retry_due", "waiting"} else None)


def _attempt(entry: Entry) -> Attempt:
    record, said = entry
    due = said.get("next_due_ms")
    return Attempt(
        at=rfc3339(_whole(said.get("at_ms")) or record.timestamp_ms),
        flow=str(said.get("flow") or ""),
        resource=_texts(said, "resource"),
        attempt=_whole(said.get("attempt")),
        status=_whole(said.get("status")),
        latency_ms=said["latency_ms"] if isinstance(said.get("latency_ms"), int | float) else None,
        outcome=_texts(said, "outcome"),
        error_code=_texts(said, "error_code"),
        answer=_texts(said, "answer"),
        answer_base64=_texts(said, "answer_base64"),
        next_due_at=rfc3339(due) if isinstance(due, int) else None,
    )


def _burial(fate: Fate) -> Burial:
    letter = fate.told
    return Burial(
        letter_id=fate.letter_id,
        at=rfc3339(_whole(letter.text("x-dlq-time")) or letter.timestamp_ms),
        flow=fate.flow,
        step=fate.step,
        code=fate.reason,
        letter_class=letter.text("x-dlq-class"),
        reasons=tuple({"code": one.code, "detail": one.detail, "pointer": one.pointer} for one in reasons_in(letter)),
        record=_spot(letter),
    )


def _returned(one: Return) -> Returned:
    spot = _spot(one.record) if one.record is not None else None
    return Returned(letter_id=one.letter_id, replay_id=one.replayed.replay_id, at=rfc3339(one.replayed.at_ms), record=spot)


def _replays(record: Record, orders: Iterable[StoredRerun]) -> tuple[Rejudged, ...]:
    """Give the orders whose window a record lies in."""
    source = record.text(CE_SOURCE) or ""
    mine = [
        order
        for order in orders
        if order.from_ms <= record.timestamp_ms < order.until_ms and (order.endpoint_id is None or source == SOURCE + order.endpoint_id)
    ]
    return tuple(
        Rejudged(replay_id=order.replay_id, at=rfc3339(order.created_at_ms), target_topic=order.target_topic, cancelled=order.cancelled) for order in mine
    )


def _spot(record: Record) -> Spot:
    return Spot(topic=record.topic, partition=record.partition, offset=record.offset)


def _texts(said: Mapping[str, Any], name: str) -> str | None:
    return str(said[name]) if said.get(name) is not None else None


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:18])
    return value if type(value) is int else None
