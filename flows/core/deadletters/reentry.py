"""What becomes of a record on its way back in: the transform of a replay, and what today's definitions would make of it."""

from dataclasses import replace

from flows.core.case import Case, Plan
from flows.core.errors import FieldError
from flows.core.judge import judged, transformed, valid
from flows.core.plans import endpoint_of, unknown
from flows.core.record import CONTENT_TYPE, Record
from flows.core.resources import Transform
from flows.core.rules import EVERY, Rules, event_type_in
from flows.core.transforms import compile_transform
from flows.core.verdict import Bury, Verdict


def compile_reentry(transform: Transform) -> tuple[Plan, tuple[FieldError, ...]]:
    """Compile the transform of a replay; with errors, whose pointers begin at the transform, the plan is not to be used."""
    shape, errors = compile_transform(transform)
    return Plan("", Rules(EVERY, None, None, shape), "", (), lambda _: None, lambda case: event_type_in(case.document)), errors


def reentering(plan: Plan | None, resource: str, record: Record) -> Record | Bury:
    """Return a record as it enters once more, its value transformed where there is a plan; or every reason why it cannot be."""
    if plan is None:
        return record
    case = Case(record, dict(record.headers), replace(plan, name=resource))
    wrong = valid(case) or transformed(case)
    if isinstance(wrong, Bury):
        return wrong
    kept = tuple(header for header in record.headers if header[0] != CONTENT_TYPE)
    return record._replace(value=case.value, headers=(*kept, (CONTENT_TYPE, case.headers[CONTENT_TYPE])))


def foreseen(record: Record, plan: Plan | Bury | None) -> Verdict | None:
    """Say what the flow `webhooks` would decide about a record; None: an event comes of it. Whether it is a duplicate only the flow's state knows."""
    if not isinstance(plan, Plan):
        return plan or unknown(endpoint_of(record))
    return judged(Case(record, dict(record.headers), plan))
