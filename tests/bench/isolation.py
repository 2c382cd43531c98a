"""Whether a target that hangs for ever delays the others: how old events are when the others get them, without it and with it, in one run."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from confluent_kafka import Producer

from flows.core import topics
from flows.core.settings import load
from flows.wire.kafka import PARTITIONER, ensure_topics
from tests.bench.deliveries import Seen, define, send, targets, worker
from tests.bench.place import Place
from tests.bench.processes import check, running
from tests.bench.results import Figure, Result, Series, percentile
from tests.bench.topics import PARTITIONS, wait_until

TARGETS: Final = 25
EACH_PER_S: Final = 20
"""Events of one target, the one that hangs included."""
WARM_S: Final = 3
PHASE_S: Final = 10
"""Two hundred events of each target: the 99th percentile is the third worst of them."""
CALM_S: Final = 17
"""The calls that hang end with their time-out, 15 s where the definition says nothing; what waits behind them is buried then."""
COME_S: Final = 20.0

ISOLATION: Final = Figure(
    "deliveries-isolation",
    f"event to its delivery, {TARGETS * EACH_PER_S} events/s, with one more target that hangs for ever; p99 of the others",
    "ms", 1.5, "at most", f"the same {TARGETS} targets before",
)  # fmt: skip

Late = dict[int, list[float]]


def isolation(place: Place) -> Iterator[Result]:
    """Deliver to targets that are well; then beside one that hangs, which is given up at the end of each round."""
    env = place.env("isolation", INTEGRATION_EGRESS_ALLOW="127.0.0.0/8", INTEGRATION_KAFKA_PARTITIONS=str(PARTITIONS))
    settings, seen, rounds = load(env), Seen(), place.rounds(2)
    ensure_topics(settings, topics.TOPICS)
    producer = Producer({"bootstrap.servers": place.bootstrap, "partitioner": PARTITIONER})
    alone: list[Late] = []
    beside: list[Late] = []
    with targets(seen, TARGETS, hanging=rounds) as ports:
        well = range(TARGETS)
        define(settings, {n: ports[n] for n in well})
        with running(worker(), place.data / "isolation.log", env) as process:
            _phase(producer, seen, well, WARM_S)
            for number in range(rounds):
                place.say(f"isolation, round {number + 1}: all are well")
                alone.append(_phase(producer, seen, well))
                place.say("isolation: one hangs")
                hangs = TARGETS + number
                define(settings, {hangs: ports[hangs]})
                beside.append(_phase(producer, seen, [*well, hangs]))
                define(settings, {hangs: ports[hangs]}, "inactive")
                check(process, place.data / "isolation.log")
                if number + 1 < rounds:
                    time.sleep(CALM_S)
    worst = max(_p99(after[n]) / _p99(before[n]) for before, after in zip(alone, beside, strict=True) for n in well)
    yield Result(ISOLATION, Series(tuple(map(_of_all, beside))), Series(tuple(map(_of_all, alone))), (("worst_target_ratio", round(worst, 2)),))


def _phase(producer: Producer, seen: Seen, numbers: Sequence[int], seconds: int = PHASE_S) -> Late:
    """Send evenly to these targets, wait until those that are well have it all, and return how late it came to each."""
    seen.late = late = defaultdict[int, list[float]](list)
    begin, total = time.monotonic(), seconds * EACH_PER_S * len(numbers)
    for n in range(total):
        if (wait := begin + n / (EACH_PER_S * len(numbers)) - time.monotonic()) > 0:
            time.sleep(wait)
        send(producer, numbers[n % len(numbers)])
        producer.poll(0)
    producer.flush(10)
    wait_until(lambda: all(len(late[n]) >= seconds * EACH_PER_S for n in range(TARGETS)), COME_S, "deliveries to the targets that are well")
    return late


def _p99(late: Sequence[float]) -> float:
    return percentile(late, 0.99)


def _of_all(late: Late) -> float:
    return _p99([value for n in range(TARGETS) for value in late[n]])
