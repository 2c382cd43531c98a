"""An import whose worker is killed again and again: what is lost, what comes twice, and how soon the next worker's first rows are there."""

import random
import signal
import time
from collections.abc import Iterator
from typing import Final

from tests.bench.imports import data
from tests.bench.imports.office import Office, committed, office, target
from tests.bench.place import Place
from tests.bench.processes import end
from tests.bench.results import Figure, Result, Series

ROWS: Final = 5_000_000
KILLS: Final = 10
SETTLE_S: Final = 0.2
"""After a kill: a commit that was on its way is done, and a new worker cannot have come so far."""
MOMENTS_S: Final = 1.5
"""At most so long after a worker's first rows it is killed."""

KILL: Final = Figure(
    "imports-kill",
    f"import of {ROWS:,} rows, its worker killed {KILLS} times at random moments, none lost, none twice: restart to the first new row, worst of all",
    "s", 3, "at most", worst=True,
)  # fmt: skip


def kills(place: Place) -> Iterator[Result]:
    """Kill the worker, start the next, wait for its first rows; then count all."""
    rows, path, dice = place.amount(ROWS), place.data / "orders.csv", random.Random(1)
    place.say(f"kills: writing {rows:,} rows")
    data.csv(path, rows)
    topic, took = target(), []
    with office(place, "kills") as here:
        job_id = here.order(here.upload(path, "csv"), "csv", transformation_rules=data.RULES, target_topic=topic)
        here.until(job_id, lambda report: report["rows_read"] > 0)
        for number in range(place.rounds(KILLS)):
            place.say(f"kills: {number + 1}")
            time.sleep(dice.uniform(0, MOMENTS_S))
            took.append(_killed(here, job_id))
        place.say("kills: to the end")
        report = here.until(job_id, lambda _: False)
    lost, twice = _counted(place, topic, rows)
    if report["status"] != "completed" or lost or twice:
        raise RuntimeError(f"the job is {report['status']} ({report['trouble']}); {lost:,} rows are lost and {twice:,} came twice")
    yield Result(KILL, Series(tuple(took)), None, (("kills", len(took)), ("rows", rows), ("lost", lost), ("twice", twice)))


def _killed(here: Office, job_id: str) -> float:
    """Kill the worker, and return how long the next one takes from its start to its first rows."""
    end(here.worker, signal.SIGKILL)
    begin = time.monotonic()
    here.hire()
    time.sleep(SETTLE_S)
    before = here.look(job_id)
    if before["status"] != "running":
        raise RuntimeError(f"the job is {before['status']} before its worker was killed often enough")
    here.until(job_id, lambda report: report["rows_read"] > before["rows_read"])
    return time.monotonic() - begin


def _counted(place: Place, topic: str, rows: int) -> tuple[int, int]:
    """Return how many rows are not on the topic, and how many are there once too often."""
    seen = bytearray(rows)
    twice = 0

    def note(value: bytes) -> None:
        nonlocal twice
        number = int(value[6 : value.index(b",")])  # {"id":7,
        twice += seen[number]
        seen[number] = 1

    committed(place.bootstrap, topic, note)
    return seen.count(0), twice
