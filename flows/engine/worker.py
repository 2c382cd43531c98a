"""A worker process: one flow, one slot. Starts, runs until told to stop, and says in its exit code how it ended."""

import ctypes
import faulthandler
import gc
import logging
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib import metadata
from typing import Final

from bytewax.run import cli_main

from flows.core import topics
from flows.core.clock import Clock, SystemClock
from flows.core.errors import Busy, WrongSetting, XyraError, ending
from flows.core.settings import Settings
from flows.engine.flow import Flow
from flows.engine.runtime import Engine
from flows.engine.stop import Stop
from flows.wire.kafka import ensure_topics, partition_counts
from flows.wire.lock import SlotLock
from flows.wire.logs import log_to_stderr
from flows.wire.probe import Probe
from flows.wire.telemetry import Telemetry

LOG: Final = logging.getLogger(__name__)

LIVE_S: Final = 90.0
"""A loop that has not moved for this long hangs; a checkpoint may take up to a transaction's time-out while the broker is away."""
GARBAGE: Final = 100_000
"""A batch makes ten thousand objects that live for milliseconds; the collector's own threshold would walk them over and over."""
KEPT_FREE: Final = 256 * 1024 * 1024
HEAP_STEP: Final = 64 * 1024 * 1024
M_TRIM_THRESHOLD, M_TOP_PAD = -1, -2
"""Their numbers in glibc's malloc.h."""
BUG: Final = 1


def run(flow: Flow, settings: Settings, slot: int, *, port: int | None = None) -> int:
    """Run a worker until SIGTERM or SIGINT, and return its exit code; blocks.

    After a crash, or `kill -9`, the next start of the slot goes on behind the last committed batch.

    Args:
        flow: what to run.
        settings: the cluster, the data directory, the size of batches.
        slot: which of the flow's workers this is; no two processes share one.
        port: where `/metrics` and `/health` are served; none without it.

    Returns:
        0: drained. 1: a step raised, which is a bug. 8: the broker was away, or the disk is full. Otherwise the error's own (`flows.core.errors`).

    """
    faulthandler.enable()  # a crash inside a client's C or Rust code then says where
    log_to_stderr(settings.log_level, f"{flow.name}/{slot}")
    try:
        with ExitStack() as stack:
            _run(flow, settings, slot, port, stack)
    except XyraError as error:
        code, operator = ending(error)
        advice = "" if isinstance(error, Busy) else f" {operator}"  # what is held is said with what to do, by name
        LOG.error("%s: %s%s", error.code, error.detail, advice)  # noqa: TRY400  its text says it all, a trace would bury it
        return code
    except Exception:  # the process's last stop: whatever it is, nothing was committed and the code is not 0
        LOG.exception("A step raised. Nothing of its batch was committed; mend the step, or wrap it with flows.steps.guard.")
        return BUG
    LOG.info("Drained.")
    return 0


def _run(flow: Flow, settings: Settings, slot: int, port: int | None, stack: ExitStack) -> None:
    stop = Stop()
    stack.enter_context(_signals(stop))
    lock = SlotLock(settings.data_dir / "state" / flow.name / f"slot-{slot}.lock", f"Slot {slot} of the flow {flow.name}")
    stack.callback(lock.release)
    prepare_topics(flow, settings)
    clock, telemetry = SystemClock(), Telemetry()
    engine = Engine(flow, settings, slot, metadata.version("xyra-integration"), clock, telemetry, stop=stop)
    stack.callback(engine.close)
    if port:
        probe = Probe(settings.http_host, port, telemetry, {"live": lambda: live(engine, clock), "ready": lambda: ready(engine)})
        stack.callback(probe.close)
        LOG.info("Its own /health and /metrics are on port %d.", probe.port)
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)
    _keep_heap()
    drive(flow, engine)


def drive(flow: Flow, engine: Engine) -> None:
    """Open the engine and run the flow's dataflow on it until it is stopped; raises what stopped it otherwise."""
    engine.open()
    dataflow = flow.build(engine)
    try:
        cli_main(dataflow, epoch_interval=timedelta(0))  # type: ignore[no-untyped-call]  # compiled, without types
    except BaseException as error:  # noqa: BLE001  Rust's panics are no Exception; the first error that was ours says more
        raise engine.noted.error or error from None


def prepare_topics(flow: Flow, settings: Settings) -> None:
    """Make the topics that are missing, and see that state can be kept by partition; blocks for 50 s at most.

    Raises:
        Unavailable: the broker is away.
        WrongSetting: partition counts do not match; the text says what to do.

    """
    counts = partition_counts(settings)
    source, changelog = counts.get(flow.topic.name), counts.get(flow.changelog.name)
    if source is not None and changelog is not None and source != changelog:
        raise WrongSetting(
            f"The topic {flow.topic.name} has {source} partitions and the state of the flow {flow.name} was kept for {changelog} ({flow.changelog.name}). "
            f"State is kept by partition: go back to {changelog} partitions, or delete {flow.changelog.name} and with it the flow's state."
        )
    ensure_topics(settings, [flow.topic, flow.changelog, *flow.writes, topics.DLQ, topics.JOURNAL, topics.STATUS, topics.CONFIG])


def live(engine: Engine, clock: Clock) -> Mapping[str, object] | None:
    """Tell what is wrong with the loop, None when it moves."""
    still_s = clock.monotonic() - engine.moved_at
    return {"still_seconds": round(still_s, 1)} if still_s > LIVE_S else None


def ready(engine: Engine) -> Mapping[str, object] | None:
    """Tell what a worker still waits for, None when it works."""
    if engine.inlet.broker_away:
        return {"waiting_for": "broker"}
    if not engine.assignment.ready:
        return {"waiting_for": "state" if engine.assignment.restoring else "partitions"}
    return None


def _keep_heap() -> None:
    """Keep what a batch leaves for the next one: glibc gives memory back at 128 KiB free, and every batch would fault its pages in anew."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another libc has none, and is only slower
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, KEPT_FREE)
        mallopt(M_TOP_PAD, HEAP_STEP)


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Let SIGTERM and SIGINT drain; Bytewax would die of the first and raise in the middle of a step on the second."""
    kept = {number: signal.signal(number, stop.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
