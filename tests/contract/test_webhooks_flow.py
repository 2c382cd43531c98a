"""The webhooks flow on a real broker, run as it is run: one worker process, read by somebody who trusts only what was committed."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from deploy.local import broker
from flows.core import topics
from flows.core.settings import PREFIX
from flows.wire.kafka import client_config, ensure_topics
from tests.kit.line import stored
from tests.kit.settings import settings_for
from tests.kit.topics import Read, topic_reader, wait_for

SCHEMA = {"type": "object", "required": ["id"], "properties": {"n": {"type": "integer", "maximum": 5}}}
DEFINITIONS: list[dict[str, Any]] = [
    {"endpoint_id": "plain"},
    {"endpoint_id": "picky", "events": ["order.*"]},
    {"endpoint_id": "strict", "schema": SCHEMA},
    {"endpoint_id": "cheap", "filter": "body.amount > 100"},
    {"endpoint_id": "shaped", "transform": {"mapping": {"/id": "/data/id"}, "expressions": {"/big": "body.data.n > 1"}}, "target_topic": "shaped.events"},
    {"endpoint_id": "failing", "filter": "body.amount > 'x'"},
]
BODY = b'{ "type": "order.paid",\n "n": 1.0, "n": 2 }'
RECORDS: list[tuple[bytes, bytes, dict[str, str]]] = [
    (b"a", BODY, {"ce_source": "/webhooks/plain", "ce_id": "plain-1", "ce_type": "t", "x-sender-id": "a", "content-type": "application/json"}),
    (b"a", BODY, {"ce_source": "/webhooks/plain", "ce_id": "plain-2", "x-sender-id": "a", "x-trace": "1"}),
    (b"own", b'{"event": "made"}', {"ce_source": "/webhooks/plain"}),
    (b"own", b'{"event": "made"}', {"ce_source": "/webhooks/plain"}),
    (b"p", b'{"type": "order.paid"}', {"ce_source": "/webhooks/picky", "ce_id": "picky-1"}),
    (b"p", b'{"type": "invoice.paid"}', {"ce_source": "/webhooks/picky", "ce_id": "picky-2"}),
    (b"s", b'{"n": 9, "m": "\xc3\xa9"}', {"ce_source": "/webhooks/strict", "ce_id": "strict-1", "x-trace": "1"}),
    (b"s", b"\xff no json", {"ce_source": "/webhooks/strict", "ce_id": "strict-2"}),
    (b"s", b'{"id": 1}', {"ce_source": "/webhooks/strict", "ce_id": "strict-3"}),
    (b"c", b'{"amount": 150}', {"ce_source": "/webhooks/cheap", "ce_id": "cheap-1"}),
    (b"c", b'{"amount": 50}', {"ce_source": "/webhooks/cheap", "ce_id": "cheap-2"}),
    (b"c", b"{}", {"ce_source": "/webhooks/cheap", "ce_id": "cheap-3"}),
    (b"t", b'{"data": {"id": 7, "n": 2}}', {"ce_source": "/webhooks/shaped", "ce_id": "shaped-1", "x-trace": "1"}),
    (b"f", b'{"amount": 1}', {"ce_source": "/webhooks/failing", "ce_id": "failing-1"}),
    (b"u", b"{}", {"ce_source": "/webhooks/nobody", "ce_id": "nobody-1"}),
    (b"u", b"{}", {"ce_id": "nowhere-1"}),
]
EMITTED = 5  # on xyra.events; one more on shaped.events
BURIED = 5


@dataclass(frozen=True)
class Outcome:
    """What stands on the topics after a worker has drained."""

    events: list[Read]
    shaped: list[Read]
    letters: dict[str, Read]
    status: dict[str, Any]
    exit_code: int

    def event(self, event_id: str) -> Read:
        """Return the one event of an id."""
        (found,) = (read for read in self.events if read.header("ce_id") == event_id)
        return found


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Give the flow a broker of its own, since its topics and its group have one name each."""
    home = tmp_path_factory.mktemp("flow")
    with broker.running(home / "kafka", os.environ) as running:
        return work(running.bootstrap, home)


def work(kafka: str, home: Path) -> Outcome:
    """Write definitions and records, let a worker work until all is there, drain it."""
    settings = settings_for(kafka, home, kafka_partitions="2")
    ensure_topics(settings, topics.TOPICS)
    producer = Producer(client_config(settings))
    for definition in DEFINITIONS:
        producer.produce(topics.CONFIG.name, stored(definition), f"webhook/{definition['endpoint_id']}")
    for key, body, headers in RECORDS:
        producer.produce(topics.WEBHOOKS.name, body, key, headers=list(headers.items()))
    assert producer.flush(20) == 0
    worker = subprocess.Popen([sys.executable, "-m", "deploy.cli.main", "worker", "webhooks", "--slot", "0"], env=_environment(kafka, home))
    try:
        wait_for(kafka, topics.EVENTS.name, lambda reads: len(reads) >= EMITTED)
        wait_for(kafka, topics.DLQ.name, lambda reads: len(reads) >= BURIED)
        wait_for(kafka, "shaped.events", lambda reads: len(reads) >= 1)
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(20)
    finally:
        worker.kill()
        worker.wait()
    events, shaped = topic_reader(kafka, topics.EVENTS.name), topic_reader(kafka, "shaped.events")
    letters = {read.header("ce_id") or "": read for read in topic_reader(kafka, topics.DLQ.name)}
    status = {(read.key or b"").decode(): orjson.loads(read.value) for read in topic_reader(kafka, topics.STATUS.name) if read.value}
    return Outcome(events, shaped, letters, status, code)


def _environment(kafka: str, home: Path) -> dict[str, str]:
    own = {
        PREFIX + "KAFKA_BOOTSTRAP_SERVERS": kafka,
        PREFIX + "REDIS_HOST": "localhost",
        PREFIX + "DATA_DIR": str(home / "data"),
        PREFIX + "KAFKA_PARTITIONS": "2",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | own


def test_the_worker_drains(outcome: Outcome) -> None:
    assert outcome.exit_code == 0


def test_a_body_comes_out_byte_for_byte_with_its_attributes(outcome: Outcome) -> None:
    event = outcome.event("plain-1")
    assert (event.key, event.value) == (b"a", BODY)
    assert event.header("ce_source") == "/webhooks/plain"
    assert event.header("ce_specversion") == "1.0"
    assert event.header("ce_type") == "t"
    assert event.header("content-type") == "application/json"
    assert (event.header("x-origin") or "").startswith("xyra.webhooks/")


def test_each_id_is_emitted_once(outcome: Outcome) -> None:
    assert len(outcome.events) == EMITTED
    assert not [read for read in outcome.events if read.header("ce_id") == "plain-2"]
    (made,) = (read for read in outcome.events if read.header("ce_type") == "made")
    assert len(made.header("ce_id") or "") == len("00000000-0000-8000-8000-000000000000")


def test_a_transform_writes_to_a_topic_of_its_own(outcome: Outcome) -> None:
    (event,) = outcome.shaped
    assert event.value == b'{"id":7,"big":true}'
    assert event.header("content-type") == "application/json"


def test_a_letter_has_the_original_bytes_and_every_reason(outcome: Outcome) -> None:
    letter = outcome.letters["strict-1"]
    assert letter.value == b'{"n": 9, "m": "\xc3\xa9"}'
    reasons = orjson.loads(letter.header("x-dlq-reasons") or "")
    assert sorted((reason["code"], reason["pointer"]) for reason in reasons) == [("schema", "/id"), ("schema", "/n")]
    assert letter.header("x-dlq-step") == "schema"
    codes = {event_id: read.header("x-dlq-code") for event_id, read in outcome.letters.items()}
    others = {"strict-2": "not_json", "failing-1": "filter_failed", "nobody-1": "unknown_endpoint", "nowhere-1": "unknown_endpoint"}
    assert codes == {"strict-1": "schema"} | others
    assert outcome.letters["strict-2"].value == b"\xff no json"


def test_the_ledger_balances_and_names_every_reason(outcome: Outcome) -> None:
    tallies: dict[str, list[dict[str, Any]]] = {}
    for key, tally in outcome.status.items():
        if key.startswith("tally/webhooks/"):
            assert tally["in"] == tally["out"] + sum(tally["dropped"].values()) + sum(tally["buried"].values()) + tally["waiting"], key
            tallies.setdefault(key.split("/", 3)[3], []).append(tally)
    dropped = {name: [tally["dropped"] for tally in found if tally["dropped"]] for name, found in tallies.items()}
    assert dropped["plain"] in ([{"duplicate": 2}], [{"duplicate": 1}, {"duplicate": 1}])
    assert dropped["picky"] == [{"event_not_wanted": 1}]
    assert dropped["cheap"] == [{"filtered": 2}]
    assert [tally["buried"] for tally in tallies["-"]] == [{"unknown_endpoint": 2}]
    assert "nobody" not in tallies
    assert sum(tally["in"] for found in tallies.values() for tally in found) == len(RECORDS)


def test_traces_tell_each_step(outcome: Outcome) -> None:
    duplicate, letter, shaped = (outcome.status[f"trace/{event_id}"] for event_id in ("plain-2", "strict-1", "shaped-1"))
    assert duplicate["outcome"] == "dropped"
    last = duplicate["steps"][-1]
    assert last.pop("step") in ("dedupe", "route")  # whether the first one was in a batch before or in the same one
    assert last == {"verdict": "dropped", "reason": "duplicate", "detail": "the first one is plain-1"}
    assert [step["verdict"] for step in letter["steps"]] == ["kept", "kept", "kept", "buried"]
    assert shaped["outcome"] == "emitted"
    assert [output["topic"] for output in shaped["outputs"]] == ["shaped.events"]
