"""`xyra worker`."""

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from deploy.flows import FLOWS, READ_FILES, SHARED_HEAPS
from deploy.local import record
from deploy.local.place import told
from deploy.local.ports import is_free
from deploy.local.training import await_kafka
from flows.core.errors import Busy, WrongSetting
from flows.core.settings import Settings
from flows.wire import heap
from flows.wire.readers import Readers
from flows.wire.scratch import left

if TYPE_CHECKING:
    from flows.engine import Flow  # Bytewax loads only when a flow is run

LAST_PORT: Final = 65_535
KAFKA_STARTS_S: Final = 60.0
"""A broker that is just starting, or starting again, is waited for; one that is away for longer is an error."""


def work(environ: Mapping[str, str], flow: str, slot: int, port: int, data_dir: str) -> int:
    """Run a flow in this process until SIGTERM; returns the process's exit code.

    Raises:
        WrongSetting: there is no such flow, or a setting is wrong.

    """
    if flow not in FLOWS:
        raise WrongSetting(f"There is no flow {flow!r}. There is: {', '.join(FLOWS)}.")
    settings = told(environ, data_dir)
    if flow in SHARED_HEAPS:
        heap.share()
    readers = Readers(settings) if flow in READ_FILES else None
    if readers is not None and left(settings.batch_import_upload_dir):
        readers.warm()  # a file was broken off, and is gone on with: that loads for as long as this process does
    gc.disable()  # all that is loaded stays: looking through it again and again is a tenth of the start
    from flows.core.fields import hasten

    hasten()
    from flows.engine.worker import run

    module = import_module(FLOWS[flow])
    loaded: Flow = module.FLOW if readers is None else module.prepared(readers)
    gc.enable()
    await_kafka(settings.kafka_bootstrap_servers, KAFKA_STARTS_S)
    return run(loaded, settings, slot, port=port or own_port(settings, slot))


def own_port(settings: Settings, slot: int) -> int:
    """Return the port of a worker that was given none: INTEGRATION_WORKER_PORT + slot, or the first one above that is nobody's.

    The ports of the stack on this data directory are its own, also while one of its workers is just being started again.

    Raises:
        Busy: there is none.

    """
    found, first = record.read(settings.data_dir), settings.worker_port + slot
    theirs = {part.url.rpartition(":")[2] for part in found.parts} if found and found.lives() else set[str]()
    for port in range(first, LAST_PORT + 1):
        if str(port) not in theirs and is_free(settings.http_host, port):
            return port
    raise Busy(f"No port from {first} up is free for this worker's own /health and /metrics: name one with --port.")
