"""The broker is away: how many signed webhooks a second the door keeps on its disk, and how fast they go to the topic afterwards."""

import json
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from tests.bench.http_load import Plan
from tests.bench.place import Place
from tests.bench.processes import usage
from tests.bench.results import Figure, Result, Series, percentile
from tests.bench.topics import wait_until
from tests.bench.web import CONNECTIONS, DISTINCT, ENDPOINT, HOST, SECONDS, WARM_S, Server, ingress, padded, send, signed

LOOK_S: Final = 0.02
NOTICED_S: Final = 30.0
DRAINED_S: Final = 90.0
ROOM: Final = 4 << 30

SPILL: Final = Figure(
    "spill", f"signed webhook of 1 KB with the broker killed, fsynced to the spill log, {CONNECTIONS} connections", "requests/s", 5000, "at least"
)
DRAIN: Final = Figure("spill-drain", "webhooks of 1 KB from the spill log to the topic, exactly once, once the broker is back", "records/s", 20_000, "at least")


def spill(place: Place) -> Iterator[Result]:
    """Kill the broker, send as many as can get answered, start it again, and watch what was kept go."""
    kept, costs, drained = [], [], []
    for number in range(place.rounds()):
        with ingress(place, "spill", INTEGRATION_SPILL_MAX_BYTES=str(ROOM)) as server:
            place.say(f"spill, round {number + 1}: keeping")
            place.kafka.kill()
            try:
                wait_until(partial(_spills, server), NOTICED_S, "the ingress to notice")
                report = _closed(place, server)
            finally:
                place.kafka.start()
            kept.append(report["answered"] / report["seconds"])
            costs.append(report["cost"])
            place.say(f"spill, round {number + 1}: draining")
            drained.append(_drain_rate(server))
    yield Result(SPILL, Series(tuple(kept)), None, (("cost", costs),))
    yield Result(DRAIN, Series(tuple(drained)))


def _spill(server: Server) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{HOST}:{server.port}/health", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)["parts"]["spill"]
    return found


def _spills(server: Server) -> bool:
    return bool(_spill(server)["way"] == "spilling")


def _closed(place: Place, server: Server) -> dict[str, Any]:
    path = f"/integration/webhooks/{ENDPOINT}"
    requests = [signed(path, server.port, padded({"id": n, "n": n, "due": 0, "type": "bench"})) for n in range(DISTINCT)]
    before = usage(server.process).cpu_s
    report = send(place, Plan(HOST, server.port, requests, CONNECTIONS, seconds=place.amount(SECONDS * 1000) / 1000, warm_s=WARM_S))
    if set(report["statuses"]) != {"202"} or report["errors"]:
        msg = f"the door answered {report['statuses']} with {report['errors']} errors, not 202 alone"
        raise RuntimeError(msg)
    cpu_us = 1e6 * (usage(server.process).cpu_s - before) / report["total"]
    latencies = {f"p{share}_ms": round(1000 * percentile(report["latencies"], share / 100), 2) for share in (50, 99)}
    report["cost"] = {"cpu_us_per_request": round(cpu_us, 1), **latencies}
    return report


def _drain_rate(server: Server) -> float:
    """Watch from the first transaction to the last, and return how many a second went."""
    seen: list[tuple[float, int]] = []

    def done() -> bool:
        found = _spill(server)
        if found["drained"]:
            seen.append((time.monotonic(), found["drained"]))
        return bool(found["drained"]) and not found["entries"]

    end = time.monotonic() + DRAINED_S
    while not done():
        if time.monotonic() > end:
            msg = f"the spill log was not drained within {DRAINED_S:.0f} s: {_spill(server)}"
            raise TimeoutError(msg)
        time.sleep(LOOK_S)
    (first, few), (last, all_) = seen[0], seen[-1]
    return (all_ - few) / (last - first)
