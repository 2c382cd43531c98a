"""The control routes of webhooks, as a person with the key uses them."""

import time
from typing import Any
from uuid import uuid4

import pytest

from ingress.paging import WEBHOOKS, after
from tests.kit.door import KEY, SECRET, RunningDoor

SEED: dict[str, Any] = {
    "url": "https://api.example.com/webhooks/stripe",
    "secret": "whsec_...",
    "events": ["payment.completed", "subscription.created"],
    "retry_config": {"max_attempts": 3, "retry_delays": [60, 300, 900]},
}
ROUTE = "/integration/webhooks"


def fresh() -> str:
    return f"e-{uuid4().hex}"


def test_an_endpoint_is_registered_once(door: RunningDoor) -> None:
    name = fresh()
    made = door.http.post(f"{ROUTE}/register", json={"endpoint_id": name, **SEED})
    assert made.status_code == 201
    shown = made.json()
    assert (shown["endpoint_id"], shown["status"], shown["receive_path"]) == (name, "active", f"{ROUTE}/{name}")
    assert shown["events"] == SEED["events"]
    assert shown["created_at"].endswith("Z")
    assert SEED["secret"] not in made.text
    assert shown.pop("delivery_secret").startswith("whsec_")
    again = door.http.post(f"{ROUTE}/register", json={"endpoint_id": name, **SEED})
    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    assert door.http.get(f"{ROUTE}/{name}").json() == shown
    assert door.http.get(f"/v1{ROUTE}/{name}").json() == shown


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"secret": "s"}, ["/endpoint_id"]),
        ({"endpoint_id": "a"}, ["/secret"]),
        ({"endpoint_id": "register", "secret": "s"}, ["/endpoint_id"]),
        ({"endpoint_id": "a/b", "secret": "s"}, ["/endpoint_id"]),
        ({"endpoint_id": "a", "secret": ""}, ["/secret"]),
        ({"endpoint_id": "a", "secret": "s", "colour": 1}, ["/colour"]),
        ({"endpoint_id": "a", "secret": "s", "url": "ftp://x"}, ["/url"]),
        ({"endpoint_id": "a", "secret": "s", "url": "https://me:secret@example.com/"}, ["/url"]),
        ({"endpoint_id": "a", "secret": "s", "url": "https://example.com:99999/"}, ["/url"]),
        ({"endpoint_id": "a", "secret": "s", "url": "https://example.com/#part"}, ["/url"]),
        ({"endpoint_id": "a", "secret": "s", "url": "http://10.0.0.1/"}, ["/url"]),
        ({"endpoint_id": "a", "secret": "s", "url": "http://169.254.169.254/latest/"}, ["/url"]),
        (
            {"endpoint_id": "a", "secret": "s", "retry_config": {"max_attempts": 0, "retry_delays": ["x"]}},
            ["/retry_config/max_attempts", "/retry_config/retry_delays/0"],
        ),
        ({"endpoint_id": "a", "secret": "s", "preset": "nobody"}, ["/preset"]),
        ({"endpoint_id": "a", "secret": "s", "filter": "body.a >"}, ["/filter"]),
        ({"endpoint_id": "a", "secret": "s", "schema": {"type": "colour"}, "filter": "1 +", "preset": "nobody"}, ["/filter", "/preset", "/schema/type"]),
        ({"endpoint_id": "a", "secret": "s", "target_topic": "xyra.config"}, ["/target_topic"]),
        ({"endpoint_id": "a", "secret": "no key", "preset": "discord"}, ["/secret"]),
        ([], [""]),
        ("text", [""]),
    ],
)
def test_every_wrong_field_is_named(door: RunningDoor, body: Any, pointers: list[str]) -> None:
    answer = door.http.post(f"{ROUTE}/register", json=body)
    assert answer.status_code == 422, answer.text
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == pointers


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"a":1,"a":2}', "application/json", 400),
        (b'{"endpoint_id": NaN}', "application/json", 400),
        (b'{"endpoint_id": "\\ud800"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"endpoint_id": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b'{"endpoint_id": "a\\u0000b", "secret": "\\u0000"}', "application/json", 422),
        (b'{"endpoint_id": 99999999999999999999999999}', "application/json", 422),
        (b"", "application/json", 422),
        (b"a=1", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
        (b" " * 1_048_577, "application/json", 413),
    ],
)
def test_bad_bodies_are_the_callers_fault(door: RunningDoor, content: bytes, kind: str, status: int) -> None:
    answer = door.http.post(f"{ROUTE}/register", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"x-api-key": ""}, {"authorization": f"Basic {KEY}"}, {"authorization": "Bearer"}])
def test_without_the_key_nothing_is_said(door: RunningDoor, headers: dict[str, str]) -> None:
    for method, path in [
        ("POST", "/register"),
        ("GET", ""),
        ("GET", "/x"),
        ("PUT", "/x"),
        ("DELETE", "/x"),
        ("GET", "/x/status"),
        ("POST", "/test/x"),
        ("GET", "/x/y/z"),
    ]:
        answer = door.stranger.request(method, ROUTE + path, headers=headers)
        assert answer.status_code == 401, (method, path)
        assert answer.json()["title"] == "Not authorized"


def test_a_bearer_token_is_as_good(door: RunningDoor) -> None:
    assert door.stranger.get(ROUTE, headers={"authorization": f"bearer {KEY}"}).status_code == 200


def test_what_is_not_there_is_a_problem_document(door: RunningDoor) -> None:
    for method, path, status in [
        ("GET", "/nowhere", 404),
        ("GET", f"{ROUTE}/nobody-{uuid4().hex}", 404),
        ("DELETE", f"{ROUTE}/nobody", 404),
        ("GET", f"{ROUTE}/nobody/status", 404),
        ("POST", f"{ROUTE}/test/nobody", 404),
        ("PATCH", f"{ROUTE}/x", 405),
        ("PUT", f"{ROUTE}/register", 405),
        ("GET", f"{ROUTE}?limit=0", 422),
        ("GET", f"{ROUTE}?limit=x", 422),
    ]:
        answer = door.http.request(method, path, json={} if method == "PUT" else None)
        assert answer.status_code == status, (method, path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json", (method, path)
        assert (status != 405) or answer.headers["allow"]


def test_a_replacement_keeps_the_secrets_unless_it_brings_one(door: RunningDoor) -> None:
    name = door.register(events=["a"])
    put = door.http.put(f"{ROUTE}/{name}", json={"events": ["b"]})
    assert put.status_code == 200, put.text
    assert put.json()["events"] == ["b"]
    assert door.send(name).status_code == 202
    old = put.json()["secrets"][0]["secret_id"]
    put = door.http.put(f"{ROUTE}/{name}", json={"endpoint_id": name, "secret": "another"})
    assert [secret["secret_id"] for secret in put.json()["secrets"]] != [old]
    assert door.send(name).status_code == 401
    assert door.send(name, secret="another").status_code == 202
    assert door.http.put(f"{ROUTE}/{name}", json={"endpoint_id": "other"}).json()["errors"][0]["pointer"] == "/endpoint_id"
    assert door.http.put(f"{ROUTE}/{name}", json={"preset": "discord"}).json()["errors"][0]["pointer"] == "/secret"
    assert door.http.put(f"{ROUTE}/{fresh()}", json={}).status_code == 404


def test_a_secret_is_changed_without_losing_a_message(door: RunningDoor) -> None:
    name = door.register()
    first = door.http.get(f"{ROUTE}/{name}/secrets").json()["items"][0]["secret_id"]
    assert door.http.delete(f"{ROUTE}/{name}/secrets/{first}").status_code == 409
    added = door.http.post(f"{ROUTE}/{name}/secrets", json={"secret": "second", "secret_id": "new", "expire_others_in_seconds": 3600})
    assert added.status_code == 201, added.text
    assert "second" not in added.text
    assert door.http.post(f"{ROUTE}/{name}/secrets", json={"secret": "third", "secret_id": "new"}).status_code == 409
    assert [door.send(name).status_code, door.send(name, secret="second").status_code] == [202, 202]
    items = {item["secret_id"]: item for item in door.http.get(f"{ROUTE}/{name}/secrets").json()["items"]}
    assert items[first]["expires_at"] is not None
    assert items["new"]["expires_at"] is None
    assert items["new"]["last_used_at"] is not None
    assert door.http.delete(f"{ROUTE}/{name}/secrets/{first}").status_code == 200
    assert door.http.delete(f"{ROUTE}/{name}/secrets/{first}").status_code == 404
    assert [door.send(name).status_code, door.send(name, secret="second").status_code] == [401, 202]
    assert door.http.delete(f"{ROUTE}/{name}/secrets/new").status_code == 409


def test_a_secret_is_not_taken_twice(door: RunningDoor) -> None:
    name = door.register()
    first = door.http.get(f"{ROUTE}/{name}/secrets").json()["items"][0]["secret_id"]
    again = door.http.post(f"{ROUTE}/{name}/secrets", json={"secret": SECRET, "expire_others_in_seconds": 60})
    assert again.status_code == 409
    assert f"as {first}" in again.json()["detail"]
    assert SECRET not in again.text
    assert [(item["secret_id"], item["expires_at"]) for item in door.http.get(f"{ROUTE}/{name}/secrets").json()["items"]] == [(first, None)]
    assert door.http.post(f"{ROUTE}/{name}/secrets", json={"secret": "second"}).status_code == 201
    assert door.http.delete(f"{ROUTE}/{name}/secrets/{first}").status_code == 200
    assert door.http.post(f"{ROUTE}/{name}/secrets", json={"secret": SECRET}).status_code == 201


def test_a_secret_expires(door: RunningDoor) -> None:
    name = door.register()
    door.http.post(f"{ROUTE}/{name}/secrets", json={"secret": "second", "expire_others_in_seconds": 0})
    assert [door.send(name).status_code, door.send(name, secret="second").status_code] == [401, 202]
    assert door.http.get(f"{ROUTE}/{name}/status").json()["live_secrets"] == 1


def test_live_secrets_are_bounded(door: RunningDoor) -> None:
    name = door.register()
    statuses = [door.http.post(f"{ROUTE}/{name}/secrets", json={"secret": f"s{n}"}).status_code for n in range(8)]
    assert statuses == [201] * 7 + [409]


def test_deactivated_means_gone_to_its_sender_and_unknown_to_others(door: RunningDoor) -> None:
    name = door.register()
    for _ in range(2):
        answer = door.http.delete(f"{ROUTE}/{name}")
        assert (answer.status_code, answer.json()["status"]) == (200, "inactive")
    assert door.send(name).status_code == 410
    assert door.send(name, secret="wrong").status_code == 401
    assert door.http.post(f"{ROUTE}/test/{name}").status_code == 410
    assert door.http.post(f"{ROUTE}/register", json={"endpoint_id": name, **SEED}).status_code == 409
    assert door.http.put(f"{ROUTE}/{name}", json={}).json()["status"] == "active"
    assert door.send(name).status_code == 202


def test_the_list_goes_on_where_the_page_ended(door: RunningDoor) -> None:
    prefix = f"list-{uuid4().hex}"
    names = [door.register(f"{prefix}-{n}") for n in range(3)]
    first = door.http.get(ROUTE, params={"limit": 2, "cursor": after(WEBHOOKS, prefix)}).json()
    assert [item["endpoint_id"] for item in first["items"]] == names[:2]
    rest = door.http.get(ROUTE, params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [item["endpoint_id"] for item in rest["items"]] == names[2:]


def test_the_status_counts_what_came_and_why_it_was_turned_away(door: RunningDoor) -> None:
    name = door.register()
    assert [door.send(name).status_code, door.send(name, b"1").status_code, door.send(name, secret="wrong").status_code] == [202, 202, 401]
    status = door.http.get(f"{ROUTE}/{name}/status").json()
    assert status["counters"]["received"] == 3
    assert status["counters"]["accepted"] == 2
    assert status["counters"]["rejected"] == {"signature_mismatch": 1}
    assert status["last_received_at"].endswith("Z")
    assert status["live_secrets"] == 1
    assert set(status["rates_per_second"]["accepted"]) == {"1m", "5m", "15m"}


def test_the_test_route_says_which_step_is_missing(door: RunningDoor) -> None:
    name = door.register()
    begin = time.monotonic()
    tested = door.http.post(f"{ROUTE}/test/{name}", json={"payload": {"a": 1}, "event_type": "x"}).json()
    assert time.monotonic() - begin < 20
    assert (tested["outcome"], [step["step"] for step in tested["steps"]]) == ("incomplete", ["sign", "receive", "flow"])
    assert tested["missing"]
    assert SECRET not in str(tested)
