"""A flow that buries too much stands still until somebody has looked: on a real Kafka."""

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Producer

from flows.core import topics
from flows.core.orders import StoredPause
from flows.core.verdict import Reason
from flows.engine import Batch
from flows.engine.runtime import Engine
from tests.kit.engine import Bench, balanced, bench
from tests.kit.settings import PARTITIONS

BAD = b"bad"


TRIED = b"tried"
"""An attempt is made of it, which fails for good."""


def judge(batch: Batch) -> None:
    """Bury what is bad, write out the rest."""
    for record in batch.records:
        if record.value in {BAD, TRIED}:
            batch.bury(record, [Reason("schema", "it is bad")], counts=record.value == TRIED)
    batch.settle()
    for portion in batch.portions():
        batch.emit_all(portion, OUT[0], portion.values)


OUT = [""]


def order(made: Bench, **fields: Any) -> None:
    text = StoredPause.model_validate({"by": "admin", "at_ms": 0} | fields).model_dump_json().encode()
    producer = Producer({"bootstrap.servers": made.settings.kafka_bootstrap_servers})
    producer.produce(topics.CONFIG.name, text, f"pause/{made.name}".encode())
    assert producer.flush(20) == 0


def told(made: Bench) -> dict[str, Any]:
    """Return what is told of the partitions that stand."""
    prefix = f"flow/{made.name}/"
    last = {(read.key or b"").decode(): read.value for read in made.read(topics.STATUS.name)}
    return {key.removeprefix(prefix): orjson.loads(value) for key, value in last.items() if key.startswith(prefix) and value is not None}


def stands(engine: Engine) -> bool:
    shares = engine.assignment.shares.values()
    return engine.assignment.ready and bool(shares) and all(share.paused is not None for share in shares)


def goes(engine: Engine) -> bool:
    """Tell whether no partition stands, and nothing waits any more."""
    shares = engine.assignment.shares.values()
    return engine.assignment.ready and bool(shares) and all(share.paused is None and share.tallies.waiting == 0 for share in shares)


def started(kafka: str, tmp_path: Path, least: str = "100") -> Bench:
    made = bench(kafka, tmp_path, dlq_min_count=least)
    OUT[0] = made.target
    return made


def records(count: int, value: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % n, value) for n in range(count)]


def test_a_flow_that_buries_too_much_stands_and_nothing_is_lost(kafka: str, tmp_path: Path) -> None:
    made = started(kafka, tmp_path)
    flow = made.flow(judge)
    made.send(*records(500, BAD))
    made.run(flow, until=stands)
    assert len(made.dead()) == 99
    assert balanced(made.tallies())
    assert sum(tally["waiting"] for tally in made.tallies().values()) + 99 == sum(tally["in"] for tally in made.tallies().values())
    why = told(made)
    assert len(why) == PARTITIONS
    assert "more than 50%" in why["0"]["why"]
    made.send(*records(50, b"good"))
    looks = []

    def looked(engine: Engine) -> bool:
        looks.append(stands(engine))
        return len(looks) > 40 and stands(engine)

    made.run(flow, until=looked)
    assert made.read() == []
    assert len(made.dead()) == 99
    order(made, order_id="go", paused=False, bury_until_ms=made.clock.now_ms() + 600_000)
    made.run(flow, until=lambda engine: goes(engine) and made.through(engine))
    assert len(made.dead()) == 500
    assert len(made.read()) == 50
    assert told(made) == {}
    tallies = made.tallies()
    assert balanced(tallies)
    assert sum(tally["in"] for tally in tallies.values()) == 550


def test_a_flow_is_paused_and_let_go_on_by_order(kafka: str, tmp_path: Path) -> None:
    made = started(kafka, tmp_path)
    flow = made.flow(judge)
    order(made, order_id="stop", paused=True, reason="maintenance")
    made.send(*records(20, b"good"))
    looks: list[bool] = []

    def looked(engine: Engine) -> bool:
        looks.append(stands(engine))
        return len(looks) > 20 and stands(engine)

    made.run(flow, until=looked)
    before = len(made.read())
    assert {one["why"] for one in told(made).values()} == {"maintenance"}
    assert balanced(made.tallies())
    order(made, order_id="go", paused=False)
    made.run(flow)
    assert before <= len(made.read()) == 20
    assert told(made) == {}


def test_bad_records_among_many_good_ones_stop_nothing(kafka: str, tmp_path: Path) -> None:
    made = started(kafka, tmp_path, "10")
    made.send(*[pair for n in range(300) for pair in ((b"k%d" % n, b"good"), (b"k%d" % n, BAD if n % 3 == 0 else b"good"))])
    made.run(made.flow(judge))
    assert (len(made.dead()), len(made.read()), told(made)) == (100, 500, {})


def test_what_was_read_and_not_handed_out_comes_again(kafka: str, tmp_path: Path) -> None:
    """Forty records of 0.9 MB are read at once, and handed out 16 MiB at a time: the first of them make the flow stand."""
    made = bench(kafka, tmp_path, dlq_min_count="1", dlq_ratio="0")
    large = BAD * 300_000

    def refuse(batch: Batch) -> None:
        for record in batch.records:
            batch.bury(record, [Reason("schema", "it is large")])

    flow = made.flow(refuse)
    made.send(*((b"k%02d" % n, large) for n in range(40)), partition=0)
    made.run(flow, until=stands)
    assert made.dead() == []
    assert sum(tally["in"] for tally in made.tallies().values()) < 40
    order(made, order_id="go", paused=False, bury_until_ms=made.clock.now_ms() + 600_000)
    made.run(flow, until=lambda engine: goes(engine) and made.through(engine))
    assert sorted(dead.key or b"" for dead in made.dead()) == [b"k%02d" % n for n in range(40)]
    assert balanced(made.tallies())


def test_an_attempt_counts_though_its_burial_has_to_wait(kafka: str, tmp_path: Path) -> None:
    """The first batch may bury nothing and waits; what an attempt was made of is tried once more when it goes on."""
    made = started(kafka, tmp_path, least="1")
    made.send(*records(5, TRIED), *records(5, BAD), partition=0)
    made.run(made.flow(judge), until=stands)
    assert made.dead() == []
    order(made, order_id="go", paused=False, bury_until_ms=made.clock.now_ms() + 600_000)
    made.run(made.flow(judge), until=lambda engine: goes(engine) and made.through(engine))
    attempts = Counter(dead.header("x-dlq-attempt") for dead in made.dead())
    assert (attempts["0"], attempts["1"] + attempts["2"]) == (5, 5)
    assert attempts["2"] >= 1
    assert not any(dead.header("x-attempt") for dead in made.dead())
