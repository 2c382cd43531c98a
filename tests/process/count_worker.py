"""A worker process for tests, which counts keys: `python -m tests.process.count_worker TOPIC TARGET SLOT`, settings from the environment."""

import os
import sys
from dataclasses import replace

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flows.core.settings import load
from flows.core.topics import EVENTS
from flows.engine import Flow, Runtime
from flows.engine.worker import run
from tests.kit.engine import counting


def flow(topic: str, target: str) -> Flow:
    """Return the flow; its results go to the target."""

    def build(runtime: Runtime) -> Dataflow:
        dataflow = Dataflow("count")
        batches = runtime.step("count", op.input("records", dataflow, runtime.source()), counting(target))
        op.output("checkpoint", batches, runtime.sink())
        return dataflow

    return Flow(name=topic, topic=replace(EVENTS, name=topic), build=build)


if __name__ == "__main__":
    raise SystemExit(run(flow(sys.argv[1], sys.argv[2]), load(os.environ), int(sys.argv[3])))
