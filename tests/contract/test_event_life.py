"""The life of an event, whatever became of it, from the door's answer to the last attempt to deliver it."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from flows.core import ids, topics
from flows.core.clock import SystemClock, rfc3339
from flows.wire.kafka import PARTITIONER, client_config
from flows.wire.window import Bounds
from ingress.life import NOWHERE
from ingress.lookup import look_up
from tests.kit.door import SECRET, RunningDoor, until
from tests.kit.log import Log

ROUTE = "/integration/events"
URL = "https://example.com/hook"
NOW = SystemClock().now_ms


@pytest.fixture(scope="module")
def log(door: RunningDoor) -> Log:
    return Log(door.settings)


def life(door: RunningDoor, worker: Path, event_id: str, **query: str) -> dict[str, Any]:
    """Ask until the flow has come to the event."""
    found: dict[str, Any] = {}

    def decided() -> bool:
        nonlocal found
        answer = door.http.get(f"{ROUTE}/{event_id}", params=query)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        return bool(found["outcome"] != "waiting")

    until(decided, why=worker.read_text)
    return found


def known(door: RunningDoor, worker: Path, **definition: Any) -> str:
    """Register an endpoint that the worker knows: a producer's own record does not say which definitions it was written under."""
    name = door.register(**definition)
    life(door, worker, door.send(name).json()["event_id"])
    return name


def test_a_kept_event_shows_its_request_every_step_and_where_it_stands(door: RunningDoor, worker: Path) -> None:
    name = door.register()
    body = b'{"type": "order.paid"}'
    event_id = door.send(name, body, **{"X-Api-Key-Of-Theirs": "hidden", "X-Shown": "yes"}).json()["event_id"]
    found = life(door, worker, event_id)
    received = found["received"]
    assert (received["endpoint_id"], received["size"], received["sha256"]) == (name, len(body), hashlib.sha256(body).hexdigest())
    assert received["signature"]["verdict"] == "valid"
    assert received["signature"]["key_id"].startswith("key_")
    assert received["http"]["headers"]["x-api-key-of-theirs"] == "***"
    assert received["http"]["headers"]["x-shown"] == "yes"
    assert received["record"]["topic"] == "xyra.webhooks"
    assert received["body"] is None
    assert (found["outcome"], found["waits_for"], found["incomplete"], found["attempts"], found["delivery"]) == ("kept", None, [], [], None)
    assert [step["step"] for step in found["steps"]] == ["admit", "dedupe", "events", "schema", "filter", "transform", "route"]
    assert {step["verdict"] for step in found["steps"]} == {"kept"}
    assert [output["record"]["topic"] for output in found["outputs"]] == ["xyra.events"]


@pytest.mark.parametrize(("body", "shown", "encoding"), [(b'{"a": 1}', '{"a": 1}', "text"), (b"\xff\x00", base64.b64encode(b"\xff\x00").decode(), "base64")])
def test_a_body_is_shown_when_it_is_asked_for(door: RunningDoor, worker: Path, body: bytes, shown: str, encoding: str) -> None:
    event_id = door.send(door.register(), body).json()["event_id"]
    received = life(door, worker, event_id, body="true")["received"]
    assert (received["body"], received["body_encoding"]) == (shown, encoding)


def test_a_secret_that_stands_in_the_body_or_under_another_name_is_masked(door: RunningDoor, worker: Path) -> None:
    name = door.register(preset="figma")
    body = b'{"event_type": "PING", "passcode": "%b", "n": 1.0}' % SECRET.encode()
    event_id = door.stranger.post(f"/integration/webhooks/{name}", content=body).json()["event_id"]
    received = life(door, worker, event_id, body="true")["received"]
    assert received["body"] == '{"event_type": "PING", "passcode": "***", "n": 1.0}'
    assert (received["size"], received["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    name = door.register(verification={"algorithm": "token", "signature": {"query": "k", "encoding": "text"}})
    event_id = door.stranger.post(f"/integration/webhooks/{name}?k={SECRET}&n=1", content=b"{}").json()["event_id"]
    assert life(door, worker, event_id)["received"]["http"]["query"] == "k=***&n=1"


@pytest.mark.parametrize(
    ("definition", "body", "outcome", "step", "reason"),
    [
        ({"events": ["a.*"]}, b'{"type": "b"}', "dropped", "events", "event_not_wanted"),
        ({"filter": "body.n > 1"}, b'{"n": 1}', "dropped", "filter", "filtered"),
        ({"schema": {"type": "array"}}, b"{}", "buried", "schema", "schema"),
        ({"schema": True}, b"{", "buried", "schema", "not_json"),
        ({"filter": "body.n > 'x'"}, b'{"n": 1}', "buried", "filter", "filter_failed"),
        ({"transform": {"expressions": {"/a": "int(body.n)"}}}, b'{"n": "x"}', "buried", "transform", "transform_failed"),
    ],
)
def test_what_was_not_kept_says_where_it_ended_and_why(
    door: RunningDoor, worker: Path, definition: dict[str, Any], body: bytes, outcome: str, step: str, reason: str
) -> None:
    found = life(door, worker, door.send(door.register(**definition), body).json()["event_id"])
    last = found["steps"][-1]
    assert (found["outcome"], last["step"], last["verdict"], last["reason"]) == (outcome, step, outcome, reason)
    assert all(before["verdict"] == "kept" for before in found["steps"][:-1])
    assert found["outputs"] == []
    assert bool(found["burials"]) == (outcome == "buried")
    if found["burials"]:
        (burial,) = found["burials"]
        spot = burial["record"]
        assert burial["letter_id"] == f"{spot['partition']}-{spot['offset']}"
        assert [one["code"] for one in burial["reasons"]] == [reason]


def test_a_duplicate_names_the_first_one(door: RunningDoor, worker: Path) -> None:
    name = door.register()
    first, second = (door.send(name, b'{"same": 1}').json()["event_id"] for _ in range(2))
    found = life(door, worker, second)
    assert (found["outcome"], found["steps"][-1]["reason"]) == ("dropped", "duplicate")
    assert first in found["steps"][-1]["detail"]
    assert life(door, worker, first)["outcome"] == "kept"


def test_an_event_is_found_on_its_own_topic_and_a_test_event_is_marked(door: RunningDoor, worker: Path) -> None:
    name = door.register(target_topic="life.shaped")
    tested = door.http.post(f"/integration/webhooks/test/{name}").json()
    found = life(door, worker, tested["event_id"])
    assert found["received"]["test"]
    assert [output["record"] for output in found["outputs"]] == tested["outputs"]


def test_records_of_producers_are_found_by_their_time(door: RunningDoor, worker: Path, log: Log) -> None:
    name, now_ms = known(door, worker), NOW()
    headers = {"ce_id": "order 1/a", "ce_source": f"/webhooks/{name}"}
    log.write(topics.WEBHOOKS.name, "k", b'{"p": 1}', now_ms, **headers)
    found = life(door, worker, "order%201%2Fa", at=rfc3339(now_ms))
    assert (found["outcome"], found["received"]["http"], found["received"]["signature"]["verdict"]) == ("kept", None, "not_checked")
    spot = log.write(topics.WEBHOOKS.name, "k", b'{"p": 2}', now_ms, ce_source="/webhooks/nobody-at-all")
    event_id = ids.origin_id(topics.WEBHOOKS.name, *spot)
    found = life(door, worker, event_id, at=rfc3339(now_ms))
    assert (found["outcome"], found["burials"][0]["code"], found["steps"][0]["step"]) == ("buried", "unknown_endpoint", "admit")


def test_attempts_are_followed_from_one_to_the_next(door: RunningDoor, worker: Path, log: Log) -> None:
    name = door.register(url=URL)
    event_id = door.send(name).json()["event_id"]
    found = life(door, worker, event_id)
    assert [output["record"]["topic"] for output in found["outputs"]] == ["xyra.events", "xyra.deliveries"]
    assert found["delivery"] == {"endpoint_id": name, "state": "waiting", "retry_due_at": None, "why": None}
    assert found["waits_for"] == "Its delivery stands in its target's line."
    door.http.post(f"/integration/webhooks/{name}/deliveries/pause")
    paused = life(door, worker, event_id)
    assert paused["delivery"]["why"] == paused["waits_for"] == "Deliveries of the endpoint are paused."
    now_ms = NOW()
    log.journal(
        *(event_id, "attempt", now_ms),
        resource=name,
        attempt=1,
        status=503,
        latency_ms=12.5,
        outcome="target_failed",
        answer="busy",
        next_due_ms=now_ms + 600_000,
    )
    found = life(door, worker, event_id)
    assert [(one["attempt"], one["status"], one["latency_ms"], one["answer"]) for one in found["attempts"]] == [(1, 503, 12.5, "busy")]
    assert (found["delivery"]["state"], found["delivery"]["retry_due_at"]) == ("retry_due", rfc3339(now_ms + 600_000))
    log.journal(event_id, "attempt", now_ms + 100, resource=name, attempt=2, status=200, latency_ms=9, outcome="delivered")
    found = life(door, worker, event_id)
    assert [one["outcome"] for one in found["attempts"]] == ["target_failed", "delivered"]
    assert (found["delivery"]["state"], found["delivery"]["retry_due_at"], found["incomplete"]) == ("delivered", None, [])


def test_a_delivery_that_was_given_up_shows_its_dead_letter(door: RunningDoor, worker: Path, log: Log) -> None:
    name = door.register(url=URL)
    event_id = door.send(name).json()["event_id"]
    life(door, worker, event_id)
    now_ms = NOW()
    log.journal(event_id, "attempt", now_ms, resource=name, attempt=8, status=500, latency_ms=1, outcome="target_failed")
    bury(log, event_id, name, "attempts_spent")
    found = life(door, worker, event_id)
    burials = [(one["flow"], one["code"], one["letter_class"]) for one in found["burials"]]
    assert (found["outcome"], burials, found["delivery"]["state"]) == ("kept", [("deliveries", "attempts_spent", "theirs")], "buried")


def test_a_delivery_that_was_buried_without_an_attempt_shows_its_dead_letter(door: RunningDoor, worker: Path, log: Log) -> None:
    name = door.register(url=URL)
    first, second = (door.send(name, b"%d" % n).json()["event_id"] for n in range(2))
    bury(log, first, name, "deliveries_off")
    assert [one["code"] for one in life(door, worker, first)["burials"]] == ["deliveries_off"]
    now_ms = NOW()
    log.journal(second, "attempt", now_ms, resource=name, attempt=1, status=500, latency_ms=1, outcome="target_failed", next_due_ms=now_ms + 1)
    bury(log, second, name, "no_url", now_ms + 2)
    found = life(door, worker, second)
    assert ([one["code"] for one in found["burials"]], found["delivery"]["state"]) == (["no_url"], "buried")
    assert found["delivery"]["retry_due_at"] is None


def test_an_event_is_found_on_the_topic_that_an_earlier_definition_named(door: RunningDoor, worker: Path) -> None:
    name = door.register(target_topic="life.before")
    event_id = door.send(name).json()["event_id"]
    life(door, worker, event_id)
    for topic in ("life.between", None):
        redefined = {"secret": SECRET} | ({"target_topic": topic} if topic else {})
        assert door.http.put(f"/integration/webhooks/{name}", json=redefined).status_code == 200
    found = life(door, worker, event_id)
    assert (found["outcome"], [output["record"]["topic"] for output in found["outputs"]]) == ("kept", ["life.before"])


def bury(log: Log, event_id: str, endpoint_id: str, code: str, at_ms: int = 0) -> None:
    """Bury a delivery as its flow does."""
    place = {"x_dlq_topic": "xyra.deliveries", "x_dlq_partition": "0", "x_dlq_offset": "1", "x_dlq_flow": "deliveries", "x_dlq_step": "send"}
    log.write(topics.DLQ.name, endpoint_id, b"{}", at_ms or NOW(), ce_id=event_id, x_dlq_code=code, x_dlq_reasons="no JSON", x_dlq_class="theirs", **place)


def test_an_event_among_many_is_found(door: RunningDoor, worker: Path) -> None:
    name = known(door, worker, events=["wanted"])
    producer = Producer(client_config(door.settings, partitioner=PARTITIONER))
    many = [ids.event_id(NOW()) for _ in range(20_000)]
    for n, event_id in enumerate(many):
        headers: dict[str, str | bytes | None] = {"ce_id": event_id, "ce_source": f"/webhooks/{name}", "ce_type": "wanted" if n % 2 else "other"}
        producer.produce(topics.WEBHOOKS.name, b"%d" % n, b"%d" % n, headers=headers)
    assert producer.flush(30) == 0
    for event_id, outcome in ((many[0], "dropped"), (many[9999], "kept"), (many[-1], "kept")):
        found = life(door, worker, event_id)
        assert (found["outcome"], found["incomplete"]) == (outcome, [])


def test_a_bound_that_is_hit_is_told(door: RunningDoor, worker: Path) -> None:
    event_id = door.send(door.register()).json()["event_id"]
    life(door, worker, event_id)
    found = look_up(door.settings, ids.event_id(NOW()), NOW(), NOW(), lambda _: NOWHERE, lambda _: None, Bounds(0, 0, 0))
    assert not found.found
    assert {left.why for left in found.left} == {"time"}


def test_what_is_not_there_says_what_was_looked_at(door: RunningDoor) -> None:
    answer = door.http.get(f"{ROUTE}/{ids.event_id(NOW() - 60_000)}")
    assert answer.status_code == 404
    assert all(topic in answer.json()["detail"] for topic in ("xyra.webhooks from", "xyra.events", "xyra.dlq", "xyra.journal", "?at="))
    answer = door.http.get(f"{ROUTE}/{ids.event_id(NOW() + 3_600_000)}")
    assert answer.status_code == 404
    assert "still to come" in answer.json()["detail"]


@pytest.mark.parametrize(("event_id", "query"), [("no-uuid", {}), (f"{ids.origin_id('t', 0, 0)}", {}), ("x", {"at": "yesterday"}), ("x", {"body": "maybe"})])
def test_what_cannot_be_looked_for_is_refused_by_name(door: RunningDoor, event_id: str, query: dict[str, str]) -> None:
    answer = door.http.get(f"{ROUTE}/{event_id}", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/query/{next(iter(query), 'at')}"


def test_without_a_key_nothing_is_shown(door: RunningDoor) -> None:
    assert door.stranger.get(f"{ROUTE}/{ids.event_id(NOW())}").status_code == 401
