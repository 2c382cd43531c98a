"""The guard: a step that looks at one record at a time, and cannot be stopped by any of them."""

import logging
from collections.abc import Callable
from typing import Final

from flows.core.errors import XyraError
from flows.core.record import Record
from flows.core.verdict import Bury, Reason, Verdict
from flows.engine import Batch, Step

LOG: Final = logging.getLogger(__name__)
BUG: Final = "bug"


def each(judge: Callable[[Record, Batch], Verdict | None]) -> Step:
    """Make a step that asks `judge` about every record in order.

    What `judge` raises is a bug of ours: it buries that record alone, with the error's class and text, and is logged. Errors of this project
    (a store that is damaged, a slot taken over) are about the process and are passed on.
    """

    def step(batch: Batch) -> None:
        for record in batch.records:
            try:
                verdict = judge(record, batch)
            except XyraError:
                raise
            except Exception as error:  # any class at all, since it is a bug; the next record may well be fine
                LOG.exception("A bug in the step %s met the record %s.", batch.step, record.origin)
                verdict = Bury((Reason(BUG, f"This is a bug in the step {batch.step}, please report it: {type(error).__name__}: {error}"),))
            if verdict is not None:
                batch.decide(record, verdict)

    return step
