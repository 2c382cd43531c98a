"""How long a record takes from its appointed time through a flow to a reader that trusts only what was committed."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import orjson
from confluent_kafka import Consumer, Producer

from tests.bench import contestants, topics
from tests.bench.place import Place
from tests.bench.processes import check, running
from tests.bench.results import Figure, Result, Series, percentile
from tests.kit.topics import Progress

RATE: Final = 1000
SECONDS: Final = 20
WARM_S: Final = 3
"""At the same rate before anything is counted."""
WARM_RECORDS: Final = 200_000
"""Before that, as fast as they go: a broker that has just started is still compiling itself."""
AHEAD_S: Final = 0.5
START_S: Final = 60.0

WHAT: Final = f"from produce to a read_committed reader through one flow, {RATE:,} records/s"
P50: Final = Figure("latency-p50", f"{WHAT}, p50", "ms", 25, "at most")
P99: Final = Figure("latency-p99", f"{WHAT}, p99", "ms", 80, "at most")


class Seen(NamedTuple):
    """What a reader has seen: seconds from each record's due time, and how many came twice."""

    latencies: list[float]
    twice: int


def schedule(rate: int, warm_s: float, seconds: float, ahead_s: float) -> tuple[list[float], range]:
    """Return when each record is due, in seconds since the epoch, and the numbers of those behind the warm-up: they count."""
    begin, warm, every = time.time() + ahead_s, int(warm_s * rate), int((warm_s + seconds) * rate)
    return [begin + n / rate for n in range(every)], range(warm, every)


class Reader(threading.Thread):
    """Reads a topic from its end as of now, and notes when each record with a `due` and an `n` in its JSON came."""

    def __init__(self, bootstrap: str, topic: str, counted: range) -> None:
        """Stand at the end of the topic; `start` begins to read."""
        super().__init__(daemon=True)
        self._consumer: Consumer = topics.read_end(bootstrap, topic)
        self._counted = counted
        self._came: dict[int, float] = {}
        self._twice = 0
        self._enough = threading.Event()

    def run(self) -> None:
        """Read until stopped."""
        while not self._enough.is_set():
            # One call for 500 would wait until they are there, and measure itself.
            for message in self._consumer.consume(1, 0.05) + self._consumer.consume(500, 0):
                now = time.time()
                if message.error():
                    continue
                value = orjson.loads(message.value() or b"{}")
                if value["n"] in self._counted:
                    self._twice += value["n"] in self._came
                    self._came.setdefault(value["n"], now - value["due"])

    def seen(self, timeout_s: float) -> Seen:
        """Wait until everything that counts came, stop, and return it.

        Raises:
            TimeoutError: something is missing.

        """
        try:
            topics.wait_until(lambda: len(self._came) >= len(self._counted), timeout_s, f"{len(self._counted):,} records on the output")
        finally:
            self._enough.set()
            self.join()
            self._consumer.close()
        return Seen(list(self._came.values()), self._twice)


def produce(bootstrap: str, topic: str, due: list[float]) -> None:
    """Write each record at its time; one that is late is sent at once, and its latency counts from when it was due."""
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": topics.QUIET})  # its defaults: acks=all, 5 ms to fill a batch
    for n, at in enumerate(due):
        if (wait := at - time.time()) > 0:
            time.sleep(wait)
        key, value = _with_due(n, at)
        producer.produce(topic, value, key)
        producer.poll(0)
    producer.flush(10)


def _with_due(n: int, due: float) -> tuple[bytes, bytes]:
    key, value = topics.body(n)
    return key, b'{"n":%d,"due":%.6f,' % (n, due) + value[1:]


def engine(place: Place) -> Iterator[Result]:
    """Send at a fixed rate through the stateless flow."""
    mode, topic = "stateless", "bench.latency"
    topics.make(place.bootstrap, topic, f"{topic}.out")
    work = contestants.ours(place, mode, topic, "latency")
    log = place.data / "latency.log"
    runs, progress = [], Progress(place.bootstrap, work.group, topic, topics.PARTITIONS)
    with running(work.command, log, work.env) as process:
        place.say("latency: warming up")
        topics.fill(place.bootstrap, topic, WARM_RECORDS, lambda n: _with_due(n, 0.0))
        topics.wait_until(lambda: progress.committed() >= WARM_RECORDS, START_S, "the worker's first commits")
        for number in range(place.rounds()):
            place.say(f"latency, round {number + 1}")
            check(process, log)
            runs.append(one(place, lambda due: produce(place.bootstrap, topic, due), f"{topic}.out"))
    yield from results(runs, P50, P99)


def one(place: Place, send: Callable[[list[float]], None], out: str, rate: int = RATE, ahead_s: float = AHEAD_S) -> Seen:
    """Send one schedule and return what came of it."""
    due, counted = schedule(rate, WARM_S, place.amount(SECONDS * 1000) / 1000, ahead_s)
    reader = Reader(place.bootstrap, out, counted)
    reader.start()
    send(due)
    return reader.seen(30.0)


def results(runs: list[Seen], p50: Figure | None, p99: Figure) -> Iterator[Result]:
    """Return the figures of several runs."""
    halves, tails = (Series(tuple(1000 * percentile(run.latencies, share) for run in runs)) for share in (0.5, 0.99))
    notes: tuple[tuple[str, Any], ...] = (
        ("latency_ms", {"p50": halves.as_json(), "p99": tails.as_json(), "max": round(1000 * max(max(r.latencies) for r in runs), 1)}),
        ("records", sum(len(run.latencies) for run in runs)),
        ("duplicates", sum(run.twice for run in runs)),
    )
    if p50:
        yield Result(p50, halves, None, notes)
    yield Result(p99, tails, None, notes)
