"""The rules of a definition, one step each: events, schema, filter, transform."""

from typing import Final

from flows.core.case import Case
from flows.core.pointer import ABSENT
from flows.core.record import CONTENT_TYPE
from flows.core.rules import NOT_WANTED
from flows.core.verdict import Bury, Drop, Reason, Verdict

JSON_TYPE: Final = b"application/json"


def judged(case: Case) -> Verdict | None:
    """Put a case through all rules in the order the flow has them; None: an event comes of it."""
    return wanted(case) or valid(case) or passes(case) or transformed(case)


def wanted(case: Case) -> Drop | Bury | None:
    """Drop an event of a type that the definition does not name; bury a body that cannot be read, where the type stands in it: it may have been wanted."""
    events = case.plan.rules.events
    if events.all or events.want(case.event_type):
        return None
    if case.event_type is None and case.plan.type_in_body and case.document is ABSENT:
        code, what = case.fault
        return Bury((Reason(code, f"The type of an event stands in its body, which {what}."),))
    return Drop(NOT_WANTED, f"its type is {case.event_type!r}" if case.event_type else "it has no type")


def valid(case: Case) -> Bury | None:
    """Bury a body that cannot be read as JSON, where a rule needs that, and one that the schema does not allow, with every violation."""
    rules = case.plan.rules
    if not rules.reads_body:
        return None
    if case.document is ABSENT:
        code, what = case.fault
        return Bury((Reason(code, f"The definition has rules about the body, and it {what}."),))
    reasons = rules.schema.reasons(case.document) if rules.schema is not None else ()
    return Bury(reasons) if reasons else None


def passes(case: Case) -> Drop | Bury | None:
    """Drop what the filter does not let through."""
    return case.plan.rules.judge(case.scope) if case.plan.rules.filter is not None else None


def transformed(case: Case) -> Bury | None:
    """Make the event's value; without a transform it is the received body, byte for byte."""
    shape = case.plan.rules.transform
    if shape is None:
        return None
    made = shape.apply(case.scope)
    if isinstance(made, tuple):
        return Bury(made)
    case.value, case.headers[CONTENT_TYPE] = made, JSON_TYPE
    return None
