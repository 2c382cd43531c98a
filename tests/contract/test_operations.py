"""Health, metrics, starting and ending: what an operator relies on."""

import json
import os
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
from confluent_kafka import Producer

from connectors.testing import ManualClock
from deploy.local.broker import running
from deploy.local.ports import free_port
from flows.core import beats, topics
from flows.core.clock import SystemClock, rfc3339
from flows.core.settings import load
from ingress.app import create_app
from tests.kit.door import KEY, RunningDoor, head_of_unfinished, running_door, throughout, until
from tests.kit.settings import settings_for

ROUTE = "/integration/webhooks"


def test_health_names_every_part(tmp_path: Path) -> None:
    """On a broker of its own: what other tests leave on a shared one, such as targets that fail, shows in health too."""
    with running(tmp_path / "kafka", os.environ) as broker, running_door(settings_for(broker.bootstrap, tmp_path), tmp_path / "log") as door:
        until(lambda: door.stranger.get("/health").json()["status"] == "ok", why=lambda: door.stranger.get("/health").text)
        health = door.stranger.get("/health").json()
        assert (health["status"], health["live"], health["ready"]) == ("ok", True, True)
        assert {name: (part["status"], part["needed"]) for name, part in health["parts"].items()} == {
            "broker": ("ok", False),
            "definitions": ("ok", True),
            "status": ("ok", False),
            "spill": ("ok", False),
        }
        assert door.stranger.get("/v1/health/live").json() == {"status": "ok"}
        broker.kill()
        until(lambda: door.stranger.get("/health").json()["status"] == "degraded", why=lambda: door.stranger.get("/health").text)
        until(lambda: door.stranger.get("/health").json()["parts"]["broker"]["status"] == "away", why=lambda: door.stranger.get("/health").text)
        health = door.stranger.get("/health")
        assert (health.status_code, health.json()["live"], health.json()["ready"], door.is_ready()) == (200, True, True, True), "webhooks are taken"
        assert {name: part["needed"] for name, part in health.json()["parts"].items()} == {
            "broker": False,
            "definitions": True,
            "status": False,
            "spill": False,
        }
        assert health.json()["parts"]["spill"]["status"] == "spilling"


def test_an_idle_ingress_stays_ready(door: RunningDoor) -> None:
    assert throughout(door.is_ready, 5)


def test_metrics_are_prometheus_text_or_json(door: RunningDoor) -> None:
    door.send(door.register())
    text = door.stranger.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "xyra_webhooks_accepted_total" in text.text
    assert 'xyra_http_requests_total{method="POST",route="/integration/webhooks/{endpoint_id}",status="202"}' in text.text
    shown = door.stranger.get("/metrics", headers={"accept": "application/json"}).json()
    assert shown["requests"]["total"] > 0
    assert shown["webhooks"]["accepted"] > 0
    assert shown["system"]["process"]["memory_bytes"] > 0
    assert KEY not in text.text + json.dumps(shown)


async def test_while_the_broker_is_away_everything_answers(tmp_path: Path) -> None:
    app = create_app(load({}, kafka_bootstrap_servers=f"127.0.0.1:{free_port()}", data_dir=str(tmp_path), admin_key=KEY), ManualClock(), lambda _: None)
    app.door.open()
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://x", headers={"x-api-key": KEY}, timeout=5) as http:
        health = await http.get("/health")
        assert (health.status_code, health.json()["status"], health.json()["live"]) == (503, "unavailable", True)
        assert (await http.get("/health/live")).status_code == 200
        assert (await http.get("/health/ready")).status_code == 503
        for method, path, body in [
            ("POST", f"{ROUTE}/x", {}),
            ("POST", f"{ROUTE}/register", {"endpoint_id": "a", "secret": "s"}),
            ("GET", ROUTE, None),
            ("GET", f"{ROUTE}/a/status", None),
        ]:
            answer = await http.request(method, path, json=body)
            assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json"), path
            assert int(answer.headers["retry-after"]) >= 1
        assert (await http.get("/metrics")).status_code == 200
    await app.door.close()


def test_sigterm_lets_requests_in_hand_finish(kafka: str, tmp_path: Path) -> None:
    with running_door(settings_for(kafka, tmp_path), tmp_path / "log") as door:
        name = door.register()
        assert door.send(name).status_code == 202
        request, rest = head_of_unfinished(name)
        with door.connect() as line:
            line.sendall(request)
            until(lambda: door.in_flight() == 1)
            assert door.process is not None
            door.process.send_signal(signal.SIGTERM)
            until(door.refuses)
            line.sendall(rest)
            assert line.recv(1000).startswith(b"HTTP/1.1 202")
        assert door.process.wait(20) == 0


def test_counts_survive_a_restart(kafka: str, tmp_path: Path) -> None:
    with running_door(settings_for(kafka, tmp_path), tmp_path / "log") as door:
        name = door.register()
        assert [door.send(name).status_code, door.send(name, secret="wrong").status_code] == [202, 401]
        assert door.stop() == 0
        door.start()
        until(lambda: counted(door, name) == (2, 1, {"signature_mismatch": 1}), why=lambda: counted(door, name))
        assert door.send(name, b"2").status_code == 202
        assert throughout(lambda: counted(door, name) == (3, 2, {"signature_mismatch": 1}), 2), "also while it is being published"


def counted(door: RunningDoor, name: str) -> tuple[int, int, dict[str, int]]:
    counters = door.http.get(f"{ROUTE}/{name}/status").json()["counters"]
    return counters["received"], counters["accepted"], counters["rejected"]


def test_a_port_that_is_held_is_named(door: RunningDoor, tmp_path: Path) -> None:
    settings = settings_for(door.settings.kafka_bootstrap_servers, tmp_path, http_port=str(door.port))
    other = RunningDoor(settings, tmp_path / "log", start=False)
    assert other.launch().wait(30) == 3
    assert "INTEGRATION_HTTP_PORT" in other.log.read_text()
    other.close()


def test_a_flow_that_nobody_runs_is_called_stopped(door: RunningDoor) -> None:
    """Its last sign of life is a minute old; a new one, and it runs."""
    name = f"flow-{uuid4().hex[:8]}"
    producer = Producer({"bootstrap.servers": door.settings.kafka_bootstrap_servers})

    def sign(at_ms: int) -> None:
        producer.produce(topics.STATUS.name, beats.text(at_ms), beats.key(name, "0"))
        assert producer.flush(30) == 0

    def shown() -> dict[str, Any]:
        items = door.http.get("/integration/flows").json()["items"]
        return next((item for item in items if item["flow"] == name), {})

    now_ms = SystemClock().now_ms()
    sign(now_ms - 60_000)
    until(lambda: shown() != {})
    assert (shown()["status"], shown()["last_seen"]) == ("stopped", rfc3339(now_ms - 60_000))
    assert shown()["seconds_since_seen"] >= 60
    health = door.stranger.get("/health").json()
    assert (health["status"], health["parts"][f"flow {name}"]["status"]) == ("degraded", "stopped")
    sign(SystemClock().now_ms())
    until(lambda: shown()["status"] == "running", why=shown)
    assert door.stranger.get("/health").json()["parts"][f"flow {name}"]["status"] == "ok"
