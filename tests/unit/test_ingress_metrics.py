from flows.core import signals
from flows.wire.telemetry import Telemetry
from ingress.intake import ROUTE
from ingress.metrics import rates


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
