"""Dead letters from burial to replay: the door, two flows and a real Kafka."""

import csv
import io
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from confluent_kafka import Producer

from flows.core import topics
from flows.core.record import Record
from flows.core.verdict import Bury, Reason
from flows.engine.letters import Where, letter
from flows.wire.kafka import client_config
from ingress.export import unguarded
from tests.kit.door import SECRET, RunningDoor, throughout, until
from tests.kit.settings import PARTITIONS
from tests.kit.topics import Read, topic_reader
from tests.kit.workers import running_workers

ROUTE = "/integration/dlq"


@pytest.fixture(scope="module")
def workers(door: RunningDoor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run the flows webhooks and replay beside the ingress."""
    with running_workers(door.settings, tmp_path_factory.mktemp("workers"), "webhooks", "replay"):
        yield


def listed(door: RunningDoor, **search: Any) -> list[dict[str, Any]]:
    answer = door.http.get(ROUTE, params=search)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def ordered(door: RunningDoor, **wanted: Any) -> dict[str, Any]:
    answer = door.http.post(f"{ROUTE}/replay", json=wanted)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


def done(door: RunningDoor, replay_id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def over() -> bool:
        found.update(door.http.get(f"{ROUTE}/replays/{replay_id}").json())
        return bool(found["status"] == "done")

    until(over, why=lambda: found)
    return found


def events(door: RunningDoor, name: str) -> list[Read]:
    return [read for read in topic_reader(door.settings.kafka_bootstrap_servers, topics.EVENTS.name) if read.header("ce_source") == f"/webhooks/{name}"]


def buried(door: RunningDoor, *bodies: bytes, **definition: Any) -> str:
    """Register an endpoint that takes numbers only, send it these, and wait until they are in the index."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    name = door.register(**({"schema": schema} | definition))
    for body in bodies:
        assert door.send(name, body, cookie="secret").status_code == 202
    until(lambda: len(listed(door, resource=name, limit=500)) == len(bodies), why=lambda: listed(door, resource=name))
    return name


def bodies(count: int) -> list[bytes]:
    return [b'{"n": "x%d"}' % n for n in range(count)]


@pytest.mark.usefixtures("workers")
class TestLetters:
    def test_a_letter_is_listed_counted_and_told_whole(self, door: RunningDoor) -> None:
        name = buried(door, *bodies(3), b"\xff\xfe")
        items = listed(door, resource=name)
        assert {item["class"] for item in items} == {"theirs"}
        assert {item["status"] for item in items} == {"buried"}
        story = next(story for item in items if (story := door.http.get(f"{ROUTE}/{item['id']}").json())["body"]["text"] == '{"n": "x0"}')
        (first,) = (item for item in items if item["id"] == story["id"])
        assert [(reason["code"], reason["pointer"]) for reason in first["reasons"]] == [("schema", "/n")]
        groups = listed(door, resource=name, group=True)
        assert sorted((group["code"], group["count"]) for group in groups) == [("not_json", 1), ("schema", 3)]
        exact = listed(door, group=True, fingerprint=first["fingerprint"])
        assert len(exact) == 1
        assert exact[0]["count"] >= 3
        assert door.http.get(ROUTE, params={"resource": name, "group": True}).json()["complete"]
        assert story["body"] == {"text": '{"n": "x0"}', "base64": None, "bytes": 11, "truncated": False}
        assert story["on_log"]
        headers, added = ([(header["name"], header["value"]) for header in story[part]] for part in ("headers", "added"))
        assert orjson.loads(dict(headers)["x-http"])["headers"]["x-signature"] == "***"
        assert not any(header.startswith(("x-dlq-", "__connect.")) for header, _ in headers)
        assert (dict(added)["x-dlq-code"], dict(added)["__connect.errors.topic"]) == ("schema", "xyra.webhooks")
        (binary,) = (item for item in items if item["code"] == "not_json")
        assert door.http.get(f"{ROUTE}/{binary['id']}").json()["body"]["base64"] == "//4="

    def test_a_discard_by_fingerprint_takes_one_cause_of_one_resource(self, door: RunningDoor) -> None:
        """Two endpoints have the same fault; a third letter has it among others, which another order of fields does not part."""
        schema = {"type": "object", "properties": {name: {"type": "integer"} for name in ("a", "b")}}
        first = buried(door, b'{"a": "x"}', b'{"b": "x", "a": "y"}', b'{"a": "z", "b": "z"}', schema=schema)
        second = buried(door, b'{"a": "x"}', schema=schema)
        groups = {len(group["reasons"]): group for group in listed(door, resource=first, group=True)}
        assert {reasons: (group["count"], group["resource"]) for reasons, group in groups.items()} == {1: (1, first), 2: (2, first)}
        assert listed(door, fingerprint=groups[1]["fingerprint"], resource=second) == []
        answer = door.http.post(f"{ROUTE}/discard", json={"filter": {"fingerprint": groups[1]["fingerprint"]}, "reason": "test data"})
        assert answer.json()["selected"] == 1
        until(lambda: len(listed(door, resource=first, status="discarded")) == 1)
        assert [item["reason_count"] for item in listed(door, resource=first, status="buried")] == [2, 2]
        assert [item["status"] for item in listed(door, resource=second)] == ["buried"]

    def test_a_secret_that_stands_in_the_body_is_masked(self, door: RunningDoor) -> None:
        name = door.register(preset="figma", schema={"anyOf": [{"required": ["nothing"]}]})
        assert door.http.post(f"/integration/webhooks/{name}", content=b'{"passcode": "%b", "n": 1}' % SECRET.encode()).status_code == 202
        until(lambda: listed(door, resource=name))
        answer = door.http.get(f"{ROUTE}/{listed(door, resource=name)[0]['id']}")
        assert answer.json()["body"]["text"] == '{"passcode": "***", "n": 1}'
        assert answer.json()["body"]["bytes"] == len(answer.json()["body"]["text"]) - len("***") + len(SECRET)
        assert SECRET not in answer.text

    def test_a_dry_run_foresees_deliveries_that_are_switched_off(self, door: RunningDoor) -> None:
        name = door.register(url="https://example.com/hook")
        event = Record(topics.DELIVERIES.name, 0, 0, 0, name.encode(), b"{}", (("ce_id", name.encode()), ("ce_source", f"/webhooks/{name}".encode())))
        made = letter(Where("deliveries", "send", name), event, Bury((Reason("gone", "HTTP 410"),)), 1_800_000_000_000, "1")
        producer = Producer(client_config(door.settings))
        producer.produce(made.topic, made.value, made.key, headers=list(made.headers))
        assert producer.flush(30) == 0
        until(lambda: listed(door, resource=name))
        asked = {"filter": {"resource": name}, "dry_run": True}
        assert ordered(door, **asked)["outcomes"] == {"enters": 1}
        told = {"state": "closed", "since_ms": 1, "until_ms": None, "calls": 1, "error_ratio": 0.0, "slow_ratio": 0.0}
        off = orjson.dumps(told | {"off": {"epoch": 0, "since_ms": 1, "why": "it answered 410"}})
        producer.produce(topics.STATUS.name, off, f"breaker/deliveries/0/{name}".encode())
        assert producer.flush(30) == 0
        until(lambda: door.http.get(f"/integration/webhooks/{name}/status").json()["delivery"]["state"] == "off")
        foreseen = ordered(door, **asked)
        assert foreseen["outcomes"] == {"buried": 1}
        assert foreseen["samples"][0]["reasons"][0]["code"] == "deliveries_off"
        assert door.http.post(f"/integration/webhooks/{name}/deliveries/enable").status_code == 200
        assert ordered(door, **asked)["outcomes"] == {"enters": 1}

    def test_pages_go_on_and_filters_choose(self, door: RunningDoor) -> None:
        name = buried(door, *bodies(5))
        seen, cursor = [], ""
        while True:
            page = door.http.get(ROUTE, params={"resource": name, "limit": 2, "cursor": cursor}).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert sorted(seen) == sorted(item["id"] for item in listed(door, resource=name))
        assert len(seen) == len(set(seen)) == 5
        one = listed(door, id=seen[0])[0]
        assert [item["id"] for item in listed(door, event_id=one["event_id"])] == [seen[0]]
        assert listed(door, resource=name, **{"from": "2100-01-01T00:00:00Z"}) == []
        assert len(listed(door, resource=name, **{"to": "2100-01-01T00:00:00Z", "class": "theirs"})) == 5
        assert listed(door, resource=name, **{"class": "ours"}) == []

    def test_exports_hold_every_letter(self, door: RunningDoor) -> None:
        name = buried(door, *bodies(3))
        text = door.http.get(ROUTE, params={"resource": name}, headers={"accept": "text/csv"})
        assert text.headers["content-type"].startswith("text/csv")
        unwanted = door.http.get(ROUTE, params={"resource": name}, headers={"accept": "text/csv;q=0, application/json"})
        assert unwanted.headers["content-type"] == "application/json"
        rows = list(csv.DictReader(io.StringIO(text.text, newline="")))
        lines = door.http.get(ROUTE, params={"resource": name}, headers={"accept": "application/x-ndjson"}).text.splitlines()
        items = listed(door, resource=name)
        assert [orjson.loads(line) for line in lines] == items
        assert [unguarded(row["id"]) for row in rows] == [item["id"] for item in items]
        assert orjson.loads(unguarded(rows[0]["reasons"])) == items[0]["reasons"]

    def test_a_dry_run_says_what_would_happen_today_and_writes_nothing(self, door: RunningDoor) -> None:
        name = buried(door, b'{"n": "1"}', b'{"n": "2"}', b"no json")
        asked = {"filter": {"resource": name}, "dry_run": True}
        assert ordered(door, **asked)["outcomes"] == {"buried": 3}
        told = ordered(door, **asked, transform={"expressions": {"/n": "int(body.n)"}})
        assert told["outcomes"] == {"emitted": 2, "buried": 1}
        assert told["replay_id"] is None
        door.http.put(f"/integration/webhooks/{name}", json={"filter": "body.n == '1'"})
        assert ordered(door, **asked)["outcomes"] == {"emitted": 1, "dropped": 1, "buried": 1}
        assert {item["status"] for item in listed(door, resource=name)} == {"buried"}

    def test_a_mended_definition_lets_its_letters_in_once(self, door: RunningDoor) -> None:
        name = buried(door, *bodies(20))
        door.http.put(f"/integration/webhooks/{name}", json={})
        first = ordered(door, filter={"resource": name})
        repeated = door.http.post(f"{ROUTE}/replay", json={"ids": [item["id"] for item in listed(door, resource=name)]})
        assert repeated.status_code in {202, 409}, repeated.text  # by then all of them may have entered
        orders = [first, repeated.json()] if repeated.status_code == 202 else [first]
        found = [done(door, order["replay_id"]) for order in orders]
        assert sum(one["replayed"] for one in found) == 20
        assert all(one["selected"] - one["replayed"] - one["already"] - one["failed"] == 0 for one in found)
        until(lambda: len(events(door, name)) >= 20)
        assert sorted(read.value or b"" for read in events(door, name)) == sorted(bodies(20))
        items = listed(door, resource=name)
        assert {(item["status"], item["by"]) for item in items} == {("replayed", "admin")}

    def test_a_record_that_fails_again_says_which_letter_it_was(self, door: RunningDoor) -> None:
        name = buried(door, b'{"n": "x"}')
        (before,) = listed(door, resource=name)
        done(door, ordered(door, ids=[before["id"]])["replay_id"])
        until(lambda: len(listed(door, resource=name)) == 2)
        after = next(item for item in listed(door, resource=name) if item["id"] != before["id"])
        assert (after["replayed_letter"], after["event_id"], after["attempt"]) == (before["id"], before["event_id"], 0)

    def test_a_discard_is_kept_with_its_reason(self, door: RunningDoor) -> None:
        name = buried(door, *bodies(2))
        answer = door.http.post(f"{ROUTE}/discard", json={"filter": {"resource": name}, "reason": "=a test"})
        assert (answer.status_code, answer.json()["selected"]) == (202, 2)
        until(lambda: {item["status"] for item in listed(door, resource=name)} == {"discarded"})
        item = listed(door, resource=name, status="discarded")[0]
        assert (item["note"], item["by"], item["order"]) == ("=a test", "admin", answer.json()["discard_id"])
        assert '"\'=a test"' in door.http.get(ROUTE, params={"resource": name}, headers={"accept": "text/csv"}).text
        assert listed(door, resource=name, status="buried") == []
        path = f"{ROUTE}/discards/{answer.json()['discard_id']}"
        until(lambda: door.http.get(path).json()["status"] == "done")
        told = door.http.get(path).json()
        assert [told[what] for what in ("discarded", "selected", "already", "reason", "by")] == [2, 2, 0, "=a test", "admin"]
        assert sum(part["discarded"] for part in told["partitions"]) == 2
        assert all(part["done"] and part["trouble"] is None for part in told["partitions"])

    def test_ids_that_mean_nothing_are_named(self, door: RunningDoor) -> None:
        name = buried(door, *bodies(2))
        one, two = (item["id"] for item in listed(door, resource=name))

        def asked(what: str, *ids: str) -> list[Any]:
            answer = door.http.post(f"{ROUTE}/{what}", json={"ids": ids} | ({"reason": "a test"} if what == "discard" else {"dry_run": True}))
            found = answer.json()
            if answer.status_code == 202:
                return [found[part] for part in ("selected", "unknown", "decided")]
            return [answer.status_code, *((error["pointer"], error["code"]) for error in found["errors"])]

        assert asked("discard", one, one, "99-99") == [1, ["99-99"], []]
        until(lambda: listed(door, resource=name, status="discarded"))
        assert asked("replay", one, "99-99", two) == [1, ["99-99"], [one]]
        for what in ("discard", "replay"):
            assert asked(what, "99-99", "0-99999999") == [404, ("/ids/0", "unknown"), ("/ids/1", "unknown")]
            assert asked(what, one, "99-99") == [409, ("/ids/0", "discarded"), ("/ids/1", "unknown")]

    def test_a_flow_is_paused_and_let_go_on(self, door: RunningDoor) -> None:
        name = buried(door, *bodies(1))
        flows = "/integration/flows"

        def shown() -> dict[str, Any]:
            found: dict[str, Any] = next(item for item in door.http.get(flows).json()["items"] if item["flow"] == "webhooks")
            return found

        assert door.http.post(f"{flows}/webhooks/pause", json={"reason": "a test"}).status_code == 202
        until(lambda: len(shown()["paused"]) == PARTITIONS, why=shown)
        assert {part["why"] for part in shown()["paused"]} == {"a test"}
        health = door.stranger.get("/health").json()
        assert (health["status"], health["parts"]["flow webhooks"]["status"]) == ("degraded", "paused")
        assert 'xyra_flow_paused{flow="webhooks",partition="0"} 1.0' in door.stranger.get("/metrics").text
        assert door.send(name, b'{"n": 1}').status_code == 202
        assert throughout(lambda: events(door, name) == [], 1)
        answer = door.http.post(f"{flows}/webhooks/resume", json={"bury": True, "minutes": 1})
        assert answer.json()["bury_until"] is not None
        until(lambda: shown()["status"] == "running", why=shown)
        until(lambda: len(events(door, name)) == 1)
        assert door.stranger.get("/health").json()["parts"]["flow webhooks"]["status"] == "ok"
        assert door.http.post(f"{flows}/nobody/resume").status_code == 404

    def test_a_foreign_record_on_the_topic_harms_nobody(self, door: RunningDoor) -> None:
        mark = uuid4().hex.encode()
        producer = Producer(client_config(door.settings))
        producer.produce(topics.DLQ.name, mark, headers=[("x-dlq-topic", topics.CONFIG.name.encode()), ("x-dlq-event-id", mark), ("x-dlq-reasons", b"[")])
        assert producer.flush(30) == 0
        until(lambda: listed(door, event_id=mark.decode()))
        (item,) = listed(door, event_id=mark.decode())
        found = done(door, ordered(door, ids=[item["id"]])["replay_id"])
        assert (found["failed"], found["replayed"]) == (1, 0)
        assert "xyra.config" in listed(door, id=item["id"])[0]["failure"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"{ROUTE}?cursor=x", None, 422),
        ("GET", f"{ROUTE}?class=nobodys", None, 422),
        ("GET", f"{ROUTE}?colour=red", None, 422),
        ("GET", f"{ROUTE}?from=yesterday", None, 422),
        ("GET", f"{ROUTE}/nothing", None, 404),
        ("GET", f"{ROUTE}/0-999999999999", None, 404),
        ("GET", f"{ROUTE}/999-0", None, 404),
        ("GET", f"{ROUTE}/replays/nobody", None, 404),
        ("GET", f"{ROUTE}/discards/nobody", None, 404),
        ("POST", f"{ROUTE}/replay", {}, 422),
        ("POST", f"{ROUTE}/replay", {"filter": {}, "ids": ["0-1"]}, 422),
        ("POST", f"{ROUTE}/replay", {"ids": ["a"]}, 422),
        ("POST", f"{ROUTE}/replay", {"filter": {}, "rate_per_second": 0}, 422),
        ("POST", f"{ROUTE}/replay", {"filter": {}, "transform": {"expressions": {"/a": "body."}}}, 422),
        ("POST", f"{ROUTE}/discard", {"filter": {}}, 422),
    ],
)
def test_what_cannot_be_is_refused(door: RunningDoor, method: str, path: str, body: Any, status: int) -> None:
    answer = door.http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
