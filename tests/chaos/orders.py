"""Orders to replay dead letters, given as the ingress gives them: on `xyra.config`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

import orjson
from confluent_kafka import Producer

from flows.core import topics
from flows.core.clock import SystemClock
from flows.core.deadletters.summaries import Summary
from flows.core.orders import StoredReplay
from tests.kit.topics import topic_reader

FLUSH_S: Final = 60.0


class Ordered(NamedTuple):
    """An order that was given."""

    name: str
    partitions: int
    """How many have to carry it out."""


def order(producer: Producer, bootstrap: str, chosen: Mapping[str, Any], rate: float | None = None) -> Ordered:
    """Order that the letters there are and that are chosen by a filter enter once more."""
    until = last_letters(bootstrap)
    found = StoredReplay.model_validate(
        {"replay_id": uuid4().hex, "until": until, "filter": chosen, "by": "admin", "at_ms": SystemClock().now_ms(), "rate_per_second": rate}
    )
    write(producer, f"replay/{found.replay_id}", found.model_dump_json(by_alias=True, exclude_none=True))
    return Ordered(found.replay_id, len(until))


def write(producer: Producer, key: str, value: str | bytes) -> None:
    """Put a definition, or an order, on its topic."""
    producer.produce(topics.CONFIG.name, value, key)
    flush(producer)


def flush(producer: Producer) -> None:
    """Wait until everything is on the log.

    Raises:
        TimeoutError: it was not, within a minute.

    """
    left = producer.flush(FLUSH_S)
    if left:
        raise TimeoutError(f"{left} records did not reach Kafka within {FLUSH_S:.0f} s")


def last_letters(bootstrap: str) -> dict[int, int]:
    """Return the last letter's offset of each partition that has any."""
    last = Counter[int]()
    for read in topic_reader(bootstrap, topics.DLQ.name):
        last[read.partition] = max(last[read.partition], read.offset)
    return dict(last)


def told(bootstrap: str, orders: Sequence[Ordered]) -> Counter[str]:
    """Add up what the partitions tell of orders; `over` counts those that have nothing left to do."""
    names = {one.name for one in orders}
    last = {(read.key or b"").decode(): read.value for read in topic_reader(bootstrap, topics.STATUS.name)}
    sums = Counter[str]()
    for key, value in last.items():
        if value is not None and key.startswith("replay/") and key.split("/")[1] in names:
            sums.update({name: int(n) for name, n in orjson.loads(value).items() if name != "trouble"})
    return sums


def all_over(bootstrap: str, orders: Sequence[Ordered]) -> bool:
    """Tell whether every partition has carried out every order."""
    return told(bootstrap, orders)["over"] == sum(one.partitions for one in orders)


def index(bootstrap: str) -> list[Summary]:
    """Return the letters as `xyra.letters` has them."""
    last = {read.key: read.value for read in topic_reader(bootstrap, topics.LETTERS.name)}
    return [Summary.read(value) for value in last.values() if value is not None]
