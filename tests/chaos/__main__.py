"""Two long storms, over webhooks and over deliveries: `python -m tests.chaos [--kills 100] [--seed N]`. Exit code 1 when a promise was broken."""

import argparse
import os
import random
import tempfile
from pathlib import Path
from typing import Final

from deploy.local import broker
from tests.chaos.deliveries import run as run_deliveries
from tests.chaos.plan import Plan
from tests.chaos.storm import run

PAUSE_S: Final = 2.5
"""Between two kills of workers, on average."""
DELIVERIES: Final = 200
"""Events a second in the storm over deliveries."""
EVERY: Final = 20
"""Kills of workers for each one of the broker and of the ingress."""


def main() -> int:
    """Run it on a broker of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill everything under load, again and again; prove that nothing shows.")
    parser.add_argument("--kills", type=int, default=100, help="kills of workers; the broker and the ingress get a twentieth each (default 100)")
    parser.add_argument("--rate", type=int, default=1500, help="records a second (default 1500)")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="chooses victims, signals and moments; a run prints its own")
    chosen = parser.parse_args()
    few = max(1, chosen.kills // EVERY)
    plan = Plan(
        records=int(chosen.kills * PAUSE_S * chosen.rate),
        kills=chosen.kills,
        broker_kills=few,
        ingress_kills=few,
        workers=chosen.workers,
        rate=chosen.rate,
        seed=chosen.seed,
    )
    kills = f"{plan.kills} kills of {plan.workers} workers, {few} of the broker, {few} of the ingress"
    print(f"seed {plan.seed}: {plan.records:,} records in {plan.seconds:.0f} s, {kills}")
    with tempfile.TemporaryDirectory(prefix="xyra-storm-") as scratch, broker.running(Path(scratch) / "kafka", os.environ) as kafka:
        report = run(plan, kafka, Path(scratch) / "storm")
    print(report.text())
    deliveries = Plan(
        records=int(chosen.kills * PAUSE_S * DELIVERIES), kills=chosen.kills, broker_kills=few, ingress_kills=0, workers=2, rate=DELIVERIES, seed=chosen.seed
    )
    print(f"\nDeliveries, seed {chosen.seed}: {deliveries.records:,} events in {deliveries.seconds:.0f} s, {deliveries.kills} kills, {few} of the broker")
    with tempfile.TemporaryDirectory(prefix="xyra-storm-") as scratch, broker.running(Path(scratch) / "kafka", os.environ) as kafka:
        second = run_deliveries(deliveries, kafka, Path(scratch) / "storm")
    print(second.text())
    return 1 if report.wrong or second.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
