"""A broker that dies under the ingress, too many at once, settings that do not fit the cluster."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.broker import RunningBroker
from tests.kit.door import RunningDoor, head_of_unfinished, running_door, until
from tests.kit.settings import PARTITIONS, settings_for

MANY = 3


@pytest.fixture(scope="module")
def tight(own_broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """An ingress with little patience and little room, on a broker that may die."""
    home = tmp_path_factory.mktemp("tight")
    with running_door(
        settings_for(own_broker.bootstrap, home), home / "log", webhook_ack_timeout_ms="1500", webhook_max_in_flight=str(MANY), spill="off"
    ) as running:
        yield running


def test_more_than_a_number_at_once_are_sent_away_to_come_back(tight: RunningDoor) -> None:
    name = tight.register()
    request, rest = head_of_unfinished(name)
    held = [tight.connect() for _ in range(MANY)]
    for line in held:
        line.sendall(request)
    until(lambda: tight.in_flight() == MANY)
    answer = tight.send(name)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    for line in held:
        line.sendall(rest)
        assert line.recv(1000).startswith(b"HTTP/1.1 202")
        line.close()
    assert tight.send(name).status_code == 202


def test_a_broker_that_dies_and_comes_back(tight: RunningDoor, own_broker: RunningBroker) -> None:
    name = tight.register()
    assert tight.send(name).status_code == 202
    own_broker.kill()
    try:
        answer = tight.send(name)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) >= 1
        until(lambda: not tight.is_ready())
        assert tight.stranger.get("/health/live").status_code == 200
        health = tight.stranger.get("/health")
        assert (health.status_code, health.json()["parts"]["broker"]["status"]) == (503, "away")
        assert tight.send(name, secret="wrong").status_code == 401, "whom it knows needs no broker"
    finally:
        own_broker.start()
    until(lambda: tight.send(name).status_code == 202)
    until(tight.is_ready)
    tight.register()
    assert "Traceback" not in tight.log.read_text()


def test_senders_are_told_to_come_back_when_it_stops_while_the_broker_is_away(own_broker: RunningBroker, tmp_path: Path) -> None:
    with running_door(settings_for(own_broker.bootstrap, tmp_path), tmp_path / "log", spill="off") as door:  # else they may be kept meanwhile, and told 202
        name = door.register()
        head, rest = head_of_unfinished(name)
        own_broker.kill()
        try:
            lines = [door.connect() for _ in range(3)]
            for line in lines[:2]:  # one that comes in two pieces, and one that comes whole
                line.sendall(head)
            until(lambda: door.in_flight() == 2)
            lines[0].sendall(rest)
            lines[2].sendall(head + rest)
            until(lambda: door.in_flight() == 3)
            assert door.stop() == 0
            for line in lines:
                assert line.recv(4000).startswith(b"HTTP/1.1 503 ")
                line.close()
        finally:
            own_broker.start()
    assert "Traceback" not in door.log.read_text()


def test_a_test_event_is_answered_while_the_broker_hangs(own_broker: RunningBroker, tmp_path: Path) -> None:
    with running_door(settings_for(own_broker.bootstrap, tmp_path), tmp_path / "log") as door:
        name, process = door.register(), own_broker.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            answer = door.http.post(f"/integration/webhooks/test/{name}")
        finally:
            process.send_signal(signal.SIGCONT)
    tested = answer.json()
    assert (answer.status_code, tested["outcome"], tested["took_ms"] < 5000) == (200, "rejected", True), tested
    assert [(step["step"], step["verdict"]) for step in tested["steps"]] == [("sign", "signed"), ("receive", "rejected")]
    refused = tested["steps"][1]["detail"]
    assert (refused["status"], "did not acknowledge" in refused["answer"]["detail"]) == (503, True), refused


def test_nobody_is_told_that_an_endpoint_is_unknown_before_the_definitions_were_read(own_broker: RunningBroker, tmp_path: Path) -> None:
    settings = settings_for(own_broker.bootstrap, tmp_path)
    with running_door(settings, tmp_path / "log") as door:
        name = door.register(preset="meta")
    path, door = f"/integration/webhooks/{name}", RunningDoor(settings, tmp_path / "log", start=False)
    try:
        own_broker.kill()
        try:
            door.process = door.launch()
            until(lambda: not door.refuses())
            asks = door.stranger.get(path, params={"hub.mode": "subscribe", "hub.challenge": "7", "hub.verify_token": "v"})
            answers = [door.send(name), asks, door.stranger.head(path), door.http.get(path), door.http.get(f"{path}/status")]
            assert [(answer.status_code, answer.headers.get("retry-after")) for answer in answers] == [(503, "1")] * len(answers)
            assert not door.is_ready()
        finally:
            own_broker.start()
        until(door.is_ready)
        assert door.stranger.get(path).status_code == 401
        assert door.http.get(path).status_code == 200
    finally:
        door.close()


def test_endpoints_sealed_with_another_key_show_in_health(own_broker: RunningBroker, tmp_path: Path) -> None:
    settings = settings_for(own_broker.bootstrap, tmp_path)
    with running_door(settings, tmp_path / "log") as door:
        door.register()
    with running_door(settings, tmp_path / "log", secret_key="YW5vdGhlci1zZWNyZXQta2V5LW9mLTMyLWJ5dGVzLS0=") as door:
        until(lambda: door.stranger.get("/health").json()["parts"]["definitions"]["status"] == "degraded")
        found = door.stranger.get("/health").json()
        assert found["status"] == "degraded"
        assert "INTEGRATION_SECRET_KEY" in found["parts"]["definitions"]["trouble"]
        assert door.is_ready(), "the others are served"


def test_a_partition_count_that_does_not_fit_ends_the_process_with_what_to_set(tight: RunningDoor, tmp_path: Path) -> None:
    settings = settings_for(tight.settings.kafka_bootstrap_servers, tmp_path)
    other = RunningDoor(settings, tmp_path / "log", start=False, kafka_partitions="3")
    assert other.launch().wait(60) == 2
    assert f"INTEGRATION_KAFKA_PARTITIONS={PARTITIONS}" in other.log.read_text()
    other.close()
