"""Events are posted to their endpoint's `url`, each until it is delivered or buried.

xyra.deliveries -> answers -> lines -> send -> (the call, beside the flow) -> answers: delivered, to be tried again, or xyra.dlq

A record asks its target for leave to be sent. Without it (no slot free, its pace, a breaker that is open, a pause) it stands in the target's
line, which costs no attempt; whoever comes back makes room for the next. With `order: key` it also stands behind those of its key.
Attempts are told on `xyra.journal`; what moved in a target, on `xyra.status`.
"""

from importlib import metadata
from typing import Any, Final, NamedTuple

import bytewax.operators as op
import orjson
from bytewax.dataflow import Dataflow

from flows.core import backoff, breaker, outcome, signals, topics
from flows.core.egress import Policy
from flows.core.key_order import KeyOrder
from flows.core.outcome import Outcome
from flows.core.record import CE_ID, KEY, Output, Record
from flows.core.resources import WEBHOOK, StoredSecret, StoredWebhook, live
from flows.core.target import Back, Go, Limits
from flows.core.verdict import Await, Bury, Hold, Reason, Retry, Verdict
from flows.engine import UNKNOWN, Batch, Finished, Flow, Runtime, attempt
from flows.steps.post import Post, webhook_id
from flows.steps.targets import MOST_AT_ONCE, Target, Targets
from flows.wire.egress import Egress
from flows.wire.telemetry import Telemetry
from flows.wire.vault import Vault

NAME: Final = "deliveries"
POST: Final = "post"
BREAKER: Final = breaker.Policy()
FACTS: Final = b"facts/"
LARGEST: Final = topics.RECORD_BYTES - topics.MIB
"""Larger ones cannot wait in state, and an event of ours is never larger."""


class Plan(NamedTuple):
    """A definition, as far as it concerns deliveries."""

    name: str
    url: str | None
    active: bool
    timeout_s: float
    by_key: bool
    schedule: backoff.Schedule
    limits: Limits
    epoch: int
    secrets: tuple[StoredSecret, ...]


NOBODY: Final = Plan("", None, active=False, timeout_s=0, by_key=False, schedule=backoff.USUAL, limits=Limits(0, None, False, None), epoch=0, secrets=())
"""Stands for a definition that there is not."""


class Facts(NamedTuple):
    """What is kept of a record between its attempts."""

    first_ms: int = 0
    """When it was first sent; 0: it has not been."""
    ticket: int = -1
    """Its number among those of its key; -1: it has no order to keep."""


def read(stored: bytes) -> Plan:
    """Read a definition; raises ValueError where it is none of a webhook."""
    webhook = StoredWebhook.model_validate_json(stored)
    said = webhook.definition.delivery
    return Plan(
        name=webhook.definition.endpoint_id,
        url=webhook.definition.url,
        active=webhook.status == "active",
        timeout_s=float(said.timeout_seconds),
        by_key=said.order == "key",
        schedule=backoff.schedule(webhook.definition.retry_config),
        limits=Limits(said.concurrency, said.rate_per_second, webhook.deliveries == "paused", said.disable_after_days),
        epoch=webhook.delivery_epoch,
        secrets=webhook.delivery_secrets,
    )


def endpoint_of(record: Record) -> str:
    """Return the endpoint whose target a record is for; `-` when its key is no text."""
    return (record.key or b"").decode("utf-8", "replace") or UNKNOWN


class Deliveries:
    """The steps, and what they share."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Take what counts."""
        self._telemetry = telemetry
        self._targets = Targets(NAME, telemetry, _open)
        self._leave: dict[tuple[int, int], Go] = {}

    def answers(self, batch: Batch) -> None:
        """Decide what follows from each call that has ended."""
        self._leave.clear()
        for record in batch.records:
            result = batch.result(record)
            if result is None:
                continue
            target, plan = self._targets.of(batch, record.partition, endpoint_of(record)), _plan(batch, record)
            facts = _facts(batch, record)
            told, row = _told(result)
            now_ms = batch.now_ms
            first_ms = facts.first_ms or told["at_ms"]
            gone = row.consequence == "deactivated"
            back = Back(orjson.loads(result.payload)["generation"], row is outcome.DELIVERED, row.failing, told["took_ms"], gone)
            target.answered(back)
            verdict = _verdict(plan, record, row, told, first_ms, now_ms)
            self._count(row, told)
            batch.publish(_attempt(record, told, row, verdict, now_ms))
            if isinstance(verdict, Retry):
                _keep(batch, record, facts._replace(first_ms=first_ms))
            else:
                self._done(batch, record, target, facts)
            batch.decide(record, verdict)

    def lines(self, batch: Batch) -> None:
        """Recall from each target's line as many as may go now; those whose target is gone, to be buried."""
        touched = {(record.partition, endpoint_of(record)) for record in batch.records}
        touched |= {(timer.partition, timer.id.decode()) for timer in batch.due}
        for partition, name in touched:
            self._targets.of(batch, partition, name)
        for target in self._targets:
            plan = batch.config.get(WEBHOOK, target.name) or NOBODY
            for _ in range(MOST_AT_ONCE):
                if not target.state.waiting:
                    break
                refused = _refusal(plan, target) is not None
                leave = Go(0) if refused else target.ask()
                record = target.next_in_line() if leave is not None else None
                if record is None and leave is not None and not refused:
                    target.unused()
                if leave is None or record is None:
                    break
                self._leave[record.partition, record.offset] = leave

    def send(self, batch: Batch) -> None:
        """Have each record sent that may be, line up the others, and bury those that have nowhere to go."""
        fresh = {(number, message.offset()) for number, messages in batch.taken.fresh.items() for message in messages}
        for record in batch.records:
            if batch.result(record) is not None:
                continue  # it was delivered
            place = record.partition, record.offset
            target, plan = self._targets.of(batch, record.partition, endpoint_of(record)), _plan(batch, record)
            facts = Facts() if place in fresh else _facts(batch, record)
            refusal = _refusal(plan, target) or _too_large(record)
            if refusal is not None:
                self._done(batch, record, target, facts)
                batch.decide(record, Bury((refusal,)))
            elif place in fresh and plan.by_key and not _first_of_its_key(batch, record):
                batch.decide(record, Hold("it stands behind another of its key"))
            else:
                batch.decide(record, self._sent(record, batch, target, plan))
        self._targets.leave(batch)

    def _sent(self, record: Record, batch: Batch, target: Target, plan: Plan) -> Verdict:
        leave = self._leave.pop((record.partition, record.offset), None)
        if leave is None and not target.state.waiting:
            leave = target.ask()
        if leave is None:
            target.line_up(record.offset)
            return Hold("it waits for its target")
        secrets = [(secret.secret_id, secret.sealed) for secret in reversed(live(plan.secrets, batch.now_ms))]
        order = {"name": plan.name, "url": plan.url, "timeout_s": plan.timeout_s, "generation": leave.generation, "secrets": secrets}
        return Await(POST, f"{record.partition}/{plan.name}", orjson.dumps(order), plan.limits.concurrency)

    def _done(self, batch: Batch, record: Record, target: Target, facts: Facts) -> None:
        """Let go of a record, and let the next of its key step forward."""
        if facts != Facts():
            batch.state(record.partition).delete(_facts_key(record.offset))
        if facts.ticket >= 0:
            turn = KeyOrder(batch.state(record.partition)).leave(_order_key(record), facts.ticket)
            if turn is not None:
                target.line_up(int(turn.item))

    def _count(self, row: Outcome, told: dict[str, Any]) -> None:
        self._telemetry.count(signals.DELIVERIES, outcome=row.code)
        self._telemetry.observe(signals.DELIVERY_SECONDS, told["took_ms"] / 1000)


def _open(batch: Batch, partition: int, name: str) -> Target:
    plan = batch.config.get(WEBHOOK, name) or NOBODY
    return Target(batch, partition, name, plan.limits, plan.epoch, BREAKER)


def _plan(batch: Batch, record: Record) -> Plan:
    found: Plan | None = batch.config.get(WEBHOOK, endpoint_of(record))
    return found or NOBODY


def _refusal(plan: Plan, target: Target) -> Reason | None:
    """Return why nothing is sent to a target, as its definition stands now."""
    if plan is NOBODY:
        return Reason("unknown_endpoint", f"There is no endpoint {target.name}: register it, then replay this record.")
    if not plan.active:
        return Reason("inactive_endpoint", f"The endpoint {target.name} was deactivated.")
    if plan.url is None:
        return Reason("no_url", f"The endpoint {target.name} has no url any more: give it one, then replay this record.")
    if target.off is not None:
        return Reason("deliveries_off", f"Deliveries of {target.name} were switched off, since {target.off}: enable them, then replay this record.")
    return None


def _too_large(record: Record) -> Reason | None:
    length = len(record.value or b"")
    return Reason("too_large_to_wait", f"The record has {length:,} bytes, and {LARGEST:,} can be delivered.") if length > LARGEST else None


def _told(result: Finished) -> tuple[dict[str, Any], Outcome]:
    """Read what a call told, and what follows from it."""
    if result.result is None:
        return {"at_ms": 0, "took_ms": 0, "error": "unknown_error", "detail": result.error or ""}, outcome.UNKNOWN_ERROR
    told: dict[str, Any] = orjson.loads(result.result)
    if "status" in told:
        return told, outcome.of_status(told["status"])
    return told, outcome.of_error(told["error"])


def _verdict(plan: Plan, record: Record, row: Outcome, told: dict[str, Any], first_ms: int, now_ms: int) -> Verdict | None:
    if row is outcome.DELIVERED:
        return None
    why = row.reason(f"HTTP {told['status']}" if "status" in told else told["detail"].rstrip("."))
    if row.consequence != "retried":
        return Bury((why,))
    asked = told.get("retry_after")
    wait_ms = backoff.read_retry_after(asked, now_ms) if asked is not None else None
    due = backoff.next_due_ms(plan.schedule, webhook_id(record), attempt(record) + 1, first_ms or now_ms, now_ms, wait_ms)
    return Bury((due, why)) if isinstance(due, Reason) else Retry(due, why)


def _attempt(record: Record, told: dict[str, Any], row: Outcome, verdict: Verdict | None, now_ms: int) -> Output:
    """Write an attempt down for the journal."""
    event_id = record.text(CE_ID) or record.origin
    entry = {
        "event_id": event_id,
        "flow": NAME,
        "at_ms": told["at_ms"] or now_ms,
        "kind": "attempt",
        "resource": endpoint_of(record),
        "attempt": attempt(record) + 1,
        "status": told.get("status"),
        "latency_ms": told["took_ms"],
        "outcome": row.code,
        "error_code": told.get("error"),
        "answer": told.get("answer"),
        "answer_base64": told.get("answer_base64"),
        "next_due_ms": verdict.due_ms if isinstance(verdict, Retry) else None,
    }
    return Output(topics.JOURNAL.name, event_id.encode(), orjson.dumps({name: value for name, value in entry.items() if value is not None}))


def _facts_key(offset: int) -> bytes:
    return FACTS + offset.to_bytes(8, "big")


def _facts(batch: Batch, record: Record) -> Facts:
    found = batch.state(record.partition).get(_facts_key(record.offset))
    return Facts(*orjson.loads(found)) if found is not None else Facts()


def _keep(batch: Batch, record: Record, facts: Facts) -> None:
    batch.state(record.partition).put(_facts_key(record.offset), orjson.dumps([*facts]))


def _order_key(record: Record) -> bytes:
    return (record.key or b"") + b"\0" + (record.header(KEY) or b"")


def _first_of_its_key(batch: Batch, record: Record) -> bool:
    """Line a record up behind those of its key, where it has one; whether it may go."""
    if record.header(KEY) is None:
        return True
    ticket = KeyOrder(batch.state(record.partition)).join(_order_key(record), b"%d" % record.offset)
    _keep(batch, record, Facts(ticket=ticket.number))
    return ticket.first


def build(runtime: Runtime) -> Dataflow:
    """Put the steps behind one another, and the call beside them."""
    egress = Egress(Policy.of(runtime.settings), runtime.clock, runtime.telemetry)
    runtime.handle(POST, Post(egress, Vault.load(runtime.settings), runtime.clock, metadata.version("xyra-integration")), egress.close)
    flow, work = Dataflow(NAME), Deliveries(runtime.telemetry)
    batches = op.input("records", flow, runtime.source())
    for name, step in (("answers", work.answers), ("lines", work.lines), ("send", work.send)):
        batches = runtime.step(name, batches, step)
    op.output("checkpoint", batches, runtime.sink())
    return flow


FLOW: Final = Flow(name=NAME, topic=topics.DELIVERIES, build=build, resource=endpoint_of, resource_kind=WEBHOOK, definitions={WEBHOOK: read})
