"""Several ingress processes write definitions at once: one wins, everybody knows which, and compaction changes nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
from confluent_kafka import Producer

from flows.core import topics
from flows.core.resources import config_key
from flows.wire.compacted import CompactedTopic
from flows.wire.exclusive import Overtaken, Turn
from flows.wire.kafka import client_config
from tests.kit.door import RunningDoor, running_door, until
from tests.kit.settings import settings_for
from tests.kit.topics import topic_reader

ROUTE = "/integration/webhooks"


@pytest.fixture(scope="module")
def doors(kafka: str, door: RunningDoor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningDoor]]:
    """Two ingresses on one Kafka, with data directories of their own."""
    home = tmp_path_factory.mktemp("second")
    with running_door(settings_for(kafka, home), home / "log") as second:
        yield [door, second]


def register(door: RunningDoor, name: str, mark: str) -> tuple[int, str]:
    answer = door.http.post(f"{ROUTE}/register", json={"endpoint_id": name, "secret": mark, "description": mark})
    return answer.status_code, mark


def shows(door: RunningDoor, name: str, description: str) -> bool:
    """Tell whether an ingress has read as far: the one that wrote has when it answers, the other a moment later."""
    found: str | None = door.http.get(f"{ROUTE}/{name}").json().get("description")
    return found == description


def has_secrets(door: RunningDoor, name: str, ids: set[str]) -> bool:
    return {item["secret_id"] for item in door.http.get(f"{ROUTE}/{name}/secrets").json().get("items", ())} == ids


def test_of_two_that_register_the_same_id_one_wins(doors: list[RunningDoor]) -> None:
    names = [f"race-{uuid4().hex}" for _ in range(6)]
    with ThreadPoolExecutor(4) as pool:
        jobs = {(name, mark): pool.submit(register, doors[mark % 2], name, f"by-{mark}") for name in names for mark in range(4)}
        results = {key: job.result() for key, job in jobs.items()}
    on_log = {read.key: read.value or b"" for read in topic_reader(doors[0].settings.kafka_bootstrap_servers, topics.CONFIG.name)}
    for name in names:
        answers = sorted(results[name, mark][0] for mark in range(4))
        assert answers == [201, 409, 409, 409]
        winner = next(said for (who, _), (code, said) in results.items() if who == name and code == 201)
        last = orjson.loads(on_log[config_key("webhook", name)])
        assert last["definition"]["description"] == winner, "the last record of a key is what compaction keeps"
        for door in doors:
            until(partial(shows, door, name, winner))
            assert door.send(name, secret=winner).status_code == 202


def test_changes_made_at_once_are_all_kept(doors: list[RunningDoor]) -> None:
    name = doors[0].register()
    until(lambda: doors[1].http.get(f"{ROUTE}/{name}").status_code == 200)  # the other has read as far
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda n: doors[n % 2].http.post(f"{ROUTE}/{name}/secrets", json={"secret": f"s{n}", "secret_id": f"id{n}"}).status_code, range(6))
        )
    assert answers == [201] * 6
    first = doors[0].http.get(f"{ROUTE}/{name}/secrets").json()["items"][0]["secret_id"]
    for door in doors:
        until(partial(has_secrets, door, name, {first, *(f"id{n}" for n in range(6))}))


def test_a_turn_that_was_taken_over_writes_nothing(kafka: str, tmp_path: Path) -> None:
    topic = topics.CONFIG.name
    settings = settings_for(kafka, tmp_path)
    key = config_key("other", uuid4().hex)
    first = Turn(settings, topic, 30)
    offset = first.write(key, b"1", 30)
    second = Turn(settings, topic, 30)
    with pytest.raises(Overtaken):
        first.write(key, b"2", 30)
    assert second.write(key, b"3", 30) > offset
    seen: list[bytes | None] = []
    view = CompactedTopic(settings, topic, lambda name, value, _: seen.append(value) if name == key.decode() else None)
    view.catch_up(30)
    view.close()
    assert seen == [b"1", b"3"]


def test_a_view_passes_over_what_is_no_definition(door: RunningDoor) -> None:
    producer = Producer(client_config(door.settings))
    name = f"broken-{uuid4().hex}"
    for key, value in [
        (config_key("webhook", name), b"no json"),
        (config_key("webhook", name + "2"), b"{}"),
        (b"webhook", b"1"),
        (b"\xff/x", b""),
        (b"new/kind", b"{}"),
    ]:
        producer.produce(topics.CONFIG.name, value, key)
    assert producer.flush(30) == 0
    assert door.send(door.register()).status_code == 202
    assert door.send(name).status_code == 503
    shown = door.http.get(f"{ROUTE}/{name}")
    assert (shown.status_code, shown.headers["content-type"]) == (503, "application/problem+json")
    listed = door.http.get(ROUTE, params={"cursor": "webhooks:broken", "limit": 500})
    assert listed.status_code == 200
    assert name not in {item["endpoint_id"] for item in listed.json()["items"]}
