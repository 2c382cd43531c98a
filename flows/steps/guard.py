"""Runs a function for each record, so that one record's failure stays its own."""

import logging
import traceback
from collections.abc import Callable
from typing import Final

from flows.core.errors import Fatal, Unavailable
from flows.core.record import Record
from flows.core.verdict import Bury, Reason, Verdict
from flows.engine import Batch, Step

LOG: Final = logging.getLogger(__name__)

BUG: Final = "bug"
"""Code of the reason when our code failed, not the record: look for it in the dead letters after a release."""


def each(decide: Callable[[Record, Batch], Verdict | None]) -> Step:
    """Make a step of a function that looks at one record at a time.

    What the function raises buries that record alone, with the code `bug` and the exception's type and text; outputs it
    had been given go with it. Errors that concern the process are let through: `MemoryError`, the
    `Fatal` (a store that cannot be read), `Unavailable` (a broker that is away), and what is no `Exception`.

    Args:
        decide: returns a verdict, or None to keep the record; it may also emit and replace.

    """

    def step(batch: Batch) -> None:
        for record in batch.records:
            try:
                verdict = decide(record, batch)
            except (MemoryError, Fatal, Unavailable):
                raise
            except Exception as error:  # noqa: BLE001  that is what this is for: whatever it is, it concerns one record
                verdict = _bug(record, error)
            if verdict is not None:
                batch.decide(record, verdict)

    return step


def _bug(record: Record, error: Exception) -> Verdict:
    where = traceback.extract_tb(error.__traceback__)[-1]
    LOG.error("A step failed on %s: %s: %s (%s:%s)", record.origin, type(error).__name__, error, where.name, where.lineno)
    return Bury((Reason(BUG, f"{type(error).__name__}: {error} (in {where.name}, line {where.lineno})"),))
