"""The flows that are run: a new flow is a file in `flows/` and a row here."""

from typing import Final

from flows.core.topics import DELIVERIES, DLQ, UPLOADS, WEBHOOKS, Topic

FLOWS: Final = {
    "webhooks": "flows.webhooks",
    "deliveries": "flows.deliveries",
    "replay": "flows.replay",
    "imports": "flows.imports",
}
"""Name -> the module whose `FLOW` it is; imported when it is run, so that `xyra` itself stays quick."""

SOURCES: Final[dict[str, Topic]] = {
    "webhooks": WEBHOOKS,
    "deliveries": DELIVERIES,
    "replay": DLQ,
    "imports": UPLOADS,
}
"""Name -> the topic it reads."""

SHARED_HEAPS: Final = frozenset({"imports"})
"""Flows that hold megabytes for moments, on one thread after the other: their threads share heaps, or each would keep what it has freed."""


READ_FILES: Final = frozenset({"imports"})
"""Flows that have files read by a process, which is started before they are loaded where a file was broken off."""


def group(flow: str) -> str:
    """Return a flow's consumer group, as `flows.engine.flow.Flow.group` has it."""
    return f"xyra-{flow}"
