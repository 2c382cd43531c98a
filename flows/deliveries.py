"""Events are posted to their endpoint's `url`, each until it is delivered or buried.

xyra.deliveries -> answers -> lines -> send -> (the call, beside the flow) -> answers: delivered, to be tried again, or xyra.dlq

A record asks its target for leave to be sent. Without it (no slot free, its pace, a breaker that is open, a pause) it stands in the target's
line, which costs no attempt; whoever comes back makes room for the next. With `order: key` it also stands behind those of its key.
Attempts are told on `xyra.journal`; what moved in a target, on `xyra.status`.
"""

from hashlib import sha256
from importlib import metadata
from typing import Final, NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flows.core import signals, topics
from flows.core.case import text
from flows.core.outbound import backoff, breaker, outcome
from flows.core.outbound.egress import Policy
from flows.core.outbound.outcome import Outcome
from flows.core.outbound.target import NOTHING_ASKED, Asked, Back, Go, Limits
from flows.core.record import Record
from flows.core.resources import WEBHOOK, StoredSecret, StoredWebhook, live
from flows.core.verdict import Await, Bury, Hold, Reason, Retry, Verdict
from flows.engine import UNKNOWN, Batch, Flow, Runtime, attempt
from flows.steps import turns
from flows.steps.post import Order, Post, Told, told_by, webhook_id
from flows.steps.targets import MOST_AT_ONCE, Target, Targets
from flows.wire.egress import Egress
from flows.wire.names import Resolve, system_addresses
from flows.wire.telemetry import Telemetry
from flows.wire.vault import Vault

NAME: Final = "deliveries"
POST: Final = "post"
ADDRESS_DIGITS: Final = 16
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
    breaker: breaker.Policy
    asked: Asked


NOBODY: Final = Plan(
    "",
    None,
    active=False,
    timeout_s=0,
    by_key=False,
    schedule=backoff.USUAL,
    limits=Limits(0, None, False, None),
    epoch=0,
    secrets=(),
    breaker=breaker.Policy(),
    asked=NOTHING_ASKED,
)
"""Stands for a definition that there is not."""


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
        breaker=breaker.for_timeout(said.timeout_seconds),
        asked=Asked(webhook.probe_epoch, address(webhook.definition.url)),
    )


def address(url: str | None) -> str:
    """Return what tells one address from another; a state keeps no url, which may have secrets in it."""
    return sha256(url.encode()).hexdigest()[:ADDRESS_DIGITS] if url is not None else ""


def endpoint_of(record: Record) -> str:
    """Return the endpoint whose target a record is for; `-` when its key names none."""
    return text(record.key) or UNKNOWN


class Deliveries:
    """The steps, and what they share."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Take what counts."""
        self._telemetry = telemetry
        self.targets = Targets(NAME, telemetry, _open)
        self._leave: dict[tuple[int, int], Go] = {}

    def answers(self, batch: Batch) -> None:
        """Decide what follows from each call that has ended."""
        self._leave.clear()
        for record in batch.records:
            result = batch.result(record)
            if result is None:
                continue
            target, plan = self.targets.of(batch, record.partition, endpoint_of(record)), _plan(batch, record)
            told, facts = told_by(result, batch.now_ms), turns.facts_of(batch, record)
            row = outcome.of_status(told.status) if told.status is not None else outcome.of_error(told.error)
            _tell(target, plan, row, told, Order.read(result.payload))
            facts = facts._replace(first_ms=facts.first_ms or told.at_ms)
            verdict = _verdict(plan, record, row, told, facts, batch.now_ms)
            self._count(row, told)
            if row.counts:
                due_ms = verdict.due_ms if isinstance(verdict, Retry) else None
                batch.publish(told.entry(NAME, record, endpoint_of(record), row.code, due_ms))
            if isinstance(verdict, Retry):
                turns.keep(batch, record, facts)
            else:
                self._done(batch, record, target, facts)
            batch.decide(record, verdict)

    def lines(self, batch: Batch) -> None:
        """Recall from each target's line as many as may go now; those whose target is gone, to be buried."""
        touched = {(record.partition, endpoint_of(record)) for record in batch.records}
        touched |= {(timer.partition, timer.id.decode()) for timer in batch.due}
        touched |= self.targets.asked_for(batch, lambda name: (batch.config.get(WEBHOOK, name) or NOBODY).asked.probes)
        for partition, name in touched:
            self.targets.of(batch, partition, name)
        for target in self.targets:
            plan = batch.config.get(WEBHOOK, target.name) or NOBODY
            for _ in range(MOST_AT_ONCE):
                if not target.state.waiting:
                    break
                refused = _refusal(plan, target) is not None
                leave = Go(0) if refused else target.ask()
                record = target.next_in_line() if leave is not None else None
                if record is None and leave is not None and not refused:
                    target.unused(leave.generation)
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
            target, plan = self.targets.of(batch, record.partition, endpoint_of(record)), _plan(batch, record)
            facts = turns.Facts() if place in fresh else turns.facts_of(batch, record)
            refusal = _refusal(plan, target) or _too_large(record)
            if refusal is not None:
                self._done(batch, record, target, facts)
                batch.decide(record, Bury((refusal,)))
            elif place in fresh and plan.by_key and not turns.join(batch, record):
                batch.decide(record, Hold("it stands behind another of its key"))
            else:
                batch.decide(record, self._sent(record, batch, target, plan))
        self.targets.leave(batch)

    def _sent(self, record: Record, batch: Batch, target: Target, plan: Plan) -> Verdict:
        leave = self._leave.pop((record.partition, record.offset), None)
        if leave is None and not target.state.waiting:
            leave = target.ask()
        if leave is None:
            target.line_up(record.offset)
            return Hold("it waits for its target")
        secrets = tuple((secret.secret_id, secret.sealed) for secret in reversed(live(plan.secrets, batch.now_ms)))
        order = Order(plan.name, plan.url or "", plan.timeout_s, leave.generation, secrets)
        return Await(POST, f"{record.partition}/{plan.name}", order.text(), plan.limits.concurrency)

    def _done(self, batch: Batch, record: Record, target: Target, facts: turns.Facts) -> None:
        """Let go of a record, and let the next of its key step forward."""
        following = turns.leave(batch, record, facts)
        if following is not None:
            target.line_up(following)

    def _count(self, row: Outcome, told: Told) -> None:
        self._telemetry.count(signals.DELIVERIES, outcome=row.code)
        self._telemetry.observe(signals.DELIVERY_SECONDS, told.took_ms / 1000)


def _open(batch: Batch, partition: int, name: str) -> Target:
    plan = batch.config.get(WEBHOOK, name) or NOBODY
    return Target(batch, partition, name, plan.limits, plan.epoch, plan.breaker, plan.asked)


def _plan(batch: Batch, record: Record) -> Plan:
    found: Plan | None = batch.config.get(WEBHOOK, endpoint_of(record))
    return found or NOBODY


def _refusal(plan: Plan, target: Target) -> Reason | None:
    """Return why nothing is sent to a target, as its definition stands now."""
    if target.name == UNKNOWN:
        return Reason("unknown_endpoint", "The record names no endpoint: its key has to be an ENDPOINT_ID.")
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


def _tell(target: Target, plan: Plan, row: Outcome, told: Told, order: Order) -> None:
    """Tell a target how its call has ended, if it was called at all, and not the one it has taken the place of."""
    if row.counts and order.url == plan.url:
        target.answered(Back(order.generation, row is outcome.DELIVERED, row.failing, told.took_ms, row.consequence == "deactivated"))
    else:
        target.unused(order.generation)


def _verdict(plan: Plan, record: Record, row: Outcome, told: Told, facts: turns.Facts, now_ms: int) -> Verdict | None:
    if row is outcome.DELIVERED:
        return None
    why = row.reason(f"HTTP {told.status}" if told.status is not None else told.detail.rstrip("."))
    if row.consequence != "retried":
        return Bury((why,), row.counts)
    wait_ms = backoff.read_retry_after(told.retry_after, now_ms) if told.retry_after is not None else None
    tried = attempt(record) + 1 if row.counts else 0
    due = backoff.next_due_ms(plan.schedule, webhook_id(record), tried, facts.first_ms, now_ms, wait_ms)
    return Bury((due, why), row.counts) if isinstance(due, Reason) else Retry(due, why, counts=row.counts)


def build(runtime: Runtime, resolve: Resolve = system_addresses) -> Dataflow:
    """Put the steps behind one another, and the call beside them; `resolve` says where a target's name leads."""
    egress = Egress(Policy.of(runtime.settings), runtime.clock, runtime.telemetry, resolve=resolve)
    runtime.handle(POST, Post(egress, Vault.load(runtime.settings), runtime.clock, metadata.version("xyra-integration")), egress.close)
    flow, work = Dataflow(NAME), Deliveries(runtime.telemetry)
    runtime.display(work.targets)
    batches = op.input("records", flow, runtime.source())
    for name, step in (("answers", work.answers), ("lines", work.lines), ("send", work.send)):
        batches = runtime.step(name, batches, step)
    op.output("checkpoint", batches, runtime.sink())
    return flow


FLOW: Final = Flow(
    name=NAME,
    topic=topics.DELIVERIES,
    build=build,
    resource=endpoint_of,
    resource_kind=WEBHOOK,
    definitions={WEBHOOK: read},
    orders=frozenset((WEBHOOK,)),
    standing=True,
)
