"""What a drain leaves where its process dies, on a real broker: nothing is written twice."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from flows.core import topics
from flows.core.clock import SystemClock
from flows.core.errors import Unavailable
from flows.core.settings import Settings
from flows.wire.drain import Drain
from flows.wire.entry import Entry
from flows.wire.kafka import ensure_topics
from flows.wire.spool import Spool
from tests.kit.topics import topic_reader

MIB = 1 << 20
WEBHOOKS = topics.WEBHOOKS.name


@pytest.fixture
def logs(settings: Settings, tmp_path: Path) -> Iterator[tuple[Spool, Spool]]:
    """A log with ten entries, and its copy: what a process that dies before it deletes anything leaves."""
    ensure_topics(settings, (topics.WEBHOOKS, topics.STATUS))
    spool = Spool(tmp_path / "one", MIB)
    now_ms = SystemClock().now_ms()
    spool.append([Entry(now_ms, WEBHOOKS, b"k", b"%d" % n, [("ce_source", f"/webhooks/{tmp_path.name}")]) for n in range(10)])
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    again = Spool(tmp_path / "other", MIB)
    yield spool, again
    spool.close()
    again.close()


def test_killed_between_the_commit_and_the_deletion(settings: Settings, logs: tuple[Spool, Spool], tmp_path: Path) -> None:
    """A flow has a transaction open where the place is written, and nobody is shown the place before that is over."""
    spool, again = logs
    drain = Drain(settings, tmp_path.name, spool)
    drain.take_over(30)
    flow = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "transactional.id": f"flow-{tmp_path.name}"})
    flow.init_transactions(30)
    flow.begin_transaction()
    flow.produce(topics.STATUS.name, b"{}", b"tally/x")
    flow.flush(30)
    drain.move(*spool.read(4, 1000))
    assert (drain.moved, spool.entries) == (4, 6)
    drain.close()
    drain = Drain(settings, tmp_path.name, again)
    with pytest.raises(Unavailable, match=topics.STATUS.name):
        drain.take_over(1)
    assert (again.entries, drain.known) == (10, False)
    flow.abort_transaction(30)
    drain.take_over(30)
    assert (again.entries, drain.moved, drain.known) == (6, 0, True)
    drain.move(*again.read(100, 10_000))
    drain.close()
    found = [read.value for read in topic_reader(settings.kafka_bootstrap_servers, WEBHOOKS) if read.header("ce_source") == f"/webhooks/{tmp_path.name}"]
    assert found == [b"%d" % n for n in range(10)]
