"""Received webhooks become events: known endpoint, not seen before, wanted, valid, let through, transformed, written to its topic.

xyra.webhooks -> admit -> dedupe -> events -> schema -> filter -> transform -> route -> xyra.events, or the endpoint's target_topic
                   |         |         |         |        |           |          +----> xyra.deliveries, where the endpoint has a url
                   +---------+---------+---------+--------+-----------+-> dropped with a reason, or xyra.dlq with every reason
"""

from collections.abc import Callable
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flows.core import ids, presets, topics
from flows.core.errors import InvalidFields
from flows.core.locate import find
from flows.core.record import CE_SOURCE, HTTP, SENDER_ID, TEST, Record
from flows.core.resources import WEBHOOK, Dedupe, StoredWebhook, WebhookDefinition
from flows.core.rules import Rules, compile_rules, event_type_in
from flows.core.settings import Settings
from flows.core.verdict import Bury, Reason, Verdict
from flows.core.verification import Location, Verification
from flows.engine import UNKNOWN, Batch, Flow, Runtime, Step
from flows.steps import judge
from flows.steps.case import MAX_TEXT, Case, Desk, Identity, Plan, text
from flows.steps.dedupe import Known, key_of
from flows.steps.guard import each
from flows.steps.route import Route

NAME: Final = "webhooks"
SOURCE: Final = b"/webhooks/"
"""What `ce_source` begins with; the endpoint's id follows."""


def endpoint_of(record: Record) -> str:
    """Return the id of the endpoint a record came in by, `-` when it names none; whether there is such an endpoint is another question."""
    source = record.header(CE_SOURCE)
    if source is None or not source.startswith(SOURCE):
        return UNKNOWN
    return text(source[len(SOURCE) :]) or UNKNOWN


def read(stored: bytes) -> Plan | Bury:
    """Read a definition as it stands on `xyra.config`: what is to be done with its records, or why they are buried.

    Raises:
        ValueError: it is no definition of a webhook; it counts as absent.

    """
    webhook = StoredWebhook.model_validate_json(stored)
    definition = webhook.definition
    if webhook.status != "active":
        return Bury((Reason("inactive_endpoint", f"The endpoint {definition.endpoint_id} was deactivated."),))
    try:
        scheme = presets.resolve(definition.preset, definition.verification)
        rules = compile_rules(definition)
    except InvalidFields as error:  # written by a version that took it
        return Bury((Reason("unusable_definition", f"The endpoint {definition.endpoint_id} has a definition that cannot be run: {error}"),))
    window = definition.dedupe.window_seconds if isinstance(definition.dedupe, Dedupe) else None
    return Plan(
        name=definition.endpoint_id,
        rules=rules,
        topic=definition.target_topic or topics.EVENTS.name,
        identify=_identify(definition, scheme),
        event_type=_event_type(scheme),
        delivers=definition.delivery.payload if definition.url is not None else None,
        window_ms=window * 1000 if window is not None else None,
    )


def _identify(definition: WebhookDefinition, scheme: Verification) -> Callable[[Case], Identity | None]:
    """Make the finder of the sender's id: what the ingress found, else where the definition or its scheme says, else a hash of the body."""
    says = definition.dedupe
    places: tuple[Location, ...] = scheme.id
    if isinstance(says, Dedupe) and (says.path is not None or says.header is not None):
        places = (Location(path=says.path, header=says.header),)

    def identify(case: Case) -> Identity | None:
        if says is False:
            return None
        if TEST in case.headers:  # a sample is the same each time, and each is to be seen through
            return Identity("event", case.event_id)
        found = case.headers.get(SENDER_ID)
        if found:
            return Identity("sender", found.decode("utf-8", "surrogateescape"))
        if HTTP not in case.headers and (elsewhere := _look(places, case, numbers=True)) is not None:
            return Identity("sender", elsewhere)
        return Identity("body", ids.content_id(case.record.value or b""))

    return identify


def _event_type(scheme: Verification) -> Callable[[Case], str | None]:
    """Make the finder of the event type: where the scheme says, and the ingress has not looked, else the body's `type` or `event`."""

    def event_type(case: Case) -> str | None:
        found = _look(scheme.event_type, case) if HTTP not in case.headers else None
        found = found or event_type_in(case.document)
        return found if found is not None and len(found) <= MAX_TEXT else None

    return event_type


def _look(places: tuple[Location, ...], case: Case, *, numbers: bool = False) -> str | None:
    document = case.document if any(at.path is not None for at in places) else None
    return find(places, case.sender_headers, document, numbers=numbers)


def admit(desk: Desk, settings: Settings) -> Callable[[Record, Batch], Bury | None]:
    """Make the step that finds each record's endpoint and opens its case; buries what belongs to none, or to one that is not active."""
    window_ms = settings.dedupe_window_seconds * 1000

    def find_endpoint(record: Record, batch: Batch) -> Bury | None:
        name = endpoint_of(record)
        plan: Plan | Bury | None = batch.config.get(WEBHOOK, name)
        if not isinstance(plan, Plan):
            return plan or _unknown(name)
        case = Case(record, dict(record.headers), plan)
        identity = plan.identify(case)
        if identity is not None:
            case.key = key_of(name, identity)
            case.window_ms = window_ms if plan.window_ms is None else plan.window_ms
        desk.open(batch, case)
        return None

    return find_endpoint


def _unknown(name: str) -> Bury:
    if name == UNKNOWN:
        detail = "The record names no endpoint: it needs a header ce_source with /webhooks/ENDPOINT_ID."
    else:
        detail = f"There is no endpoint {name}: register it, then replay this record."
    return Bury((Reason("unknown_endpoint", detail),))


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
