"""The last step: a case becomes an event on its topic, and its id is remembered."""

from typing import Final

from flows.core import topics
from flows.core.case import Case
from flows.core.record import (
    CE_ID,
    CE_SOURCE,
    CE_SPECVERSION,
    CE_TIME,
    CE_TYPE,
    CONFIG_OFFSET,
    CONTENT_TYPE,
    KEY,
    ORIGIN,
    SENDER_ID,
    TEST,
    Header,
    Output,
)
from flows.engine.batch import Batch
from flows.steps.dedupe import Memory
from flows.steps.desk import Desk

SPECVERSION: Final = (CE_SPECVERSION, b"1.0")
UNTYPED: Final = b"xyra.webhook"
"""The type of an event that names none: CloudEvents wants one."""
CARRIED: Final = frozenset({CE_ID, CE_SOURCE, CE_TIME, CE_TYPE, CONTENT_TYPE, SENDER_ID, TEST, "traceparent", "tracestate"})
"""Headers that an event takes over from its record, beside any other CloudEvents attribute."""


class Route:
    """Writes what is left of a batch, in order."""

    def __init__(self, desk: Desk) -> None:
        """Take the desk."""
        self._desk = desk

    def __call__(self, batch: Batch) -> None:
        """Emit every case that does not repeat one of this batch."""
        memory = Memory(batch)
        for case in self._desk.cases(batch):
            if not memory.repeats(case):
                headers = headers_of(case)
                batch.emit(case.record, Output(case.plan.topic, case.record.key, case.value, headers))
                if case.plan.delivers is not None:
                    batch.emit(case.record, delivery_of(case, headers))
                memory.remember(case)


def delivery_of(case: Case, headers: tuple[Header, ...]) -> Output:
    """Return an event as it goes to its endpoint's target: all of one endpoint in one partition, which keeps its limits and its order."""
    record = case.record
    carried = [(name, value) for name, value in ((KEY, record.key), (CONFIG_OFFSET, record.header(CONFIG_OFFSET))) if value is not None]
    if case.plan.delivers == "original" and case.value is not record.value:  # a transform has made another, and it is JSON
        headers = (*(header for header in headers if header[0] != CONTENT_TYPE), *(header for header in record.headers if header[0] == CONTENT_TYPE))
    value = record.value if case.plan.delivers == "original" else case.value
    return Output(topics.DELIVERIES.name, case.plan.name.encode(), value, (*headers, *carried))


def headers_of(case: Case) -> tuple[Header, ...]:
    """Return an event's headers: CloudEvents in binary mode, what it carries on, and where it comes from."""
    found = case.headers
    if CE_TYPE not in found:
        event_type = case.event_type
        found[CE_TYPE] = event_type.encode("utf-8", "replace") if event_type else UNTYPED
    carried = [header for header in found.items() if header[0] in CARRIED or (header[0][:3] == "ce_" and header[0] != CE_SPECVERSION)]
    return (SPECVERSION, *carried, (ORIGIN, case.record.origin.encode()))
