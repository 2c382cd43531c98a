"""Everything is killed under load, and nothing shows: see `tests/chaos/storm.py` for how and for what is proved."""

import os
from pathlib import Path

import pytest

from deploy.local import broker
from tests.chaos.plan import Plan
from tests.chaos.storm import run


@pytest.mark.timeout(300)
def test_a_storm_of_kills_loses_and_doubles_nothing(tmp_path: Path) -> None:
    plan = Plan(records=60_000, kills=8, broker_kills=1, ingress_kills=1, workers=3, rate=1500, seed=int.from_bytes(os.urandom(2)))
    with broker.running(tmp_path / "kafka", os.environ) as kafka:
        report = run(plan, kafka, tmp_path / "storm")
    assert not report.wrong, report.text()
    assert sum(report.kills.values()) == plan.kills + plan.broker_kills + plan.ingress_kills, report.text()
    assert report.counts["received"] >= plan.records
