"""From the door through two flows to a target that fails at first, and back to the door's counters: the parts as they run."""

from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.kit.courier import Beside
from tests.kit.door import SEALING_KEY, RunningDoor, until
from tests.kit.targets import OK, answers, answers_in_turn
from tests.kit.workers import running_workers

ROUTE = "/integration/webhooks"
FAILS = b"HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nbusy"
BODY = b'{ "type" : "order.paid",\n  "total": 1.0, "total": 2, "name": "\xc3\xa4" }'


@pytest.mark.timeout(240)
def test_a_webhook_reaches_a_target_that_fails_at_first(door: RunningDoor, tmp_path: Path) -> None:
    beside = Beside()
    target = beside.target(answers_in_turn(FAILS, FAILS, OK))
    registered = {"url": target.url, "retry_config": {"max_attempts": 5, "retry_delays": [1]}, "secret": "in", "endpoint_id": f"whole-{target.port}"}
    made = door.http.post(f"{ROUTE}/register", json=registered).json()
    name, secret = made["endpoint_id"], made["delivery_secret"]

    def shown() -> dict[str, object]:
        found: dict[str, object] = door.http.get(f"{ROUTE}/{name}/status").json()
        return found

    def logs() -> str:
        return "".join((tmp_path / flow).read_text()[-2000:] for flow in ("webhooks", "deliveries"))

    with running_workers(door.settings, tmp_path, "webhooks", "deliveries", secret_key=SEALING_KEY, egress_allow="127.0.0.0/8"):
        event_id = door.send(name, BODY, secret="in").json()["event_id"]
        until(lambda: door.http.get(f"{ROUTE}/{name}/status").json()["delivery"]["delivered"] == 1, why=logs)
    beside.close()

    assert len(target.requests) == 3
    for request in target.requests:
        signed = {header: request.header(header) or "" for header in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        Webhook(secret).verify(request.body, signed)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(request.body + b" ", signed)
        assert request.body == BODY
        assert request.header("content-type") == "application/json"
        assert (request.header("ce-specversion"), request.header("ce-id"), request.header("ce-type")) == ("1.0", event_id, "order.paid")
        assert unquote(request.header("ce-source") or "") == f"/webhooks/{name}"
        assert datetime.fromisoformat(request.header("ce-time") or "").utcoffset() is not None
    assert {request.header("webhook-id") for request in target.requests} == {event_id}
    stamps = [int(request.header("webhook-timestamp") or 0) for request in target.requests]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] >= 1

    status = shown()
    counters, delivery = status["counters"], status["delivery"]
    assert isinstance(counters, dict)
    assert isinstance(delivery, dict)
    assert (counters["accepted"], counters["emitted"], counters["dead"]) == (1, 1, 0)
    assert [delivery[what] for what in ("state", "accepted", "delivered", "waiting", "dead", "live_secrets")] == ["active", 1, 1, 0, 0, 1]
    life = door.http.get(f"/integration/events/{event_id}").json()
    assert [(told["attempt"], told["status"]) for told in life["attempts"]] == [(1, 503), (2, 503), (3, 200)]
    assert life["delivery"]["state"] == "delivered"


@pytest.mark.timeout(240)
def test_a_target_that_fails_opens_its_breaker_and_everybody_sees_why(door: RunningDoor, tmp_path: Path) -> None:
    beside = Beside()
    target = beside.target(answers(FAILS))
    name = door.register(f"fails-{target.port}", url=target.url, delivery={"concurrency": 1})

    def breaker() -> dict[str, object]:
        return door.http.get(f"{ROUTE}/{name}/status").json()["delivery"]["breaker"] or {}

    def logs() -> str:
        return "".join((tmp_path / flow).read_text()[-2000:] for flow in ("webhooks", "deliveries"))

    with running_workers(door.settings, tmp_path, "webhooks", "deliveries", secret_key=SEALING_KEY, egress_allow="127.0.0.0/8"):
        for n in range(20):
            assert door.send(name, b'{"n": %d}' % n).status_code == 202
        until(lambda: breaker().get("state") == "open", why=logs)
        shown, metrics, health = breaker(), door.stranger.get("/metrics").text, door.stranger.get("/health").json()
    beside.close()
    assert [shown[what] for what in ("calls", "error_ratio", "slow_ratio")] == [10, 1.0, 0.0]
    assert str(shown["since"]) < str(shown["until"])
    assert f'xyra_breaker_state{{flow="deliveries",resource="{name}"}} 2.0' in metrics
    assert health["parts"]["deliveries"]["targets"][name] == "open"
    assert len(target.requests) >= 10
