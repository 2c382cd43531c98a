"""A window of the log is judged anew: what comes out, where it goes, and how it differs from what became of it then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.core import topics
from flows.core.clock import SystemClock, rfc3339
from flows.wire.kafka import partition_count
from tests.kit.door import SECRET, RunningDoor, until
from tests.kit.topics import Read, topic_reader

ROUTE = "/integration/replays"
NOW = SystemClock().now_ms


@pytest.fixture(scope="module")
def began() -> str:
    return rfc3339(NOW() - 1000)


@pytest.fixture(scope="module", autouse=True)
def _room(door: RunningDoor) -> None:
    """Cancel what other tests have ordered at this door: few replays may run at once."""
    for replay_id in running(door):
        assert door.http.delete(f"{ROUTE}/{replay_id}").status_code == 200


def running(door: RunningDoor) -> list[str]:
    """Return the replays that take up room."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = door.http.get(ROUTE, params={"limit": 100, "cursor": cursor}).json()
        found += [one["replay_id"] for one in page["items"] if one["status"] in {"accepted", "running"}]
        cursor = page["next_cursor"]
    return found


def order(door: RunningDoor, **wanted: Any) -> dict[str, Any]:
    """Order a replay and return what is answered."""
    answer = door.http.post(ROUTE, json=wanted)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def shown(door: RunningDoor, replay_id: str) -> dict[str, Any]:
    """Look at a replay."""
    found: dict[str, Any] = door.http.get(f"{ROUTE}/{replay_id}").json()
    return found


def finish(door: RunningDoor, worker: Path, replay_id: str) -> dict[str, Any]:
    """Wait until a replay is over."""
    until(lambda: shown(door, replay_id)["status"] in {"done", "failed", "cancelled"}, why=lambda: (shown(door, replay_id), worker.read_text()[-3000:]))
    return shown(door, replay_id)


def sent(door: RunningDoor, worker: Path, name: str, *bodies: bytes) -> list[str]:
    """Send webhooks and wait until the flow has come to all of them."""
    ids = [door.send(name, body).json()["event_id"] for body in bodies]
    for event_id in ids:
        until(lambda: door.http.get(f"/integration/events/{event_id}").json()["outcome"] != "waiting", why=worker.read_text)  # noqa: B023  asked at once
    return ids


def redefine(door: RunningDoor, name: str, **fields: Any) -> None:
    """Put another definition in an endpoint's place."""
    assert door.http.put(f"/integration/webhooks/{name}", json={"secret": SECRET, **fields}).status_code == 200


def by_id(reads: list[Read]) -> dict[str, bytes | None]:
    """Return values by event id, each of which stands there once."""
    found = {read.header("ce_id") or "": read.value for read in reads}
    assert len(found) == len(reads)
    return found


NUMBERS = {"type": "object", "properties": {"n": {"type": "integer"}}}
BODIES = (b'{"n": 1}', b'{"n": 2}', b'{"n": 3}', b'{"n": "x"}', b'{"n": 1}')


def test_a_changed_definition_shows_what_it_changes(door: RunningDoor, worker: Path, began: str) -> None:
    name = door.register(filter="body.n >= 2 || body.n == 1")
    kept1, kept2, kept3, buried, duplicate = sent(door, worker, name, *BODIES)
    redefine(
        door,
        name,
        filter="body.n != 2",
        schema={"type": "object", "properties": {"n": {"type": "integer"}}},
        transform={"constants": {"/v": 2}, "keep_rest": True},
    )
    before = len(topic_reader(door.settings.kafka_bootstrap_servers, topics.DLQ.name))
    answer = order(door, **{"from": began, "endpoint_id": name})
    assert (answer["status"], answer["shadow"], answer["counts"]) == ("accepted", True, None)
    found = finish(door, worker, answer["replay_id"])
    assert (found["status"], found["trouble"]) == ("done", None)
    counts, diff = found["counts"], found["diff"]
    assert (counts["kept"], counts["dropped"], counts["buried"]) == (3, {"filtered": 1}, {"schema": 1})
    assert counts["read"] == counts["skipped"] + 5
    assert counts["total"] == counts["read"]
    changed = {(one["then"], one["then_reason"], one["now"], one["now_reason"]): one["count"] for one in diff["changed"]}
    assert changed == {
        ("kept", None, "kept", None): 2,
        ("kept", None, "dropped", "filtered"): 1,
        ("buried", "filter_failed", "buried", "schema"): 1,
        ("dropped", "duplicate", "kept", None): 1,
    }
    assert (diff["same"], diff["unknown"], len(diff["samples"])) == (0, 0, 5)
    assert {one["event_id"] for one in diff["samples"]} == {kept1, kept2, kept3, buried, duplicate}
    reads = topic_reader(door.settings.kafka_bootstrap_servers, answer["target_topic"])
    assert by_id(reads) == {kept1: b'{"n":1,"v":2}', kept3: b'{"n":3,"v":2}', duplicate: b'{"n":1,"v":2}'}
    assert {read.header("x-rerun") for read in reads} == {answer["replay_id"]}
    assert all((read.header("x-origin") or "").startswith("xyra.webhooks/") for read in reads)
    assert len(topic_reader(door.settings.kafka_bootstrap_servers, topics.DLQ.name)) == before


def test_an_unchanged_definition_changes_nothing(door: RunningDoor, worker: Path, began: str) -> None:
    name = door.register(filter="body.n != 2", schema=NUMBERS, target_topic="replays.own")
    sent(door, worker, name, *BODIES)
    found = finish(door, worker, order(door, **{"from": began, "endpoint_id": name, "dedupe": True, "dry_run": True})["replay_id"])
    assert (found["target_topic"], found["diff"]["changed"], found["diff"]["same"], found["diff"]["unknown"]) == (None, [], 5, 0)
    assert (found["counts"]["kept"], found["counts"]["dropped"]) == (2, {"filtered": 1, "duplicate": 1})


def test_a_filter_chooses_and_a_named_topic_takes_the_events(door: RunningDoor, worker: Path, began: str) -> None:
    name = door.register()
    _, two, *_ = sent(door, worker, name, *BODIES)
    wanted = {"from": began, "endpoint_id": name, "filter": "body.n == 2", "target_topic": f"replays.{name}"}
    found = finish(door, worker, order(door, **wanted)["replay_id"])
    assert (found["shadow"], found["counts"]["kept"], found["counts"]["dropped"]) == (False, 1, {})
    told = door.http.get(f"/integration/events/{two}").json()["replays"]
    assert (found["replay_id"], f"replays.{name}") in [(one["replay_id"], one["target_topic"]) for one in told]
    assert by_id(topic_reader(door.settings.kafka_bootstrap_servers, f"replays.{name}")) == {two: BODIES[1]}


def test_a_dry_run_makes_no_topic_and_all_endpoints_are_judged(door: RunningDoor, worker: Path, began: str) -> None:
    found = finish(door, worker, order(door, **{"from": began, "dry_run": True, "rate_per_second": 10_000})["replay_id"])
    assert found["counts"]["read"] == found["counts"]["kept"] + sum(found["counts"]["dropped"].values()) + sum(found["counts"]["buried"].values())
    assert found["counts"]["read"] >= 15
    assert partition_count(door.settings, f"xyra.shadow.{found['replay_id']}") is None


def test_a_replay_keeps_to_its_rate_and_is_cancelled(door: RunningDoor, worker: Path, began: str) -> None:
    name = door.register()
    sent(door, worker, name, *BODIES)
    replay_id = order(door, **{"from": began, "endpoint_id": name, "rate_per_second": 1})["replay_id"]
    until(lambda: shown(door, replay_id)["status"] == "running", why=worker.read_text)
    assert door.http.delete(f"{ROUTE}/{replay_id}").json()["status"] in {"cancelling", "cancelled"}
    found = finish(door, worker, replay_id)
    assert found["status"] == "cancelled"
    assert found["counts"]["read"] < found["counts"]["total"] or not found["counts"]["total"]
    assert replay_id in [one["replay_id"] for one in door.http.get(ROUTE).json()["items"]]
    gone = door.http.delete(f"{ROUTE}/{replay_id}").json()
    assert gone["status"] == "cancelled"
    assert f"The topic xyra.shadow.{replay_id} stays" in gone["note"]
    assert door.http.get(f"{ROUTE}/{replay_id}").status_code == 404
    assert door.http.delete(f"{ROUTE}/{replay_id}").status_code == 404


def test_the_list_has_pages(door: RunningDoor, worker: Path, began: str) -> None:
    idle = door.register()
    made = [finish(door, worker, order(door, **{"from": began, "dry_run": True, "endpoint_id": idle})["replay_id"])["replay_id"] for _ in range(3)]
    page = door.http.get(ROUTE, params={"limit": 2}).json()
    assert [one["replay_id"] for one in page["items"]] == made[:0:-1]
    assert door.http.get(ROUTE, params={"limit": 2, "cursor": page["next_cursor"]}).json()["items"][0]["replay_id"] == made[0]


@pytest.mark.parametrize(
    ("wanted", "pointers"),
    [
        ({}, {"/from"}),
        ({"from": "yesterday"}, {"/from"}),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, {"/from"}),
        ({"from": "2026-01-02T00:00:00Z", "filter": "body."}, {"/filter"}),
        ({"from": "2026-01-02T00:00:00Z", "target_topic": "xyra.webhooks"}, {"/target_topic"}),
        ({"from": "2026-01-02T00:00:00Z", "shadow": "xyra.events", "filter": "("}, {"/shadow", "/filter"}),
        ({"from": "2026-01-02T00:00:00Z", "shadow": True, "target_topic": "mine"}, {"/target_topic"}),
        ({"from": "2026-01-02T00:00:00Z", "rate_per_second": 0}, {"/rate_per_second"}),
        ({"from": "2026-01-02T00:00:00Z", "endpoint_id": "nobody"}, {"/endpoint_id"}),
        ({"from": "2026-01-02T00:00:00Z", "endpoint_id": "nobody", "filter": "("}, {"/endpoint_id", "/filter"}),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_every_reason(door: RunningDoor, wanted: dict[str, Any], pointers: set[str]) -> None:
    answer = door.http.post(ROUTE, json=wanted)
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == pointers


def test_more_than_a_few_at_once_are_refused(door: RunningDoor, worker: Path, began: str) -> None:
    wanted: dict[str, Any] = {"from": began, "dry_run": True, "rate_per_second": 1}
    made = [order(door, **wanted)["replay_id"] for _ in range(4)]
    until(lambda: all(shown(door, one)["status"] == "running" for one in made), why=worker.read_text)
    answer = door.http.post(ROUTE, json=wanted)
    assert answer.status_code == 409
    assert f"cancel one with DELETE {ROUTE}/{made[0]}." in answer.json()["detail"]
    door.http.delete(f"{ROUTE}/{made[0]}")
    made.append(order(door, **wanted)["replay_id"])  # what was cancelled takes up no room, even before a worker has seen it
    for one in made[1:]:
        door.http.delete(f"{ROUTE}/{one}")
    stopped: Callable[[], bool] = lambda: all(shown(door, one)["status"] == "cancelled" for one in made)  # noqa: E731  handed on
    until(stopped, why=worker.read_text)
