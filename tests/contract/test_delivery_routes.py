"""The routes of deliveries, as a person with the key uses them."""

from uuid import uuid4

import orjson
import pytest
from confluent_kafka import Producer

from flows.core import topics
from flows.core.clock import SystemClock, rfc3339
from flows.core.resources import StoredWebhook
from tests.kit.door import RunningDoor, until
from tests.kit.topics import topic_reader

ROUTE = "/integration/webhooks"
VIEW = {"since_ms": 1, "until_ms": None, "calls": 9, "error_ratio": 0.5, "slow_ratio": 0.0}


def registered(door: RunningDoor, url: str | None = "https://example.com/hook") -> tuple[str, str | None]:
    """Register an endpoint; return its name and its delivery secret."""
    name = f"e-{uuid4().hex}"
    made = door.http.post(f"{ROUTE}/register", json={"endpoint_id": name, "secret": "s", **({"url": url} if url else {})})
    assert made.status_code == 201
    secret: str | None = made.json()["delivery_secret"]
    return name, secret


def test_a_delivery_secret_is_shown_once_and_several_are_live(door: RunningDoor) -> None:
    name, first = registered(door)
    assert first is not None
    assert first.startswith("whsec_")
    made = door.http.post(f"{ROUTE}/{name}/delivery-secrets", json={"expire_others_in_seconds": 3600})
    assert made.status_code == 201
    second = made.json()
    assert second["secret"].startswith("whsec_")
    assert second["secret"] != first
    listed = door.http.get(f"{ROUTE}/{name}/delivery-secrets")
    old, new = listed.json()["items"]
    assert (old["expires_at"] is None, new["expires_at"], new["secret_id"]) == (False, None, second["secret_id"])
    assert "whsec_" not in listed.text + door.http.get(f"{ROUTE}/{name}").text
    assert door.http.delete(f"{ROUTE}/{name}/delivery-secrets/{old['secret_id']}").status_code == 200
    last = door.http.delete(f"{ROUTE}/{name}/delivery-secrets/{new['secret_id']}")
    assert last.status_code == 409
    assert door.http.delete(f"{ROUTE}/{name}/delivery-secrets/none").status_code == 404
    for _ in range(4):
        assert door.http.post(f"{ROUTE}/{name}/delivery-secrets").status_code == 201
    assert door.http.post(f"{ROUTE}/{name}/delivery-secrets").status_code == 409
    assert door.stranger.post(f"{ROUTE}/{name}/delivery-secrets").status_code == 401


def test_a_url_that_comes_later_brings_a_secret(door: RunningDoor) -> None:
    name, none = registered(door, None)
    assert none is None
    assert door.http.post(f"{ROUTE}/{name}/deliveries/pause").status_code == 409
    put = door.http.put(f"{ROUTE}/{name}", json={"url": "https://example.com/hook"})
    assert put.json()["delivery_secret"].startswith("whsec_")
    assert door.http.put(f"{ROUTE}/{name}", json={"url": "https://example.com/other"}).json()["delivery_secret"] is None


def test_never_to_be_switched_off_is_kept(door: RunningDoor) -> None:
    """Null says something else than nothing does."""
    name, _ = registered(door)
    for days in (None, 3, None):
        door.http.put(f"{ROUTE}/{name}", json={"url": "https://example.com/hook", "delivery": {"disable_after_days": days}})
        assert door.http.get(f"{ROUTE}/{name}").json()["delivery"]["disable_after_days"] == days


def test_deliveries_are_paused_and_go_on(door: RunningDoor) -> None:
    name, _ = registered(door)
    assert door.http.get(f"{ROUTE}/{name}/status").json()["delivery"]["state"] == "active"
    assert door.http.post(f"{ROUTE}/{name}/deliveries/pause").json()["state"] == "paused"
    assert door.http.post(f"/v1{ROUTE}/{name}/deliveries/pause").json()["state"] == "paused"
    assert door.http.post(f"{ROUTE}/{name}/deliveries/resume").json()["state"] == "active"
    assert door.http.post(f"{ROUTE}/{name}/deliveries/nonsense").status_code == 422
    assert door.http.post(f"{ROUTE}/nobody/deliveries/pause").status_code == 404


def test_a_pause_outlasts_another_definition(door: RunningDoor) -> None:
    name, _ = registered(door)
    door.http.post(f"{ROUTE}/{name}/deliveries/pause")
    assert door.http.put(f"{ROUTE}/{name}", json={"url": "https://example.com/other"}).status_code == 200
    assert door.http.get(f"{ROUTE}/{name}/status").json()["delivery"]["state"] == "paused"
    assert door.http.post(f"{ROUTE}/{name}/deliveries/enable").json()["state"] == "active"


def test_who_wants_deliveries_to_go_on_wants_the_next_to_be_tried(door: RunningDoor) -> None:
    name, _ = registered(door)
    asked = []
    for command in ("pause", "resume", "resume", "enable"):
        door.http.post(f"{ROUTE}/{name}/deliveries/{command}")
        asked.append(epochs(door, name))
    door.http.put(f"{ROUTE}/{name}", json={"url": "https://example.com/other"})
    assert [*asked, epochs(door, name)] == [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2)]


def epochs(door: RunningDoor, name: str) -> tuple[int, int]:
    """Read off the log what an endpoint's definition asks the flow for."""
    key = f"webhook/{name}"
    *_, last = (read for read in topic_reader(door.settings.kafka_bootstrap_servers, topics.CONFIG.name) if read.key == key.encode())
    stored = StoredWebhook.model_validate_json(last.value or b"")
    return stored.probe_epoch, stored.delivery_epoch


@pytest.mark.parametrize("command", ["enable", "put"])
def test_a_target_in_trouble_shows_and_is_switched_on_again(door: RunningDoor, command: str) -> None:
    name, _ = registered(door)
    producer = Producer({"bootstrap.servers": door.settings.kafka_bootstrap_servers})
    key, view = f"breaker/deliveries/0/{name}".encode(), VIEW | {"until_ms": SystemClock().now_ms() + 600_000}
    producer.produce(topics.STATUS.name, orjson.dumps(view | {"state": "open", "off": {"epoch": 0, "since_ms": 3, "why": "it is gone"}}), key)
    tally = b'{"in":5,"out":2,"dropped":{},"buried":{"gone":1},"waiting":2,"last_in_ms":1,"last_out_ms":4}'
    producer.produce(topics.STATUS.name, tally, f"tally/deliveries/0/{name}".encode())
    assert producer.flush(20) == 0
    until(lambda: door.http.get(f"{ROUTE}/{name}/status").json()["delivery"]["state"] == "off", timeout_s=10)
    status = door.http.get(f"{ROUTE}/{name}/status").json()
    shown = status["delivery"]
    assert (shown["off_reason"], shown["breaker"]["state"]) == ("it is gone", "open")
    assert [shown[what] for what in ("accepted", "delivered", "waiting", "dead")] == [5, 2, 2, 1]
    assert status["counters"]["emitted"] == 0
    health = door.http.get("/health").json()
    assert health["status"] == "degraded"
    assert health["ready"]
    assert health["parts"]["deliveries"]["targets"][name] == "off"
    if command == "enable":
        assert door.http.post(f"{ROUTE}/{name}/deliveries/enable").json()["state"] == "active"
    else:
        door.http.put(f"{ROUTE}/{name}", json={"url": "https://example.com/hook"})
        assert door.http.get(f"{ROUTE}/{name}/status").json()["delivery"]["state"] == "active"
    assert door.http.get("/health").json()["parts"]["deliveries"]["targets"][name] == "open"
    producer.produce(topics.STATUS.name, orjson.dumps(view | {"state": "closed", "until_ms": None, "off": None}), key)
    assert producer.flush(20) == 0
    until(lambda: name not in door.http.get("/health").json()["parts"].get("deliveries", {}).get("targets", {}), timeout_s=10)


def test_a_target_whose_pause_is_over_is_in_trouble_only_while_something_waits(door: RunningDoor) -> None:
    """Nothing more is told of it: its flow has nothing to do until the next event comes."""
    (idle, _), (busy, _) = registered(door), registered(door)
    producer, over_ms = Producer({"bootstrap.servers": door.settings.kafka_bootstrap_servers}), SystemClock().now_ms() - 60_000
    for name, waiting in ((idle, 0), (busy, 2)):
        producer.produce(topics.STATUS.name, b'{"in":5,"out":2,"waiting":%d}' % waiting, f"tally/deliveries/0/{name}".encode())
        told = VIEW | {"state": "open", "until_ms": over_ms, "off": None, "at_ms": 1}
        producer.produce(topics.STATUS.name, orjson.dumps(told), f"breaker/deliveries/0/{name}".encode())
    assert producer.flush(20) == 0
    until(lambda: busy in door.http.get("/health").json()["parts"].get("deliveries", {}).get("targets", {}), timeout_s=10)
    targets = door.http.get("/health").json()["parts"]["deliveries"]["targets"]
    assert (targets[busy], targets.get(idle)) == ("half_open", None)
    for name in (idle, busy):
        shown = door.http.get(f"{ROUTE}/{name}/status").json()["delivery"]["breaker"]
        assert (shown["state"], shown["since"], shown["until"]) == ("half_open", rfc3339(over_ms), None)
        assert f'xyra_breaker_state{{flow="deliveries",resource="{name}"}} 1.0' in door.stranger.get("/metrics").text
