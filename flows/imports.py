"""Imports: files that came piece by piece are read, checked, transformed and published, row by row.

xyra.uploads -> shelve -> jobs (orders) -> find, stage, fetch, store, parse, again (slow work) -> portions -> xyra.events or a topic of the job's, xyra.rejects
"""

from dataclasses import replace
from functools import partial
from importlib import metadata
from typing import Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow

from flows.core import topics
from flows.core.imports.jobs import JOB
from flows.core.outbound.egress import Policy
from flows.engine import Flow, Runtime
from flows.steps.again import Anew
from flows.steps.asks import ANEW, FETCH, FIND_WORK, PARSE, STAGE_WORK, STORE
from flows.steps.fetch import Fetcher
from flows.steps.find import Finder
from flows.steps.jobs import Jobs, read_job
from flows.steps.parse import Parser
from flows.steps.shelve import shelve
from flows.steps.stage import Stager
from flows.steps.store import Collector
from flows.wire.egress import Egress
from flows.wire.names import Resolve, system_addresses
from flows.wire.readers import Readers
from flows.wire.stores import installed
from flows.wire.vault import Vault

NAME: Final = "imports"


def build(runtime: Runtime, resolve: Resolve = system_addresses, readers: Readers | None = None) -> Dataflow:
    """Put the steps behind one another, and the slow work beside them.

    Args:
        runtime: runs them.
        resolve: says where the name of a file's server leads.
        readers: starts the processes that read files; None: as the settings say.

    """
    settings = runtime.settings
    readers = readers or Readers(settings)
    parser = Parser(settings, readers)
    runtime.handle(PARSE, parser, parser.close)
    runtime.handle(FIND_WORK, Finder(settings))
    runtime.handle(STAGE_WORK, Stager(settings))
    egress = Egress(Policy.of(settings), runtime.clock, runtime.telemetry, resolve=resolve)
    fetcher = Fetcher(egress, Vault.load(settings), settings, runtime.clock, f"xyra-integration/{metadata.version('xyra-integration')}")
    runtime.handle(FETCH, fetcher, fetcher.close)
    runtime.handle(STORE, Collector(settings))
    runtime.handle(ANEW, Anew(settings, settings.kafka_partitions, readers))
    flow = Dataflow(NAME)
    batches = op.input("pieces", flow, runtime.source())
    batches = runtime.step("shelve", batches, shelve(readers.warm))
    batches = runtime.step("jobs", batches, Jobs(settings.kafka_partitions))
    op.output("checkpoint", batches, runtime.sink())
    return flow


FLOW: Final = Flow(
    name=NAME,
    topic=topics.UPLOADS,
    build=build,
    writes=(topics.EVENTS, topics.REJECTS, topics.UPLOADS),
    definitions={JOB: read_job},
    orders=frozenset((JOB,)),
    work_look_s=0.002,
    prefetch_kib=8 * 1024,  # pieces of files have half a megabyte, and some are enough to be busy
    standing=True,
    can=installed(),
)


def prepared(readers: Readers) -> Flow:
    """Return the flow with what starts its reading processes, which may have loaded before it has."""
    return replace(FLOW, build=partial(build, readers=readers))
