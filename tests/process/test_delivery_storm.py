"""Workers are killed while targets fail, and every delivery arrives: see `tests/chaos/deliveries.py` for how and for what is proved."""

import os
from pathlib import Path

import pytest

from deploy.local import broker
from tests.chaos.deliveries import run
from tests.chaos.plan import Plan


@pytest.mark.timeout(300)
def test_a_storm_of_kills_loses_no_delivery(tmp_path: Path) -> None:
    plan = Plan(records=4000, kills=8, broker_kills=1, ingress_kills=0, workers=2, rate=200, seed=int.from_bytes(os.urandom(2)), partitions=4)
    with broker.running(tmp_path / "kafka", os.environ) as kafka:
        report = run(plan, kafka, tmp_path / "storm")
    assert not report.wrong, report.text()
    assert sum(report.kills.values()) == plan.kills + plan.broker_kills, report.text()
