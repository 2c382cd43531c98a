"""Received webhooks become events: known endpoint, not seen before, wanted, valid, let through, transformed, written to its topic.

xyra.webhooks -> admit -> dedupe -> events -> schema -> filter -> transform -> route -> xyra.events, or the endpoint's target_topic
                   |         |         |         |        |           |          +----> xyra.deliveries, where the endpoint has a url
                   +---------+---------+---------+--------+-----------+-> dropped with a reason, or xyra.dlq with every reason
"""

from collections.abc import Callable
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flows.core import judge, topics
from flows.core.case import Case, Plan
from flows.core.plans import endpoint_of, read, unknown
from flows.core.record import Record
from flows.core.resources import WEBHOOK
from flows.core.rules import Rules
from flows.core.settings import Settings
from flows.core.verdict import Bury, Verdict
from flows.engine import Batch, Flow, Runtime, Step
from flows.steps.dedupe import Known, key_of
from flows.steps.desk import Desk
from flows.steps.guard import each
from flows.steps.route import Route

NAME: Final = "webhooks"


def admit(desk: Desk, settings: Settings) -> Callable[[Record, Batch], Bury | None]:
    """Make the step that finds each record's endpoint and opens its case; buries what belongs to none, or to one that is not active."""
    window_ms = settings.dedupe_window_seconds * 1000

    def find_endpoint(record: Record, batch: Batch) -> Bury | None:
        name = endpoint_of(record)
        plan: Plan | Bury | None = batch.config.get(WEBHOOK, name)
        if not isinstance(plan, Plan):
            return plan or unknown(name)
        case = Case(record, dict(record.headers), plan)
        identity = plan.identify(case)
        if identity is not None:
            case.key = key_of(name, identity)
            case.window_ms = window_ms if plan.window_ms is None else plan.window_ms
        desk.open(batch, case)
        return None

    return find_endpoint


def steps(settings: Settings) -> tuple[tuple[str, Step], ...]:
    """Return the steps in their order, with names as they stand in traces and dead letters."""
    desk = Desk()

    def by_case(rule: Callable[[Case], Verdict | None], concerns: Callable[[Rules], bool]) -> Step:
        """Ask `rule` about every case, in batches where it concerns anybody."""
        ask = each(lambda record, _: rule(desk.case(record)))

        def step(batch: Batch) -> None:
            if any(concerns(plan.rules) for plan in desk.plans):
                ask(batch)

        return step

    return (
        ("admit", each(admit(desk, settings))),
        ("dedupe", Known(desk)),
        ("events", by_case(judge.wanted, lambda rules: not rules.events.all)),
        ("schema", by_case(judge.valid, lambda rules: rules.reads_body)),
        ("filter", by_case(judge.passes, lambda rules: rules.filter is not None)),
        ("transform", by_case(judge.transformed, lambda rules: rules.transform is not None)),
        ("route", Route(desk)),
    )


def build(runtime: Runtime) -> Dataflow:
    """Put the steps behind one another."""
    flow = Dataflow(NAME)
    batches = op.input("records", flow, runtime.source())
    for name, step in steps(runtime.settings):
        batches = runtime.step(name, batches, step)
    op.output("checkpoint", batches, runtime.sink())
    return flow


FLOW: Final = Flow(
    name=NAME,
    topic=topics.WEBHOOKS,
    build=build,
    writes=(topics.EVENTS, topics.DELIVERIES),
    resource=endpoint_of,
    resource_kind=WEBHOOK,
    definitions={WEBHOOK: read},
)
