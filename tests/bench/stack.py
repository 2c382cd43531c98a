"""The whole stack as a user starts it: how soon the second start is ready, and what it takes of memory when nothing happens."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Final

from deploy.local.ports import free_port
from tests.bench.place import Place
from tests.bench.results import Figure, Result, Series

XYRA: Final = (sys.executable, "-m", "deploy.cli.main")
IDLE_S: Final = 20
"""After which nothing of a start is still going on."""
START_S: Final = 180.0

START: Final = Figure("start", "`xyra up`, second start, command to ready, worst of the runs", "s", 5, "at most", worst=True)
MEMORY: Final = Figure(
    "memory",
    "the whole stack idle: supervisor, Kafka, Valkey, ingress, worker (shared pages counted once), worst of the runs",
    "MiB",
    1023,
    "at most",
    worst=True,
)


def stack(place: Place) -> Iterator[Result]:
    """Start it once so that everything is made, then again and again."""
    ports = {"HTTP": 1, "REDIS": 1, "LOCAL_KAFKA": 2, "WORKER": 8}
    env = place.env("stack", INTEGRATION_KAFKA_BOOTSTRAP_SERVERS="", **{f"INTEGRATION_{name}_PORT": str(free_port(span)) for name, span in ports.items()})
    place.say("stack: first start")
    starts, memory, facts = [], [], {}
    try:
        _xyra(env, "up", "--detach")
        _xyra(env, "down")
        for number in range(place.rounds()):
            place.say(f"stack: start {number + 2}")
            begin = time.monotonic()
            _xyra(env, "up", "--detach")
            starts.append(time.monotonic() - begin)
            time.sleep(place.amount(IDLE_S))
            facts = json.loads(_xyra(env, "status", "--json"))
            memory.append(facts["memory_bytes"] / 2**20)
            _xyra(env, "down")
    finally:
        subprocess.run([*XYRA, "down"], env=_with(env), capture_output=True, check=False, timeout=START_S)
    parts = {part["name"]: round(part["pss_bytes"] / 2**20) for part in facts["processes"]}
    yield Result(START, Series(tuple(starts)))
    yield Result(MEMORY, Series(tuple(memory)), None, (("parts_mib", parts),))


def _with(env: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, **env}


def _xyra(env: Mapping[str, str], *arguments: str) -> str:
    """Run a command of ours and return what it printed.

    Raises:
        RuntimeError: it did not succeed.

    """
    done = subprocess.run([*XYRA, *arguments], env=_with(env), capture_output=True, text=True, check=False, timeout=START_S)
    if done.returncode:
        msg = f"xyra {' '.join(arguments)} ended with exit code {done.returncode}: {done.stderr or done.stdout}"
        raise RuntimeError(msg)
    return done.stdout
