"""What the life of an event costs the flow that decides on it: the flow with its journal, beside the same flow without."""

import sys
from collections.abc import Iterator
from typing import Final

from confluent_kafka import Producer

from deploy.cli.topics import all_topics
from flows.core import topics as tables
from flows.core.settings import load
from flows.wire.kafka import ensure_topics
from tests.bench import topics
from tests.bench.place import Place
from tests.bench.rate import Rate, Work, measure
from tests.bench.results import Figure, Result, Series
from tests.kit.line import stored

RECORDS: Final = 200_000
TOPIC: Final = "bench.life"
ENDPOINT: Final = "bench"
WITHOUT: Final = "the same flow without a journal"
KEPT: Final = Figure("life-kept", "flow `webhooks`, all records kept, with what the life of an event needs", "records/s", 0.9, "at least", WITHOUT)
DROPPED: Final = Figure("life-dropped", "flow `webhooks`, one record in ten dropped, with the same", "records/s", 0.9, "at least", WITHOUT)


def kept(place: Place) -> Iterator[Result]:
    """Keep all records: nothing is written of them but their events."""
    yield _contest(place, KEPT, "true")


def dropped(place: Place) -> Iterator[Result]:
    """Drop one record in ten, each with a line on the journal."""
    yield _contest(place, DROPPED, "body.id % 10 != 0")


def _contest(place: Place, figure: Figure, expression: str) -> Result:
    """Run both in turn, several times round."""
    place.say(f"{figure.name}: writing {RECORDS:,} webhooks")
    ensure_topics(load(place.env("life")), all_topics())
    define(place, expression)
    topics.make(place.bootstrap, TOPIC)
    topics.fill(place.bootstrap, TOPIC, RECORDS, headers=[("ce_source", f"/webhooks/{ENDPOINT}".encode())])
    rates: dict[str, list[Rate]] = {"webhooks": [], "webhooks-without-journal": []}
    for number in range(place.rounds()):
        for flow, found in rates.items():
            place.say(f"{figure.name}, round {number + 1}: {flow}")
            found.append(_run(place, flow, f"{flow}-{number}"))
    topics.delete(place.bootstrap, TOPIC)
    ours, theirs = (Series(tuple(rate.records_per_s for rate in found)) for found in rates.values())
    cost = {flow: round(sum(rate.cpu_us_per_record for rate in found) / len(found), 2) for flow, found in rates.items()}
    return Result(figure, ours, theirs, (("cpu_us_per_record", cost),))


def define(place: Place, expression: str) -> None:
    """Put the endpoint's definition on the log."""
    producer = Producer({"bootstrap.servers": place.bootstrap})
    producer.produce(tables.CONFIG.name, stored({"endpoint_id": ENDPOINT, "filter": expression}), f"webhook/{ENDPOINT}")
    producer.flush(topics.TIMEOUT_S)


def _run(place: Place, flow: str, name: str) -> Rate:
    command = [sys.executable, "-m", "tests.bench.flows", flow, "--topic", TOPIC, "--name", name, "--slot", "0"]
    return measure(Work(flow, command, f"xyra-{name}", place.env(name)), place.bootstrap, TOPIC, RECORDS, place.data / f"{name}.log")
