"""Kills the replay flow in the middle of replays that two operators have ordered, and counts what has entered.

Letters stand on `xyra.dlq`, from a topic of the test's own. Two replays are about all of them, at once. Whenever a few more
have entered, the worker dies by SIGKILL and is started again; in the end every letter has entered once, and the index says so.
"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from confluent_kafka import Producer

from deploy.local.ports import free_port
from flows.core import topics
from flows.core.orders import StoredReplay
from flows.core.record import Record
from flows.core.settings import PREFIX
from flows.core.verdict import Reason
from flows.engine.letters import letter
from flows.wire.kafka import PARTITIONER, ensure_topics
from tests.kit.door import until
from tests.kit.settings import settings_for
from tests.kit.topics import Read, topic_reader

LETTERS = 900
KILLS = 3


@pytest.mark.timeout(240)
def test_each_letter_enters_once_while_the_worker_dies(kafka: str, tmp_path: Path) -> None:
    settings = settings_for(kafka, tmp_path)
    target = f"t-{uuid4().hex[:10]}"
    ensure_topics(settings, [*topics.TOPICS, replace(topics.EVENTS, name=target)])
    producer = Producer({"bootstrap.servers": kafka, "partitioner": PARTITIONER})
    for n in range(LETTERS):
        record = Record(target, 0, n, 0, b"k%d" % n, b"v%d" % n, (("ce_id", b"%d" % n),))
        made = letter("flow", "step", target, record, [Reason("schema", "wrong")], 1_800_000_000_000, "1")
        producer.produce(made.topic, made.value, made.key, headers=list(made.headers))
    assert producer.flush(30) == 0
    last = Counter[int]()
    for read in topic_reader(kafka, topics.DLQ.name):
        last[read.partition] = max(last[read.partition], read.offset)
    names = [uuid4().hex for _ in range(2)]
    common = {"until": dict(last), "filter": {"resource": target}, "by": "admin", "at_ms": 0, "rate_per_second": 400}
    for name in names:
        order = StoredReplay.model_validate({"replay_id": name} | common).model_dump_json(by_alias=True, exclude_none=True)
        producer.produce(topics.CONFIG.name, order.encode(), f"replay/{name}".encode())
    assert producer.flush(30) == 0

    env = {**os.environ, PREFIX + "KAFKA_BOOTSTRAP_SERVERS": kafka, PREFIX + "DATA_DIR": str(settings.data_dir)}
    command = [sys.executable, "-m", "deploy.cli.main", "worker", "replay", "--slot", "0", "--port", str(free_port())]
    log = (tmp_path / "log").open("ab")

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def entered() -> list[Read]:
        return topic_reader(kafka, target)

    worker = start()
    try:
        for kill in range(1, KILLS + 1):
            share = LETTERS * kill // (KILLS + 2)
            until(lambda share=share: len(entered()) >= share, why=(tmp_path / "log").read_text)  # type: ignore[misc]  # bound at once
            worker.kill()
            worker.wait()
            worker = start()
        until(lambda: told(kafka, names).get("over") == len(names) * len(last), timeout_s=90, why=lambda: told(kafka, names))
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait()
        log.close()
    found = Counter(read.header("x-replayed-letter") for read in entered())
    assert len(found) == LETTERS
    assert set(found.values()) == {1}
    counts = told(kafka, names)
    assert (counts["done"], counts["done"] + counts["already"], counts["failed"]) == (LETTERS, counts["selected"], 0)
    index = {read.key: read.value for read in topic_reader(kafka, topics.LETTERS.name)}
    statuses = Counter(one["status"] for value in index.values() if value is not None and (one := orjson.loads(value))["resource"] == target)
    assert statuses == {"replayed": LETTERS}


def told(kafka: str, names: list[str]) -> Counter[str]:
    """Add up what the partitions tell of the replays."""
    last = {(read.key or b"").decode(): read.value for read in topic_reader(kafka, topics.STATUS.name)}
    sums = Counter[str]()
    for key, value in last.items():
        if value is not None and key.startswith("replay/") and key.split("/")[1] in names:
            sums.update({name: int(n) for name, n in orjson.loads(value).items() if name != "trouble"})
    return sums
