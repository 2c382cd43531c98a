"""From the door through the flow to the event, and back to the door's counters."""

import time
from pathlib import Path
from typing import Any

import pytest

from flows.core import record, topics
from tests.kit.door import RunningDoor, until
from tests.kit.topics import Tail

ROUTE = "/integration/webhooks"


def counters(door: RunningDoor, name: str) -> dict[str, int]:
    shown: dict[str, int] = door.http.get(f"{ROUTE}/{name}/status").json()["counters"]
    return shown


def test_a_webhook_becomes_an_event_once_and_the_door_counts_it(door: RunningDoor, worker: Path) -> None:
    name = door.register(events=["order.*"], filter="body.n > 0")
    events = Tail(door.settings.kafka_bootstrap_servers, topics.EVENTS.name)
    bodies = [
        b'{"type": "order.paid", "n": 1}',
        b'{"type": "order.paid", "n": 1}',
        b'{"type": "order.paid", "n": 0}',
        b'{"type": "other", "n": 1}',
        b'{"type": "order.paid"',
    ]
    ids = [door.send(name, body).json()["event_id"] for body in bodies]
    read = events.find(lambda event: event.header(record.CE_ID) == ids[0], timeout_s=60)
    events.close()
    assert (read.value, read.header(record.CE_SOURCE), read.header(record.CE_TYPE)) == (bodies[0], f"/webhooks/{name}", "order.paid")
    until(lambda: sum(counters(door, name)[what] for what in ("emitted", "dead", "filtered", "duplicate")) == len(bodies), why=worker.read_text)
    found = counters(door, name)
    assert (found["accepted"], found["emitted"], found["duplicate"]) == (5, 1, 1)
    assert found["filtered"] + found["dead"] == 3
    status = door.http.get(f"{ROUTE}/{name}/status").json()
    assert status["last_emitted_at"].endswith("Z")
    metrics = door.stranger.get("/metrics").text
    assert 'xyra_flow_records_total{flow="webhooks"' in metrics
    assert "flow webhooks" in door.stranger.get("/health").json()["parts"]


@pytest.mark.parametrize(
    ("definition", "outcome"), [({}, "emitted"), ({"filter": "false"}, "dropped"), ({"schema": {"type": "array"}}, "buried"), ({"preset": "stripe"}, "emitted")]
)
def test_a_test_event_is_told_of_step_by_step(door: RunningDoor, worker: Path, definition: dict[str, Any], outcome: str) -> None:
    name = door.register(**definition)
    for _ in range(2):
        until = time.monotonic() + 60
        while (tested := door.http.post(f"{ROUTE}/test/{name}").json())["outcome"] == "incomplete":
            assert time.monotonic() < until, (tested, worker.read_text()[-2000:])
        assert tested["outcome"] == outcome, tested
        assert [step["step"] for step in tested["steps"]][:2] == ["sign", "receive"]
        assert len(tested["steps"]) > 2
        assert bool(tested["outputs"]) == (outcome == "emitted")


def test_a_payload_of_the_callers_arrives_as_it_was_given(door: RunningDoor, worker: Path) -> None:
    name, events = door.register(), Tail(door.settings.kafka_bootstrap_servers, topics.EVENTS.name)
    sent = door.http.post(f"{ROUTE}/test/{name}", json={"payload": {"a": [1], "type": "made.up"}}).json()
    assert sent["outcome"] == "emitted", (sent, worker.read_text()[-2000:])
    read = events.find(lambda event: event.header(record.CE_ID) == sent["event_id"])
    events.close()
    assert (read.value, read.header(record.CE_TYPE), read.header(record.TEST)) == (b'{"a":[1],"type":"made.up"}', "made.up", "1")
