"""A storm over the drain of what was kept while the broker was away: both ends die again and again, and each webhook comes to the topic once, in order.

How: two ingresses begin with many webhooks in their spill logs, as the outage behind them left them. Whenever they drain the broker is killed, and
one of them with it, so that what the other has under way is in doubt too; the one is killed once more alone. Senders that never pause send to both
all the time, also while they go back to writing straight to the broker. What is proved then, from the topic: all that was kept or accepted is there,
once, and in order by key.
"""

import collections
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from deploy.local.broker import RunningBroker, running
from flows.core import topics
from flows.core.clock import SystemClock
from flows.wire.entry import Entry, Headers
from flows.wire.spool import Spool
from tests.chaos.plan import Outcome
from tests.chaos.stream import Stream
from tests.kit.door import RunningDoor, until
from tests.kit.settings import settings_for
from tests.kit.topics import Read, topic_reader

IMPATIENT: Final = {"webhook_ack_timeout_ms": "1500"}
WEBHOOKS: Final = topics.WEBHOOKS.name
WAITING: Final = 60_000
"""Webhooks that wait when the storm begins: 12 transactions for each of the two."""
KEYS: Final = 8
DOORS: Final = ("other", "victim")
ROUNDS: Final = 3
KILLS: Final = 2 * ROUNDS + 1
"""Of a storm: the broker and one ingress in each round, and that ingress once more."""


def spill(door: RunningDoor) -> dict[str, Any]:
    """Return what an ingress tells of its spill log."""
    found: dict[str, Any] = door.stranger.get("/health").json()["parts"]["spill"]
    return found


def spills(door: RunningDoor) -> bool:
    """Tell whether an ingress keeps what it takes."""
    return bool(spill(door)["way"] == "spilling")


def is_back(door: RunningDoor) -> bool:
    """Tell whether an ingress has drained everything and is ready."""
    return bool(spill(door)["way"] == "broker") and door.is_ready()


def drained(door: RunningDoor) -> int:
    """Return how many webhooks an ingress has drained."""
    found: int = spill(door)["drained"]
    return found


def moves(before: dict[RunningDoor, int]) -> bool:
    """Tell whether any has drained more than it had."""
    return any(drained(door) > many for door, many in before.items())


def by_source(broker: RunningBroker) -> dict[str, list[Read]]:
    """Return what is on the topic, by endpoint."""
    found: dict[str, list[Read]] = collections.defaultdict(list)
    for read in topic_reader(broker.bootstrap, WEBHOOKS):
        found[(read.header("ce_source") or "").rpartition("/")[2]].append(read)
    return found


def prefill(door: RunningDoor, name: str) -> None:
    """Stop the ingress and put many webhooks where it keeps them."""
    instance = next((door.settings.data_dir / "spill").iterdir()).name
    door.stop()
    kept = Spool(door.settings.data_dir / "spill" / instance, 1 << 30)
    source: Headers = [("ce_source", f"/webhooks/{name}")]
    now_ms = SystemClock().now_ms()  # a segment of records older than a week is deleted within a minute, and with it what is to be proved
    for first in range(0, WAITING, 5000):
        kept.append([Entry(now_ms, WEBHOOKS, b"k%d" % (n % KEYS), b"%d" % n, source) for n in range(first, first + 5000)])
    kept.close()


def rage(broker: RunningBroker, names: Mapping[RunningDoor, str]) -> list[str]:
    """Start two ingresses on a full log, kill the second, and return what was wrong when all was over; the broker is running, before and after."""
    streams = [Stream(door) for door in names]
    for door in names:
        prefill(door, names[door])
    for door in names:
        door.process = door.launch()
    with ExitStack() as sending:
        for stream in streams:
            sending.enter_context(stream)
        met = kill(broker, names)
        for door in names:
            until(partial(is_back, door), why=door.log.read_text)
    missed = [f"{name}: of {ROUNDS} kills {met[name]} met a drain; the others prove nothing" for name in names.values() if met[name] < ROUNDS]
    found = by_source(broker)
    return missed + faults(found, names.values()) + [fault for stream in streams for fault in stream.faults(found[stream.endpoint])]


def kill(broker: RunningBroker, names: Mapping[RunningDoor, str]) -> collections.Counter[str]:
    """Kill the broker and the second ingress again and again, and return how often each ingress had something to drain then."""
    other, victim = names
    met: collections.Counter[str] = collections.Counter()
    for _ in range(ROUNDS):
        until(lambda: not other.refuses() and not victim.refuses())
        until(partial(moves, {other: drained(other), victim: 0}), why=other.log.read_text)
        broker.kill()
        met.update(name for door, name in names.items() if spill(door)["entries"])
        victim.stop(signal.SIGKILL)
        victim.process = victim.launch()
        broker.start()
    until(lambda: not victim.refuses())
    until(lambda: drained(victim) > 0, why=victim.log.read_text)
    victim.stop(signal.SIGKILL)
    victim.start()
    return met


def faults(found: Mapping[str, list[Read]], names: Iterable[str]) -> list[str]:
    """Hold the topic against what was kept."""
    wrong = []
    for name in names:
        if len(found[name]) != WAITING:
            wrong.append(f"{name}: {len(found[name]):,} records are on the topic, and {WAITING:,} were kept")
        by_key: dict[bytes | None, list[int]] = collections.defaultdict(list)
        for read in found[name]:
            by_key[read.key].append(int(read.value or b""))
        strange = [key for key in range(KEYS) if by_key[b"k%d" % key] != [*range(key, WAITING, KEYS)]]
        wrong += [f"{name}: the records of k{key} are not those that were kept, in their order" for key in strange]
    return wrong


def storms(home: Path, kills: int) -> Outcome:
    """Rage until so many kills are done, each storm on a broker of its own: a topic that grew with each would be read again and again."""
    wrong, done, log, doors = list[str](), 0, "", list[RunningDoor]()
    while done < kills and not wrong:
        place = home / f"storm-{done}"
        place.mkdir(parents=True)
        with running(place / "kafka", os.environ) as broker:
            doors = [RunningDoor(settings_for(broker.bootstrap, place / name), place / f"{name}.log", start=False, **IMPATIENT) for name in DOORS]
            try:
                outage(broker, doors)
                wrong += rage(broker, dict(zip(doors, DOORS, strict=True)))
            finally:
                for door in doors:
                    door.close()
        log = "\n".join(door.log.read_text(errors="replace")[-3000:] for door in doors)
        done += KILLS
    return Outcome(done, {"storms": done // KILLS, "webhooks": done // KILLS * len(doors) * WAITING}, tuple(wrong), log)


def outage(broker: RunningBroker, doors: Sequence[RunningDoor]) -> None:
    """Let the broker be away for a moment and have each ingress keep a webhook meanwhile."""
    for door in doors:
        door.start()
    names = [door.register() for door in doors]
    broker.kill()
    for door, name in zip(doors, names, strict=True):
        until(partial(spills, door), why=door.log.read_text)
        assert door.send(name).status_code == 202
    broker.start()
    for door in doors:
        until(partial(is_back, door), why=door.log.read_text)
