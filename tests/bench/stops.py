"""How long a worker at full load takes to leave when asked, and to be back after it was killed."""

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from tests.bench import contestants, topics
from tests.bench.place import Place
from tests.bench.processes import check, end, start
from tests.bench.results import Figure, Result, Series
from tests.kit.topics import Progress

RECORDS: Final = 2_000_000
BUSY: Final = 60_000
"""Records that must be committed before a signal: the worker is then at full load."""
SETTLE_S: Final = 0.2
"""After a kill: a commit that was on its way is done, and a new process cannot have come so far."""
STUCK_S: Final = 60.0
MODE: Final = "count"

DRAIN: Final = Figure("drain", "SIGTERM to exit, worker with state at full load, worst of the runs", "s", 2, "at most", worst=True)
TAKEOVER: Final = Figure("takeover", "kill -9 to the first commit of the process that follows, at full load, worst of the runs", "s", 3, "at most", worst=True)


def stops(place: Place) -> Iterator[Result]:
    """Kill a worker, start the next, ask that one to leave; again and again along one topic."""
    topic = "bench.stops"
    place.say("stops: writing records")
    topics.make(place.bootstrap, topic, f"{topic}.out")
    topics.fill(place.bootstrap, topic, place.amount(RECORDS))
    work = contestants.ours(place, MODE, topic, "stops")
    log, progress = place.data / "stops.log", Progress(place.bootstrap, work.group, topic, topics.PARTITIONS)
    drains, takeovers = [], []

    def advanced(process: subprocess.Popen[bytes], beyond: int) -> bool:
        check(process, log)
        return progress.committed() > beyond

    def busy(process: subprocess.Popen[bytes]) -> None:
        done = progress.committed()
        topics.wait_until(lambda: advanced(process, done + BUSY), STUCK_S, "the worker's next commits", every_s=0.01)

    process = start(work.command, log, work.env)
    try:
        for number in range(place.rounds(5)):
            place.say(f"stops, round {number + 1}")
            busy(process)
            end(process, signal.SIGKILL)
            killed = time.monotonic()
            process = start(work.command, log, work.env)
            time.sleep(SETTLE_S)
            done = progress.committed()
            topics.wait_until(lambda p=process, d=done: advanced(p, d), STUCK_S, "a first commit", every_s=0.01)  # type: ignore[misc]  # bound for this round
            takeovers.append(time.monotonic() - killed)
            busy(process)
            drains.append(end(process))
            if process.returncode != 0:
                msg = f"the worker left with exit code {process.returncode}, not 0"
                raise RuntimeError(msg)
            process = start(work.command, log, work.env)
    finally:
        end(process)
        progress.close()
    yield Result(DRAIN, Series(tuple(drains)))
    yield Result(TAKEOVER, Series(tuple(takeovers)))
