"""A storm over an import: the one worker dies by SIGKILL whenever the job has come on, and its reading process now and then.

What is proved then, from the log alone: every good row of the file stands on the topic once, every bad one among the rejects once, and the
report says so: rows read = accepted + rejected + skipped = rows of the file.
"""

import hashlib
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson
import psutil

from flows.core import topics
from flows.core.imports.jobs import JOB
from flows.core.imports.progress import Report
from tests.bench.processes import tail
from tests.chaos.plan import Outcome
from tests.chaos.replays import Worker, faults, running
from tests.kit.importer import Importer
from tests.kit.topics import topic_reader

ROWS_OF_A_KILL: Final = 40_000
BAD: Final = 100
"""Every hundredth row is bad."""
A_KILL_S: Final = 15.0
REST_S: Final = 90.0
LOOK_S: Final = 0.1


def people(rows: int, twice: int = 0) -> bytes:
    """Write a file of so many rows, some of them in quotes with a line's end within; the last `twice` of them have the ids of the first."""
    lines = [b'%d,"name\n%d",%s,%s' % (n % (rows - twice), n, b"x" * (n % 90), b"old" if n % BAD == 0 else b"%d" % (n % 90)) for n in range(rows)]
    return b"id,name,note,age\n" + b"\n".join(lines) + b"\n"


def storm(made: Importer, bootstrap: str, home: Path, kills: int, seed: int = 1, *, twice: bool = False) -> Outcome:
    """Have a file imported, and kill the flow whenever its report has moved; `twice`: a quarter of its good rows repeat the id of an earlier one."""
    rows, dice = ROWS_OF_A_KILL * kills, random.Random(seed)
    again = rows // 4 if twice else 0
    data = people(rows, again)
    good, bad = [n for n in range(rows - again) if n % BAD], [n for n in range(rows) if n % BAD == 0 or n >= rows - again]
    rules: dict[str, Any] = {"data_types": {"age": "int64"}} | ({"unique": ["id"]} if twice else {})
    job_id = made.job(data, transformation_rules=rules, source={"chunk_size": 20}, target_topic=f"rows-{uuid4().hex[:8]}")
    target = made.orders[job_id].definition.target_topic or ""
    done, seen, until = 0, 0, time.monotonic() + A_KILL_S * kills + REST_S
    report = Report(job_id=job_id)
    with running("imports", bootstrap, home) as one:
        while time.monotonic() < until and not report.over:
            report = _report(bootstrap, job_id) or report
            if report.rows_read > seen and done < kills and not report.over:
                seen, done = report.rows_read, done + 1
                time.sleep(dice.uniform(0, 0.4))
                _blow(one, dice)
            time.sleep(LOOK_S)
        code = one.drain()
    file = hashlib.sha256(data).hexdigest()
    ids = Counter(read.header("ce_id") for read in topic_reader(bootstrap, target))
    expected = {hashlib.sha256(f"{file}:{n}".encode()).hexdigest() for n in good}
    rejected = sorted(
        orjson.loads(read.header("x-reject") or b"")["ordinal"] for read in topic_reader(bootstrap, topics.REJECTS.name) if read.key == job_id.encode()
    )
    wrong = faults(
        (done, kills, "kills"),
        (code, 0, "exit code of the drain"),
        ((report.status, report.trouble), ("completed_with_errors", ""), "how the job has ended"),
        ((report.rows_read, report.rows_accepted, report.rows_skipped), (rows, len(good), 0), "rows read, accepted, skipped"),
        (set(ids) == expected, True, "the rows are those of the file"),
        (max(ids.values(), default=0), 1, "times that the most frequent row was published"),
        (rejected == bad, True, "each bad row is rejected once"),
    )
    return Outcome(done, {"rows": rows, "published": ids.total(), "rejected": len(rejected)}, wrong, tail(one.log))


def _blow(one: Worker, dice: random.Random) -> None:
    """Kill the worker, or only the process that reads for it."""
    readers = psutil.Process(one.pid).children(recursive=True)  # and the process that forks them
    if readers and dice.random() < 1 / 3:
        dice.choice(readers).send_signal(signal.SIGKILL)
    else:
        one.kill()


def _report(bootstrap: str, job_id: str) -> Report | None:
    told = [read.value for read in topic_reader(bootstrap, topics.STATUS.name) if read.key == f"{JOB}/{job_id}".encode()]
    return Report.of(orjson.loads(told[-1] or b"")) if told else None
