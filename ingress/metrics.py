"""What `GET /metrics` shows: this process's counts, the flows' tallies from `xyra.status`, and the same as JSON in plain words."""

from collections.abc import Callable, Iterable, Mapping
from heapq import nlargest
from typing import Any, Final, get_args

import psutil

from flows.core import signals
from flows.core.outbound import breaker
from flows.core.outbound import told as later
from flows.core.resources import StoredWebhook
from flows.wire.spill import State
from flows.wire.telemetry import Reading
from ingress.door import Door
from ingress.intake import UNKNOWN
from ingress.status import DELIVERIES, INGRESS, Counts, delivers

OUTCOMES: Final = ("in", "out", "waiting")
MOST_BREAKERS: Final = 1000
"""Shown at once."""
LATELY_MS: Final = 3_600_000
OPEN_PATHS: Final = ("/health", "/metrics")


def flow_readings(door: Door) -> Iterable[Reading]:
    """Give the flows' tallies as metrics: in = out + dropped + buried + waiting."""
    dropped: dict[tuple[str, str], int] = {}
    buried: dict[tuple[str, str], int] = {}
    for (flow, partition), counts in door.status.flows.items():
        if flow == INGRESS:
            continue
        sums = {"in": counts.totals["in"], "out": counts.totals["out"], "dropped": 0, "buried": 0}
        for into, what in ((dropped, "dropped"), (buried, "buried")):
            for reason, n in counts.by_reason(what).items():
                into[flow, reason] = into.get((flow, reason), 0) + n
                sums[what] += n
        for outcome, n in sums.items():
            yield signals.FLOW_RECORDS, {"flow": flow, "partition": partition, "outcome": outcome}, n
        yield signals.FLOW_WAITING, {"flow": flow, "partition": partition}, counts.totals["waiting"]
        yield signals.FLOW_PAUSED, {"flow": flow, "partition": partition}, int((flow, partition) in door.status.pauses)
    for (flow, reason), n in dropped.items():
        yield signals.FLOW_DROPPED, {"flow": flow, "reason": reason}, n
    for (flow, code), n in buried.items():
        yield signals.FLOW_BURIED, {"flow": flow, "code": code}, n


def spill_readings(door: Door) -> Iterable[Reading]:
    """Give what is kept on the disk while the broker is away."""
    for state in get_args(State):
        yield signals.SPILL_STATE, {"state": state}, int(door.spill.state == state)
    yield signals.SPILL_BYTES, {}, door.spill.size
    yield signals.SPILL_ENTRIES, {}, door.spill.entries
    yield signals.SPILL_OLDEST_SECONDS, {}, door.spill.oldest_s
    yield signals.SPILL_DRAINED, {}, door.spill.drained


def breaker_readings(door: Door) -> Iterable[Reading]:
    """Give the breakers of the targets, by what the flow last told."""
    for endpoint_id, level in breakers(door.status.breakers, door.definitions.known, door.clock.now_ms()).items():
        yield signals.BREAKER_STATE, {"flow": DELIVERIES, "resource": endpoint_id}, level


def breakers(told: Mapping[str, Mapping[str, Any]], known: Callable[[str], StoredWebhook | None], now_ms: int) -> dict[str, int]:
    """Choose the breakers to show, of endpoints that are delivered to: those not closed, then those that moved lately; the latest of too many."""
    found = []
    for endpoint_id, one in told.items():
        seen, at_ms = later.read(one, now_ms), int(one.get("at_ms", 0))
        level = 0 if seen is None else breaker.LEVELS.get(seen.phase, 0)
        stored = known(endpoint_id) if level or now_ms - at_ms < LATELY_MS else None
        if stored is not None and delivers(stored):
            found.append((level > 0, at_ms, endpoint_id, level))
    return {endpoint_id: level for _, _, endpoint_id, level in nlargest(MOST_BREAKERS, found)}


def as_json(door: Door) -> dict[str, Any]:
    """Return the metrics and performance data in plain words, and every sample by its Prometheus name."""
    samples = door.telemetry.as_json()
    requests = _of(samples, signals.HTTP_REQUESTS.name)
    return {
        "requests": {
            "total": sum(float(s["value"]) for s in requests),
            "by_status": _added((str(s["labels"]["status"]), float(s["value"])) for s in requests),
            **rates(requests),
            "response_seconds": _durations(samples, signals.HTTP_SECONDS.name, "route"),
            "in_flight": door.intake.in_flight,
        },
        "webhooks": {
            "accepted": sum(float(s["value"]) for s in _of(samples, signals.WEBHOOKS_ACCEPTED.name)),
            "bytes": sum(float(s["value"]) for s in _of(samples, signals.WEBHOOK_BYTES.name)),
            "rejected": _added((str(s["labels"]["reason"]), float(s["value"])) for s in _of(samples, signals.WEBHOOKS_REJECTED.name)),
            "endpoints": len(door.definitions),
            "unknown_endpoint": dict(door.status.resources[UNKNOWN].by_reason("rejected")) if UNKNOWN in door.status.resources else {},
        },
        "flows": _flows(door),
        "spill": {
            "state": door.spill.state,
            "bytes": door.spill.size,
            "entries": door.spill.entries,
            "oldest_seconds": door.spill.oldest_s,
            "drained": door.spill.drained,
        },
        "broker": {"acknowledgement_seconds": _durations(samples, signals.BROKER_ACK_SECONDS.name, None)},
        "system": _system(),
        "samples": samples,
    }


def rates(requests: Iterable[dict[str, Any]]) -> dict[str, float | None]:
    """Return which part of the requests was answered and which failed (5xx); probes and scrapes, whose 503 is an answer, are left out."""
    asked = [s for s in requests if not str(s["labels"]["route"]).removeprefix("/v1").startswith(OPEN_PATHS)]
    total = sum(float(s["value"]) for s in asked)
    failed = sum(float(s["value"]) for s in asked if str(s["labels"]["status"]) >= "500")
    return {"success_rate": round(1 - failed / total, 6) if total else None, "failure_rate": round(failed / total, 6) if total else None}


def _flows(door: Door) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for (flow, _), counts in door.status.flows.items():
        if flow != INGRESS:
            into = found.setdefault(flow, {"in": 0, "out": 0, "waiting": 0, "dropped": {}, "buried": {}})
            _add_counts(into, counts)
    return found


def _add_counts(into: dict[str, Any], counts: Counts) -> None:
    for name in OUTCOMES:
        into[name] += counts.totals[name]
    for what in ("dropped", "buried"):
        for reason, n in counts.by_reason(what).items():
            into[what][reason] = into[what].get(reason, 0) + n


def _of(samples: dict[str, list[dict[str, Any]]], name: str) -> list[dict[str, Any]]:
    return samples.get(name, [])


def _added(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, n in pairs:
        found[name] = found.get(name, 0) + n
    return found


def _durations(samples: dict[str, list[dict[str, Any]]], name: str, label: str | None) -> dict[str, Any]:
    """Return count and mean of a histogram, by one of its labels."""
    counts = {str(s["labels"].get(label, "all")): float(s["value"]) for s in _of(samples, name + "_count")}
    sums = {str(s["labels"].get(label, "all")): float(s["value"]) for s in _of(samples, name + "_sum")}
    return {key: {"count": n, "mean": round(sums[key] / n, 6) if n else None} for key, n in counts.items()}


def _system() -> dict[str, Any]:
    process, memory = psutil.Process(), psutil.virtual_memory()
    with process.oneshot():
        times = process.cpu_times()
        return {
            "process": {"cpu_seconds": times.user + times.system, "memory_bytes": process.memory_info().rss, "open_files": process.num_fds()},
            "machine": {"cpu_percent": psutil.cpu_percent(), "memory_used_percent": memory.percent, "load_average": psutil.getloadavg()},
        }
