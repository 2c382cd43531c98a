"""A worker process for tests, which counts keys: `python -m tests.process.count_worker TOPIC SLOT`, settings from the environment."""

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


def flow(topic: str) -> Flow:
    """Return the flow; its results go to TOPIC.out."""

    def build(runtime: Runtime) -> Dataflow:
        dataflow = Dataflow("count")
        batches = runtime.step("count", op.input("records", dataflow, runtime.source()), counting(f"{topic}.out"))
        op.output("checkpoint", batches, runtime.sink())
        return dataflow

    return Flow(name=topic, topic=replace(EVENTS, name=topic), build=build)


if __name__ == "__main__":
    raise SystemExit(run(flow(sys.argv[1]), load(os.environ), int(sys.argv[2])))
