"""The read model of `xyra.status`: what became of things, added up as the records come in."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from flows.core import beats
from flows.core.clock import Clock
from flows.core.imports import progress
from flows.core.reruns import Report
from flows.core.resources import StoredWebhook
from ingress.rates import WINDOWS_S, Meter

INGRESS: Final = "ingress"
TALLY: Final = "tally/"
TRACE: Final = "trace/"
REPLAY: Final = "replay/"
DISCARD: Final = "discard/"
RERUN: Final = "rerun/"
JOB: Final = "job/"
FLOW: Final = "flow/"
FLOW_PARTS: Final = 3
BREAKER: Final = "breaker/"
DELIVERIES: Final = "deliveries"
"""The flow that delivers: what it counts of an endpoint is about deliveries, and not about webhooks."""
IMPORTS: Final = "imports"
"""The flow that reads files: its workers say what they can read."""
LETTERS: Final = "replay"
"""The flow that reads dead letters: they belong to other flows' endpoints, and are counted there."""
BREAKER_PARTS: Final = 4
MOST_TRACES: Final = 1000
TALLY_PARTS: Final = 4

K = TypeVar("K")


@dataclass(slots=True)
class Counts:
    """Counters of one resource, or of one flow and partition: each the sum of the tallies that belong to it."""

    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """`in`, `out`, `waiting`, `received`, `accepted`."""
    reasons: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    """By what became of it (`dropped`, `buried`, `rejected`) and why."""
    last_ms: dict[str, int] = field(default_factory=dict)
    """`last_in_ms`, `last_out_ms`, `last_received_ms`: the latest of all, and `key:<secret_id>` for when a secret last matched."""

    def add(self, tally: dict[str, Any], sign: int) -> None:
        """Add a tally (`sign` 1), or take an outdated one away again (-1)."""
        for name, value in tally.items():
            if isinstance(value, dict):
                for reason, n in value.items():
                    if name == "keys":
                        self.last_ms["key:" + reason] = max(self.last_ms.get("key:" + reason, 0), int(n))
                    else:
                        self.reasons[name, reason] += sign * int(n)
            elif name.endswith("_ms"):
                self.last_ms[name] = max(self.last_ms.get(name, 0), int(value))
            else:
                self.totals[name] += sign * int(value)

    def by_reason(self, what: str) -> dict[str, int]:
        """Return why, and how often, for `dropped`, `buried` or `rejected`; what was never seen is left out."""
        return {reason: n for (name, reason), n in sorted(self.reasons.items()) if name == what and n}


def is_off(stored: StoredWebhook, told: Mapping[str, Any]) -> bool:
    """Tell whether the flow has switched an endpoint's deliveries off, and nobody has switched them on since."""
    off = told.get("off")
    return off is not None and int(off["epoch"]) >= stored.delivery_epoch


def delivers(stored: StoredWebhook) -> bool:
    """Tell whether an endpoint's events are to go to a target."""
    return stored.definition.url is not None and stored.status == "active"


class StatusView:
    """Tallies, traces and signs of life; never blocks. After a crash it is read again from the topic."""

    def __init__(self, clock: Clock) -> None:
        """Start empty."""
        self._clock = clock
        self._tallies: dict[str, dict[str, Any]] = {}
        self._traces: dict[str, dict[str, Any]] = {}
        self.resources: defaultdict[str, Counts] = defaultdict(Counts)
        """By endpoint id, `-` where it was unknown: over every ingress and all flows but the one that delivers."""
        self.deliveries: defaultdict[str, Counts] = defaultdict(Counts)
        """By endpoint id: what the flow deliveries counted."""
        self.breakers: dict[str, dict[str, Any]] = {}
        """By endpoint id: its target's breaker and switch, as they last moved."""
        self.flows: defaultdict[tuple[str, str], Counts] = defaultdict(Counts)
        """By flow and partition; the ingress counts as a flow, its instance as the partition."""
        self.seen: dict[str, int] = {}
        """When each flow last gave a sign of life, or counted something: wall-clock milliseconds, as its worker has them, none later than now."""
        self._signs: defaultdict[str, dict[str, beats.Sign]] = defaultdict(dict)
        """By flow and worker: the latest sign of life."""
        self.meters: dict[tuple[str, str], Meter] = {}
        """How fast things go, by resource and what is counted: `accepted` and `out`."""
        self._moving: set[tuple[str, str]] = set()
        self.orders: dict[str, dict[str, Any]] = {}
        """What became of orders about dead letters, by `replay/<id>/<partition>` and `discard/<id>/<partition>`."""
        self.reruns: dict[str, Report] = {}
        """What has come of each replay of the log, by its id."""
        self.jobs: dict[str, progress.Report] = {}
        """How far each import job has come, by its id."""
        self.pauses: dict[tuple[str, str], dict[str, Any]] = {}
        """Flows and partitions that take no records, and why."""
        self.malformed = 0
        """Records that could not be read; none of ours are like that."""
        self._readers: Final = (
            *((TALLY, self._tally), (TRACE, self._trace), (beats.PREFIX, self._beat), (BREAKER, self._breaker)),
            *((REPLAY, self._order), (DISCARD, self._order), (FLOW, self._pause), (RERUN, self._rerun), (JOB, self._job)),
        )

    def apply(self, key: str, value: bytes | None, _offset: int) -> None:
        """Take one record of the topic."""
        try:
            content = None if value is None else orjson.loads(value)
            self._take(key, content)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.malformed += 1

    def _take(self, key: str, content: dict[str, Any] | None) -> None:
        for prefix, take in self._readers:
            if key.startswith(prefix):
                take(key, content)

    def _trace(self, key: str, content: dict[str, Any] | None) -> None:
        event_id = key[len(TRACE) :]
        self._traces.pop(event_id, None)
        if content is not None:
            self._traces[event_id] = content
            if len(self._traces) > MOST_TRACES:
                self._traces.pop(next(iter(self._traces)))  # the oldest; nobody waits for it any more

    def _order(self, key: str, content: dict[str, Any] | None) -> None:
        _set(self.orders, key, content)

    def _rerun(self, key: str, content: dict[str, Any] | None) -> None:
        self.reruns.pop(key[len(RERUN) :], None)
        if content is not None:
            self.reruns[key[len(RERUN) :]] = Report.of(content)

    def _job(self, key: str, content: dict[str, Any] | None) -> None:
        self.jobs.pop(key[len(JOB) :], None)
        if content is not None:
            self.jobs[key[len(JOB) :]] = progress.Report.of(content)

    def _pause(self, key: str, content: dict[str, Any] | None) -> None:
        _, flow, partition = key.split("/", FLOW_PARTS - 1)
        _set(self.pauses, (flow, partition), content)

    def _breaker(self, key: str, content: dict[str, Any] | None) -> None:
        parts = key.split("/", BREAKER_PARTS - 1)
        if len(parts) == BREAKER_PARTS and parts[1] == DELIVERIES:
            self.breakers[parts[3]] = content or {}

    def _beat(self, key: str, content: dict[str, Any] | None) -> None:
        parts = key.split("/", beats.PARTS - 1)
        if len(parts) == beats.PARTS and content is not None:
            sign = self._signs[parts[1]][parts[2]] = beats.read(content, self._clock.now_ms())
            self._see(parts[1], sign.at_ms)

    def _see(self, flow: str, at_ms: int) -> None:
        self.seen[flow] = max(self.seen.get(flow, 0), min(at_ms, self._clock.now_ms()))

    def runs(self, flow: str) -> bool:
        """Tell whether somebody runs a flow: something was heard of it lately, and no goodbye."""
        return self._clock.now_ms() - self.seen.get(flow, 0) < beats.GONE_MS and not self.ended(flow)

    def ended(self, flow: str) -> bool:
        """Tell whether a flow was ended by those who ran it; one that is always to be run says no goodbye."""
        return beats.ended(self._signs.get(flow, {}).values())

    def can(self, flow: str) -> frozenset[str] | None:
        """Return what some worker of a flow that runs can and not every one could; None: nobody says."""
        return beats.abilities(self._signs.get(flow, {}).values(), self._clock.now_ms())

    def _tally(self, key: str, content: dict[str, Any] | None) -> None:
        tally = content or {}
        parts = key.split("/", TALLY_PARTS - 1)
        if len(parts) != TALLY_PARTS:
            self.malformed += 1
            return
        _, flow, partition, resource = parts
        old = self._tallies.get(key, {})
        Counts().add(tally, 1)  # raises for a malformed one before anything is changed
        counted = [self.flows[flow, partition]]
        if flow != LETTERS:
            counted.append((self.deliveries if flow == DELIVERIES else self.resources)[resource])
        for counts in counted:
            counts.add(old, -1)
            counts.add(tally, 1)
        self._tallies[key] = tally
        for what in ("accepted", "out") if flow not in {DELIVERIES, LETTERS} else ():
            if tally.get(what, 0) != old.get(what, 0):
                self._move(resource, what, int(tally.get(what, 0)) - int(old.get(what, 0)) if old else 0)
        self._see(flow, max(int(tally.get("last_in_ms", 0)), int(tally.get("last_out_ms", 0))))

    def _move(self, resource: str, what: str, by: int) -> None:
        pair = resource, what
        if pair not in self.meters:  # what was counted before this process began is no rate of now
            self.meters[pair] = Meter(self._clock.monotonic(), self.resources[resource].totals[what] - by)
        self._moving.add(pair)

    def tick(self) -> None:
        """Bring the rates of what moves up to now; call it about once a second."""
        now = self._clock.monotonic()
        for pair in list(self._moving):
            if not any(self.meters[pair].rates(now, self.resources[pair[0]].totals[pair[1]]).values()):
                self._moving.discard(pair)

    def rates(self, resource: str, what: str) -> dict[str, float]:
        """Return how many per second over the last 1, 5 and 15 minutes."""
        meter = self.meters.get((resource, what))
        return dict.fromkeys(WINDOWS_S, 0.0) if meter is None else meter.rates(self._clock.monotonic(), self.resources[resource].totals[what])

    def tally(self, flow: str, partition: str, resource: str) -> dict[str, Any]:
        """Return one tally as it was last published; empty when it never was."""
        return self._tallies.get(f"{TALLY}{flow}/{partition}/{resource}", {})

    def tallies_of(self, flow: str, partition: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Return every resource's tally of one flow and partition."""
        prefix = f"{TALLY}{flow}/{partition}/"
        return ((key[len(prefix) :], tally) for key, tally in self._tallies.items() if key.startswith(prefix))

    def trace(self, event_id: str) -> dict[str, Any] | None:
        """Return what a flow wrote about a traced event, None as long as it has not."""
        return self._traces.get(event_id)


def _set(where: dict[K, dict[str, Any]], key: K, content: dict[str, Any] | None) -> None:
    if content is None:
        where.pop(key, None)
    else:
        where[key] = dict(content)
