"""The engine against its peers on the same topic of the same broker, one after the other, several times round."""

from collections.abc import Callable, Iterator
from typing import Final

from tests.bench import contestants, topics
from tests.bench.place import Place
from tests.bench.rate import Rate, Work, measure
from tests.bench.results import Figure, Result, Series

RECORDS: Final = {"stateless": 4_000_000, "count": 2_400_000}
"""So many that the fastest needs ten seconds and Quix Streams, which commits every five, twenty; also when quick."""
QUIX_SHARE: Final = 2
"""Quix Streams is measured on a part of them: it is slower."""
WHAT: Final = {"stateless": "stateless JSON transform, exactly once, one process", "count": "keyed count in RocksDB with changelog, exactly once, one process"}

STATELESS_STREAMS: Final = Figure("stateless-kafka-streams", WHAT["stateless"], "records/s", 1.2, "at least", contestants.KAFKA_STREAMS)
STATELESS_QUIX: Final = Figure("stateless-quix", WHAT["stateless"], "records/s", 3, "at least", contestants.QUIX)
COUNT_STREAMS: Final = Figure("count-kafka-streams", WHAT["count"], "records/s", 1.3, "at least", contestants.KAFKA_STREAMS)
COUNT_QUIX: Final = Figure("count-quix", WHAT["count"], "records/s", 4, "at least", contestants.QUIX)

Ready = Callable[[Place, str, str, str], Work]


def stateless(place: Place) -> Iterator[Result]:
    """Parse JSON, set a field, write."""
    yield from _contest(place, "stateless", STATELESS_STREAMS, STATELESS_QUIX)


def count(place: Place) -> Iterator[Result]:
    """Count the records of each key, write the new count for every record."""
    yield from _contest(place, "count", COUNT_STREAMS, COUNT_QUIX)


def _contest(place: Place, mode: str, against_streams: Figure, against_quix: Figure) -> Iterator[Result]:
    topic, records = f"bench.{mode}", RECORDS[mode]
    place.say(f"{mode}: writing {records:,} records")
    topics.make(place.bootstrap, topic)
    topics.fill(place.bootstrap, topic, records)
    ours, streams, quix = [], [], []
    for number in range(place.rounds()):
        ours.append(_run(place, mode, topic, contestants.ours, number, records))
        streams.append(_run(place, mode, topic, contestants.kafka_streams, number, records))
        quix.append(_run(place, mode, topic, contestants.quix, number, records // QUIX_SHARE))
    topics.delete(place.bootstrap, topic)
    yield Result(against_streams, _series(ours), _series(streams), _notes(ours, streams))
    yield Result(against_quix, _series(ours), _series(quix), _notes(ours, quix))


def _run(place: Place, mode: str, topic: str, ready: Ready, number: int, records: int) -> Rate:
    work = ready(place, mode, topic, f"{mode}-{number}")
    topics.make(place.bootstrap, f"{topic}.out")
    place.say(f"{mode}, round {number + 1}: {work.name}")
    try:
        return measure(work, place.bootstrap, topic, records, place.data / f"{work.group}.log")
    finally:
        topics.delete(place.bootstrap, f"{topic}.", work.group, f"xyra.{mode}-{number}.")  # outputs and changelogs, so that no run finds another's


def _series(rates: list[Rate]) -> Series:
    return Series(tuple(rate.records_per_s for rate in rates))


def _notes(ours: list[Rate], theirs: list[Rate]) -> tuple[tuple[str, dict[str, dict[str, float]]], ...]:
    def of(rates: list[Rate]) -> dict[str, float]:
        return {
            "cpu_us_per_record": round(sum(r.cpu_us_per_record for r in rates) / len(rates), 2),
            "rss_mib": round(max(r.rss_mib for r in rates)),
            "measured_s": round(sum(r.seconds for r in rates), 1),
        }

    return (("cost", {"ours": of(ours), "peer": of(theirs)}),)
