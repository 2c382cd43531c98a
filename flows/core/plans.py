"""What a webhook's definition makes of its records: read once, for the flow that runs it and for whoever asks what would happen."""

from collections.abc import Callable
from typing import Final

from flows.core import ids, presets, topics
from flows.core.case import MAX_TEXT, Case, Identity, Plan, text
from flows.core.errors import InvalidFields
from flows.core.locate import find
from flows.core.record import CE_SOURCE, HTTP, SENDER_ID, TEST, Record
from flows.core.resources import Dedupe, StoredWebhook, WebhookDefinition
from flows.core.rules import compile_rules, event_type_in
from flows.core.verdict import Bury, Reason
from flows.core.verification import Location, Verification

SOURCE: Final = b"/webhooks/"
"""What `ce_source` begins with; the endpoint's id follows."""
UNKNOWN: Final = "-"
"""The endpoint of records that name none."""


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
        former=webhook.former_topics,
        identify=_identify(definition, scheme),
        event_type=_event_type(scheme),
        type_in_body=not scheme.event_type or any(at.path is not None for at in scheme.event_type),
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


def unknown(name: str) -> Bury:
    """Bury what belongs to no endpoint."""
    if name == UNKNOWN:
        detail = "The record names no endpoint: it needs a header ce_source with /webhooks/ENDPOINT_ID."
    else:
        detail = f"There is no endpoint {name!r}: register it, then replay this record."
    return Bury((Reason("unknown_endpoint", detail),))
