from flows.core import signals
from flows.core.resources import StoredWebhook, WebhookDefinition
from flows.wire.telemetry import Telemetry
from ingress.intake import ROUTE
from ingress.metrics import LATELY_MS, MOST_BREAKERS, breakers, rates


def test_probes_and_scrapes_are_no_part_of_the_rates() -> None:
    telemetry = Telemetry()

    def found() -> dict[str, float | None]:
        return rates(telemetry.as_json()[signals.HTTP_REQUESTS.name])

    for route in ("/health", "/health/ready", "/v1/health/ready", "/metrics"):
        telemetry.count(signals.HTTP_REQUESTS, 7, route=route, method="GET", status=503)
    assert found() == {"success_rate": None, "failure_rate": None}
    telemetry.count(signals.HTTP_REQUESTS, 3, route=ROUTE, method="POST", status=202)
    telemetry.count(signals.HTTP_REQUESTS, 1, route=ROUTE, method="POST", status=503)
    assert found() == {"success_rate": 0.75, "failure_rate": 0.25}


NOW = 1_800_000_000_000


def endpoint(name: str) -> StoredWebhook | None:
    """Know every endpoint but `unknown`."""
    if name == "unknown":
        return None
    definition = WebhookDefinition.model_validate({"endpoint_id": name} | ({} if name == "no-url" else {"url": "https://example.com/"}))
    made = StoredWebhook(definition=definition, secrets=(), created_at_ms=0, updated_at_ms=0)
    return made.model_copy(update={"status": "inactive"}) if name == "inactive" else made


def test_breakers_that_are_not_closed_or_moved_lately_are_shown() -> None:
    moved = {"open": ("open", 0), "half": ("half_open", 0), "lately": ("closed", NOW - LATELY_MS + 1), "long-ago": ("closed", NOW - LATELY_MS)}
    told = {name: {"state": state, "at_ms": at_ms} for name, (state, at_ms) in moved.items()}
    told |= {name: {"state": "open", "at_ms": NOW} for name in ("unknown", "no-url", "inactive")}
    assert breakers(told | {"gone": {}}, endpoint, NOW) == {"open": 2, "half": 1, "lately": 0}


def test_an_opening_that_is_over_is_shown_as_half_open() -> None:
    told = {name: {"state": "open", "since_ms": 0, "until_ms": until_ms, "at_ms": 0} for name, until_ms in (("over", NOW), ("not-yet", NOW + 1))}
    assert breakers(told, endpoint, NOW) == {"over": 1, "not-yet": 2}


def test_of_too_many_breakers_those_not_closed_are_shown_and_the_latest() -> None:
    closed = {f"c{n}": {"state": "closed", "at_ms": NOW - n} for n in range(MOST_BREAKERS)}
    shown = breakers(closed | {f"o{n}": {"state": "open", "at_ms": n} for n in range(10)}, endpoint, NOW)
    assert len(shown) == MOST_BREAKERS
    assert {name for name, level in shown.items() if level} == {f"o{n}" for n in range(10)}
    assert "c0" in shown
    assert f"c{MOST_BREAKERS - 1}" not in shown


def test_a_series_that_is_somebody_elses_now_is_shown_no_more() -> None:
    telemetry = Telemetry()
    telemetry.forget(signals.PARKED, flow="f", resource="never")
    for name in ("a", "b"):
        telemetry.gauge(signals.PARKED, 3, flow="f", resource=name)
    telemetry.forget(signals.PARKED, resource="a", flow="f")
    telemetry.forget(signals.PARKED, flow="f", resource="a")
    assert [sample["labels"] for sample in telemetry.as_json()[signals.PARKED.name]] == [{"flow": "f", "resource": "b"}]
    telemetry.gauge(signals.PARKED, 1, flow="f", resource="a")
    assert len(telemetry.as_json()[signals.PARKED.name]) == 2
