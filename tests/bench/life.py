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

RECORDS: Final = 400_000
TOPIC: Final = "bench.life"
ENDPOINT: Final = "bench"
DROPS: Final = {"kept": "true", "dropped": "body.id % 10 != 0"}
"""The endpoint's filter: all are kept, of which nothing is written; or one in ten is dropped, each with a line on the journal."""
WITHOUT: Final = "the same flow without a journal"
FIGURES: Final = {
    "kept": Figure("life-kept", "flow `webhooks`, all records kept, with what the life of an event needs", "records/s", 0.9, "at least", WITHOUT),
    "dropped": Figure("life-dropped", "flow `webhooks`, one record in ten dropped, with the same", "records/s", 0.9, "at least", WITHOUT),
}


def life(place: Place) -> Iterator[Result]:
    """Run both in turn, several times round."""
    place.say(f"life: writing {RECORDS:,} webhooks")
    ensure_topics(load(place.env("life")), all_topics())
    topics.make(place.bootstrap, TOPIC)
    topics.fill(place.bootstrap, TOPIC, RECORDS, headers=[("ce_source", f"/webhooks/{ENDPOINT}".encode())])
    for kind, expression in DROPS.items():
        define(place, expression)
        rates: dict[str, list[Rate]] = {"webhooks": [], "webhooks-without-journal": []}
        for number in range(place.rounds()):
            for flow, found in rates.items():
                place.say(f"life, {kind}, round {number + 1}: {flow}")
                found.append(_run(place, flow, f"{flow}-{kind}-{number}"))
        ours, theirs = (Series(tuple(rate.records_per_s for rate in found)) for found in rates.values())
        yield Result(FIGURES[kind], ours, theirs)
    topics.delete(place.bootstrap, TOPIC)


def define(place: Place, expression: str) -> None:
    """Put the endpoint's definition on the log."""
    producer = Producer({"bootstrap.servers": place.bootstrap})
    producer.produce(tables.CONFIG.name, stored({"endpoint_id": ENDPOINT, "filter": expression}), f"webhook/{ENDPOINT}")
    producer.flush(topics.TIMEOUT_S)


def _run(place: Place, flow: str, name: str) -> Rate:
    command = [sys.executable, "-m", "tests.bench.flows", flow, "--topic", TOPIC, "--name", name, "--slot", "0"]
    return measure(Work(flow, command, f"xyra-{name}", place.env(name)), place.bootstrap, TOPIC, RECORDS, place.data / f"{name}.log")
