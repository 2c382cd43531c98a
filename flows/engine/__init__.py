"""Runs flows exactly once. What a flow's file and its steps see is listed here; `WHY.md` says why it is built like this."""

from flows.engine.batch import Batch
from flows.engine.definitions import Definitions
from flows.engine.entries import Entries
from flows.engine.flow import UNKNOWN, Flow, Runtime, Step
from flows.engine.letters import attempt
from flows.engine.portion import Portion
from flows.engine.share import Alarms, DueTimer
from flows.engine.work import Finished, Handler, Task, Work

__all__ = [
    "UNKNOWN",
    "Alarms",
    "Batch",
    "Definitions",
    "DueTimer",
    "Entries",
    "Finished",
    "Flow",
    "Handler",
    "Portion",
    "Runtime",
    "Step",
    "Task",
    "Work",
    "attempt",
]
