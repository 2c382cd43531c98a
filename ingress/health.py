"""How the ingress is, part by part; asked of memory only, so that no part that is away can hold up the answer."""

from typing import Any, Final, Literal, NamedTuple

from flows.core.clock import rfc3339
from flows.core.outbound import told as breakers
from flows.wire.spill import Spill
from ingress.door import BEAT_S, TICK_S, Door
from ingress.status import INGRESS, Counts, StatusView, delivers, is_off
from ingress.view import Followed

LIVE_S: Final = 10 * TICK_S
READY_S: Final = BEAT_S + 4.0
"""An acknowledgement older than this means that the broker does not answer: one is asked for every `BEAT_S` seconds."""

MOST_NAMED: Final = 20
UNCOUNTED: Final = (
    "These are what an earlier process left. Some may be on the topic already; that is looked up as soon as Kafka answers, and they are taken off."
)

State = Literal["ok", "away", "starting", "stopped", "degraded", "paused", "spilling", "draining", "full", "failing", "off", "ended"]
FINE: Final[frozenset[State]] = frozenset({"ok", "off", "ended"})
"""What is no alarm: also what was switched off, or ended, by somebody who wanted that."""


class Part(NamedTuple):
    """One thing the ingress stands on."""

    state: State
    detail: dict[str, Any]
    needed: bool


def live(door: Door) -> bool:
    """Tell whether the loop moved lately; False: start the process again."""
    return door.clock.monotonic() - door.last_tick < LIVE_S


def ready(door: Door) -> bool:
    """Tell whether a webhook would be taken now: the definitions are read, and the broker acknowledged something lately or the disk has room."""
    return all(part.state == "ok" for part in parts(door).values() if part.needed)


def parts(door: Door) -> dict[str, Part]:
    """Look at each part."""
    now, last = door.clock.monotonic(), door.producer.last_ack
    age = None if last is None else now - last
    broker: State = "starting" if age is None else "ok" if age < READY_S else "away"
    found = {
        "broker": Part(
            broker,
            {"bootstrap_servers": door.settings.kafka_bootstrap_servers, "seconds_since_acknowledgement": _rounded(age)},
            needed=door.spill.closed_because is not None or (age is None and door.spill.state == "broker"),
        ),
        "definitions": _definitions(door),
        "status": _followed(door.status_topic, {}, needed=False),
        "spill": _spill(door.spill),
    }
    flows = {*door.status.seen, *(flow for flow, _ in door.status.pauses)} - {INGRESS}
    hears = broker == found["status"].state == "ok"
    found |= {f"flow {flow}": flow_part(door.status, flow, door.clock.now_ms(), hears=hears) for flow in sorted(flows)}
    if troubled := _troubled(door):
        named = dict(sorted(troubled.items())[:MOST_NAMED])
        found["deliveries"] = Part("degraded", {"targets": named, "count": len(troubled)}, needed=False)
    return found


def flow_part(status: StatusView, flow: str, now_ms: int, *, hears: bool) -> Part:
    """Look at a flow: whether somebody runs it, and whether it stands; `hears`: signs of life would be heard now, so that silence means something."""
    whys = {partition: str(why.get("why")) for (name, partition), why in status.pauses.items() if name == flow}
    silent: State = "ended" if status.ended(flow) else "stopped" if hears else "away"
    state: State = silent if not status.runs(flow) else "paused" if whys else "ok"
    seen = status.seen.get(flow)
    heard = {"last_seen": rfc3339(seen), "seconds_since_seen": _rounded((now_ms - seen) / 1000)} if seen else {}
    return Part(state, heard | ({"paused_partitions": sorted(whys), "why": next(iter(whys.values()))} if whys else {}), needed=False)


def _troubled(door: Door) -> dict[str, str]:
    """Return the endpoints whose target's breaker keeps events waiting, or whose deliveries were switched off, and which it is."""
    found, now_ms = {}, door.clock.now_ms()
    for endpoint_id, told in door.status.breakers.items():
        stored = door.definitions.known(endpoint_id)
        if stored is None or not delivers(stored):
            continue
        if is_off(stored, told):
            found[endpoint_id] = "off"
        elif (seen := breakers.read(told, now_ms)) and breakers.in_trouble(seen.phase, _waiting(door, endpoint_id)):
            found[endpoint_id] = seen.phase
    return found


def _waiting(door: Door, endpoint_id: str) -> int:
    return door.status.deliveries.get(endpoint_id, Counts()).totals["waiting"]


def _definitions(door: Door) -> Part:
    part, unusable = _followed(door.config_topic, {"webhooks": len(door.definitions)}, needed=True), door.definitions.unusable
    if not unusable or part.state != "ok":
        return part
    trouble = f"{unusable} endpoints answer 503: their record or their secrets cannot be read here, as with another INTEGRATION_SECRET_KEY; the log names them."
    return Part("degraded", part.detail | {"unusable": unusable, "trouble": trouble}, needed=False)  # the others are served


def _spill(spill: Spill) -> Part:
    """Look at what is kept on the disk while the broker is away."""
    why = spill.closed_because
    closed: dict[str, State] = {"off": "off" if not spill.entries else "draining", "full": "full", "too_old": "full", "disk": "failing"}
    way: State = "ok" if spill.state == "broker" else "spilling" if spill.state == "spilling" else "draining"
    told = {"entries": spill.entries, "bytes": spill.size, "oldest_age_seconds": _rounded(spill.oldest_s), "way": spill.state, "drained": spill.drained}
    trouble = {} if spill.trouble is None else {"trouble": spill.trouble}
    note = {"note": UNCOUNTED} if spill.entries and not spill.counted else {}
    return Part(way if why is None else closed[why], told | note | trouble, needed=why is not None and spill.state != "broker")


def _followed(followed: Followed | None, detail: dict[str, Any], *, needed: bool) -> Part:
    if followed is None or not followed.ready:
        return Part("starting", detail, needed)
    topic = followed.topic
    told = detail | {"topic": topic.topic, "offset": topic.position}
    if topic.trouble is None:
        return Part("ok", told, needed)
    return Part("away", told | {"trouble": topic.trouble}, needed=False)  # what was read is still good; whether the broker answers is the broker's part


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
