"""Every long storm, one after the other: `python -m tests.chaos [NAME ...] [--kills 100] [--seed N]`. Exit code 1 when any promise was broken."""

import argparse
import os
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from deploy.local import broker
from tests.chaos import deliveries, imports, replays, spill, storm, urls
from tests.chaos.plan import Outcome, Plan, Report
from tests.kit.importer import importer

PAUSE_S: Final = 2.5
"""Between two kills of workers, on average."""
DELIVERIES: Final = 200
"""Events a second in the storm over deliveries."""
EVERY: Final = 20
"""Kills of workers for each one of the broker and of the ingress."""


class Asked(NamedTuple):
    """What was asked for on the command line."""

    kills: int
    seed: int
    rate: int
    workers: int
    urls: int

    @property
    def few(self) -> int:
        """Kills of the broker, and of the ingress."""
        return max(1, self.kills // EVERY)


Storm = Callable[[Asked, Path], Report | Outcome]
"""Rages in an empty directory and returns what came of it; may raise, which is a finding too."""


def webhooks(asked: Asked, home: Path) -> Report:
    """Kill everybody while webhooks come in."""
    records = int(asked.kills * PAUSE_S * asked.rate)
    plan = Plan(records=records, kills=asked.kills, broker_kills=asked.few, ingress_kills=asked.few, workers=asked.workers, rate=asked.rate, seed=asked.seed)
    with broker.running(home / "kafka", os.environ) as kafka:
        return storm.run(plan, kafka, home / "storm")


def delivered(asked: Asked, home: Path) -> Report:
    """Kill workers while targets fail and what they buried is replayed."""
    records = int(asked.kills * PAUSE_S * DELIVERIES)
    plan = Plan(records=records, kills=asked.kills, broker_kills=asked.few, ingress_kills=0, workers=2, rate=DELIVERIES, seed=asked.seed)
    with broker.running(home / "kafka", os.environ) as kafka:
        return deliveries.run(plan, kafka, home / "storm")


def letters(asked: Asked, home: Path) -> Outcome:
    """Kill the flow that replays dead letters."""
    with broker.running(home / "kafka", os.environ) as kafka:
        return replays.replay_letters(kafka.bootstrap, home / "storm", asked.kills)


def log(asked: Asked, home: Path) -> Outcome:
    """Kill the flow that judges the log anew."""
    with broker.running(home / "kafka", os.environ) as kafka:
        return replays.judge_anew(kafka.bootstrap, home / "storm", asked.kills)


def imported(asked: Asked, home: Path) -> Outcome:
    """Kill the flow that imports a file, and the process that reads for it."""
    with broker.running(home / "kafka", os.environ) as kafka:
        return imports.storm(importer(kafka.bootstrap, home / "made"), kafka.bootstrap, home / "storm", asked.kills, asked.seed)


STORMS: Final[dict[str, Storm]] = {
    "webhooks": webhooks,
    "deliveries": delivered,
    "letters": letters,
    "log": log,
    "spill": lambda asked, home: spill.storms(home, asked.kills),
    "imports": imported,
    "urls": lambda asked, _: urls.walk(asked.urls, asked.seed),
}


def held(name: str, asked: Asked) -> bool:
    """Run a storm and print what came of it; tell whether every promise held. An error is printed, so that the others have their turn."""
    begin, scratch = time.monotonic(), Path(tempfile.mkdtemp(prefix="xyra-storm-"))
    print(f"{name}: seed {asked.seed}, {asked.kills} kills", flush=True)
    try:
        found = STORMS[name](asked, scratch)
    except Exception:  # noqa: BLE001  whatever it is, the other storms are to be run
        traceback.print_exc()
        print(f"{name}: broke off; logs and data are in {scratch}\n", flush=True)
        return False
    seconds = time.monotonic() - begin
    print(f"{found.text()}\n{name}: {f'WRONG; logs and data are in {scratch}' if found.wrong else 'held'}, {seconds:.0f} s\n", flush=True)
    if not found.wrong:
        shutil.rmtree(scratch)
    return not found.wrong


def main() -> int:
    """Run them all, whatever comes of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill everything under load, again and again; prove that nothing shows.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which storms; all without it: {', '.join(STORMS)}")
    parser.add_argument("--kills", type=int, default=100, help="kills of each storm; the broker and the ingress get a twentieth each (default 100)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="chooses victims, signals, moments, URLs; a run prints its own")
    parser.add_argument("--rate", type=int, default=1500, help="webhooks a second (default 1500)")
    parser.add_argument("--workers", type=int, default=3, help="of the flow webhooks (default 3)")
    parser.add_argument("--urls", type=int, default=100_000, help="bent URLs (default 100000)")
    chosen = vars(parser.parse_args())
    names = chosen.pop("names") or list(STORMS)
    if unknown := set(names) - STORMS.keys():
        parser.error(f"there is no storm {', '.join(sorted(unknown))}; there are {', '.join(STORMS)}")
    asked = Asked(**chosen)
    broken = [name for name in names if not held(name, asked)]
    print(f"Broken promises: {', '.join(broken)}" if broken else "Every promise held.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
