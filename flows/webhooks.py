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
from flows.core.history import WEBHOOK_STEPS
from flows.core.plans import endpoint_of, read, unknown
from flows.core.record import Record
from flows.core.reruns import RERUN, StoredRerun
from flows.core.resources import WEBHOOK
from flows.core.rules import Rules
from flows.core.settings import Settings
from flows.core.verdict import Bury, Drop, Verdict
from flows.engine import Batch, Flow, Runtime, Step
from flows.steps.dedupe import Known, key_of
from flows.steps.desk import Desk
from flows.steps.guard import each
from flows.steps.past import reader
from flows.steps.rerun import KIND, NOT_CHOSEN, Rerun, Reruns, holds, read_rerun
from flows.steps.route import Route

NAME: Final = "webhooks"
MOST_TARGETS: Final = 32
"""Topics that a rerun looks at for what became of its records then."""


def admit(desk: Desk, settings: Settings, rerun: Rerun | None = None) -> Callable[[Record, Batch], Bury | Drop | None]:
    """Make the step that finds each record's endpoint and opens its case; buries what belongs to none, or to one that is not active.

    In a rerun nothing is compared, unless it was asked for: then with what the rerun itself has seen. What its filter does not choose is dropped.
    """
    window_ms = settings.dedupe_window_seconds * 1000
    memory = f"{rerun.order.replay_id}/" if rerun is not None else ""
    compared = rerun is None or rerun.order.dedupe
    chosen = rerun.filter if rerun is not None else None

    def find_endpoint(record: Record, batch: Batch) -> Bury | Drop | None:
        name = endpoint_of(record)
        plan: Plan | Bury | None = batch.config.get(WEBHOOK, name)
        if not isinstance(plan, Plan):
            return plan or unknown(name)
        case = Case(record, dict(record.headers), plan)
        if chosen is not None and not holds(chosen, case):
            return Drop(NOT_CHOSEN)
        identity = plan.identify(case) if compared else None
        if identity is not None:
            case.key = key_of(memory + name, identity)
            case.window_ms = window_ms if plan.window_ms is None else plan.window_ms
        desk.open(batch, case)
        return None

    return find_endpoint


def steps(settings: Settings, rerun: Rerun | None = None) -> tuple[tuple[str, Step], ...]:
    """Return the steps in their order, with names as they stand in traces and dead letters; those that judge a rerun, where one is given."""
    desk = Desk()

    def by_case(rule: Callable[[Case], Verdict | None], concerns: Callable[[Rules], bool]) -> Step:
        """Ask `rule` about every case, in batches where it concerns anybody."""
        ask = each(lambda record, _: rule(desk.case(record)))

        def step(batch: Batch) -> None:
            if any(concerns(plan.rules) for plan in desk.plans):
                ask(batch)

        return step

    made = (
        each(admit(desk, settings, rerun)),
        Known(desk),
        by_case(judge.wanted, lambda rules: not rules.events.all),
        by_case(judge.valid, lambda rules: rules.reads_body),
        by_case(judge.passes, lambda rules: rules.filter is not None),
        by_case(judge.transformed, lambda rules: rules.transform is not None),
        Route(desk),
    )
    return tuple(zip(WEBHOOK_STEPS, made, strict=True))


def targets(batch: Batch, order: StoredRerun) -> list[str]:
    """Return the topics, beside `xyra.events`, that events of a rerun's endpoints go to, or went to by earlier definitions."""
    names = batch.config.names(WEBHOOK) if order.endpoint_id is None else [order.endpoint_id]
    plans = [plan for name in names if isinstance(plan := batch.config.get(WEBHOOK, name), Plan)]
    found = [*(plan.topic for plan in plans), *(name for plan in plans for name in plan.former)]
    return [name for name in dict.fromkeys(found) if name != topics.EVENTS.name][:MOST_TARGETS]


def one_after_the_other(first: Step, second: Step) -> Step:
    """Make one step of two, under one name."""

    def step(batch: Batch) -> None:
        first(batch)
        second(batch)

    return step


def build(runtime: Runtime) -> Dataflow:
    """Put the steps behind one another."""
    flow = Dataflow(NAME)
    settings = runtime.settings
    runtime.handle(KIND, reader(settings))
    batches = op.input("records", flow, runtime.source())
    reruns = Reruns(settings.kafka_partitions, lambda rerun: steps(settings, rerun), targets)
    for name, step in steps(settings):
        batches = runtime.step(name, batches, step if name != WEBHOOK_STEPS[0] else one_after_the_other(reruns, step))
    op.output("checkpoint", batches, runtime.sink())
    return flow


FLOW: Final = Flow(
    name=NAME,
    topic=topics.WEBHOOKS,
    build=build,
    writes=(topics.EVENTS, topics.DELIVERIES),
    resource=endpoint_of,
    resource_kind=WEBHOOK,
    definitions={WEBHOOK: read, RERUN: read_rerun},
    orders=frozenset((RERUN,)),
    standing=True,
)
